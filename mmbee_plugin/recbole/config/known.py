"""The settings known for a model; any other is refused."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.config.declared import RunSettings
from mmbee_plugin.recbole.config.layers import PROPERTIES, check_model, default_settings
from mmbee_plugin.settings.words import nearest

NAMES = PROPERTIES / "recbole-1.2.1.txt"
"""the setting names of the pinned version, one a line"""

DATA_SETTINGS = (
    "mmbee_dataset",
    *(name for name in RunSettings.model_fields if RunSettings.called(name) == name),
)
"""Settings of this package's dataset, loaders and sampler, which RecBole's list of data settings lacks."""

SET_BY_RECBOLE = frozenset(
    {"model", "dataset", "device", "MODEL_TYPE", "MODEL_INPUT_TYPE", "eval_type", "local_rank", "single_spec"}
    | {"valid_neg_sample_args", "test_neg_sample_args", "mmbee_dataset"}
)
"""Entries of a Config that are computed, not given."""


@functools.cache
def recbole_names() -> frozenset[str]:
    """The settings that RecBole's source reads or lists, with a default or without."""
    return frozenset(NAMES.read_text(encoding="utf-8").split())


def known_settings(model: str) -> set[str]:
    """Every setting known for `model`."""
    return {*default_settings(model), *recbole_names(), *DATA_SETTINGS} - SET_BY_RECBOLE


def check_given(given: Mapping[str, Any], models: Iterable[str]) -> None:
    """Raises InputError for a given setting unknown to all of `models`, or to the model of its section."""
    for model, section in given.get("models", {}).items():
        check_model(model)
        check_settings(section, known_settings(model), f"settings of {model}")
    known: set[str] = set().union(*map(known_settings, models))
    check_settings((key for key in given if key != "models"), known, "settings")


def check_settings(settings: Iterable[str], known: set[str], where: str) -> None:
    """Raises InputError for the first setting not in `known`, naming the closest one that is."""
    for key in settings:
        if key not in known:
            hint = f"; did you mean {close}?" if (close := nearest(str(key), known)) else ""
            raise InputError(f"{where}: setting {key!r} is not known{hint}")
