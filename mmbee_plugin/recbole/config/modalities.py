"""The modalities of a dataset that a model reads."""

from __future__ import annotations

from recbole.config import Config

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError


class FeaturelessError(InputError):
    """A model of item features on data without any."""


def chosen_modalities(config: Config, folder: DatasetFolder) -> tuple[str, ...]:
    """The modalities a model reads: those asked for, or all that the dataset has.

    Raises:
        InputError: a modality that the dataset does not have, or that is listed twice.
    """
    available = tuple(folder.modalities)
    if config["modalities"] is None:
        return available
    for name in config["modalities"]:
        if not isinstance(name, str):
            raise InputError(
                f"modalities: {name!r} is a {type(name).__name__}; put a name like that in quotes"
            )
        if name not in available:
            known = ", ".join(available) or "none, the folder has no features"
            raise InputError(f"unknown modality {name!r}; this dataset has: {known}")
        if config["modalities"].count(name) > 1:
            raise InputError(f"modality {name!r} is listed twice")
    return tuple(config["modalities"])


def needed_modalities(config: Config, folder: DatasetFolder) -> tuple[str, ...]:
    """As `chosen_modalities`, for a model that needs at least one.

    Raises:
        FeaturelessError: the folder has no features.
        InputError: it has not those asked for.
    """
    names = chosen_modalities(config, folder)
    if not names:
        raise FeaturelessError(
            f"{config['model']} reads item features and {folder.path} has none: "
            "add <modality>.npy, one row an item, or choose a model of ids alone"
        )
    return names
