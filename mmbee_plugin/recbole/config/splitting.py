"""The split and row order of a run: from its settings, else from what orders the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recbole.config import Config

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.order import chosen_row_order, order_lines
from mmbee_plugin.data.recbole_files import TIMESTAMP
from mmbee_plugin.data.splits import check_split, chosen_split, split_words
from mmbee_plugin.errors import InputError


def settle(config: Config, folder: DatasetFolder) -> None:
    """Writes `row_order` and what `eval_args` leaves open into a Config; a second call changes nothing.

    RecBole's own defaults differ from model to model, and split data with time at random; here they are those of
    :func:`~mmbee_plugin.data.splits.chosen_split` for every model.

    Raises:
        InputError: another TIME_FIELD, a threshold on times, or a split or row order that the data cannot have.
    """
    if config["TIME_FIELD"] != TIMESTAMP.partition(":")[0]:
        raise InputError(
            f"TIME_FIELD {config['TIME_FIELD']!r}: times are read from the column {TIMESTAMP!r} alone"
        )
    if folder.ordered and config["TIME_FIELD"] in (config["threshold"] or {}):
        raise InputError(f"threshold: {config['TIME_FIELD']!r} orders the rows; labels need another column")
    config["row_order"] = chosen_row_order(folder.order, config["row_order"], folder.name)
    if _given_files(config, folder) is not None:
        return
    config["eval_args"] |= chosen_split(folder.order, config.external_config_dict.get("eval_args"))
    check_split(folder.order, config["row_order"], config["eval_args"], folder.name)


def chosen_history(config: Config, live: bool, in_order: bool) -> str:
    """The history mode: as configured, else `daily` on live data, `prefix` on ordered rows, `others` on the rest."""
    return config["history"] or ("daily" if live else "prefix" if in_order else "others")


def split_line(settings: Mapping[str, Any], folder: DatasetFolder) -> str:
    """One line on how settled settings split the folder's rows."""
    return split_words(folder.order, _given_files(settings, folder), settings["eval_args"])


def data_lines(settings: Mapping[str, Any], folder: DatasetFolder) -> list[str]:
    """Lines of a run's banner on its split and row order; ``settings`` are settled."""
    return [split_line(settings, folder), *order_lines(folder.order, settings["row_order"], settings)]


def _given_files(settings: Any, folder: DatasetFolder) -> list[str] | None:
    parts = settings["benchmark_filename"] or folder.splits
    return None if parts is None else [f"{folder.name}.{part}.inter" for part in parts]
