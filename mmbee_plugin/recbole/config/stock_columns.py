"""Checks of RecBole's settings that name columns: each must exist, with the type that the setting needs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from recbole.config import Config
from recbole.utils import ModelType

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.recbole_files import TYPES
from mmbee_plugin.errors import InputError

Columns = Mapping[str, Mapping[str, str]]
"""Per file ending (inter, user, item, …) its columns: name -> type."""


def check_columns(config: Config, folder: DatasetFolder, check_interval: Callable[[str, Any], None]) -> None:
    """Raises InputError for a setting that names a missing column or file, or a column of an unsuitable type.

    Args:
        check_interval: called with a setting's name and value; raises InputError unless that is an interval.
    """
    given = config.external_config_dict
    columns = {ending: folder.field_types(ending) for ending in ("inter", "user", "item")}
    for ending in config["additional_feat_suffix"] or ():
        columns[ending] = folder.field_types(ending)
        if not columns[ending]:
            raise InputError(f"additional_feat_suffix {ending}: {folder.path} has no {folder.name}.{ending}")
    for name in ("load_col", "unload_col", "unused_col"):
        _check_selection(name, given.get(name), columns)
    _check_dropped(config)
    threshold = config["threshold"]
    if threshold is not None:
        if not isinstance(threshold, Mapping) or len(threshold) != 1:
            raise InputError(f"threshold {threshold!r}: one entry is needed, as {{rating: 4}}")
        ((column, least),) = threshold.items()
        _check_names("threshold", [column], columns["inter"], ("float",), "of .inter")
        if isinstance(least, bool) or not isinstance(least, int | float):
            raise InputError(f"threshold.{column} {least!r}: a number is needed")
    types = _loaded(config, columns)
    sequences, floats = ("token_seq", "float_seq"), ("float", "float_seq")
    for column, length in _dict_of(config, "seq_len").items():
        _check_names("seq_len", [column], types, sequences)
        if type(length) is not int or length < 1:
            raise InputError(f"seq_len.{column} {length!r}: a whole number from 1 is needed")
    for column, kept in _dict_of(config, "val_interval").items():
        _check_names("val_interval", [column], types, ("token", "float"))
        if types[column] == "float":
            check_interval(f"val_interval.{column}", kept)
        elif not isinstance(kept, list):
            raise InputError(f"val_interval.{column} {kept!r}: a list of the tokens to keep is needed")
    for name in ("normalize_field", "numerical_features"):
        _check_names(name, config[name], types, floats)
    if config["TIME_FIELD"] in (config["normalize_field"] or ()):
        raise InputError(
            f"normalize_field {config['TIME_FIELD']}: time counts from the earliest row, not from 0 to 1"
        )
    for column, method in _dict_of(config, "discretization").items():
        if column not in (config["numerical_features"] or ()):
            raise InputError(f"discretization {column!r}: numerical_features does not list it")
        if not isinstance(method, Mapping) or method.keys() - {"method", "bucket"} or "method" not in method:
            raise InputError(
                f"discretization.{column} {method!r}: {{method: ED, bucket: 10}} or {{method: LD}} is needed"
            )
    for name in ("alias_of_user_id", "alias_of_item_id"):
        _check_names(name, config[name], types, ("token", "token_seq"))
    for ids, values in _dict_of(config, "preload_weight").items():
        _check_names("preload_weight", [ids], types, ("token",))
        _check_names("preload_weight", [values], types, floats)
    if config["transform"] is not None and config["MODEL_TYPE"] != ModelType.SEQUENTIAL:
        raise InputError(f"transform {config['transform']}: of histories, for RecBole's sequential models")


def check_entries(name: str, entries: Any, known: Collection[str]) -> None:
    """Raises InputError for an unknown entry of the dict `entries`; None has no entries."""
    if entries is None:
        return
    if not isinstance(entries, Mapping):
        raise InputError(f"{name}: found {entries!r}, expected entries {{name: value}} of {', '.join(known)}")
    for entry in entries:
        if entry not in known:
            hint = f"; write {str(entry).replace(':', ': ')!r}, with a blank" if ":" in str(entry) else ""
            raise InputError(f"{name}: unknown entry {entry!r}; known: {', '.join(known)}{hint}")


def _loaded(config: Config, columns: Columns) -> dict[str, str]:
    """The columns that the dataset loads, name -> type: `load_col` and those it always needs, minus `unload_col`."""
    needed = {config[f"{name}_FIELD"] for name in ("USER_ID", "ITEM_ID", "TIME", "LABEL")}
    loaded: dict[str, str] = {}
    for ending, types in columns.items():
        chosen = "*" if config["load_col"] is None else config["load_col"].get(ending, ())
        left_out = (config["unload_col"] or {}).get(ending, ())
        kept = {
            name for name in types if (chosen == "*" or name in {*chosen, *needed}) and name not in left_out
        }
        loaded |= {name: types[name] for name in kept}
    return loaded


def _dict_of(config: Config, name: str) -> Mapping[str, Any]:
    value = config[name] if config[name] is not None else {}
    if not isinstance(value, Mapping):
        raise InputError(f"{name} {value!r}: entries {{column: value}} are needed")
    return value


def _check_names(
    setting: str, names: Any, types: Mapping[str, str], kinds: Iterable[str], source: str = "that are loaded"
) -> None:
    """Raises InputError for a name that is no column of `types`, or one of another type than `kinds`."""
    if not isinstance(names, list | tuple | None):
        raise InputError(f"{setting} {names!r}: a list of columns is needed")
    for name in names or ():
        if name not in types:
            raise InputError(
                f"{setting}: no column {name!r} among those {source}: {', '.join(sorted(types))}"
            )
        if types[name] not in kinds:
            raise InputError(
                f"{setting}: column {name} is of type {types[name]}; {' or '.join(kinds)} is needed"
            )


def _check_selection(setting: str, chosen: Any, columns: Columns) -> None:
    if chosen is None:
        return
    check_entries(setting, chosen, columns)
    for ending, names in chosen.items():
        if setting == "load_col" and names == "*":
            continue
        _check_names(f"{setting}.{ending}", names, columns[ending], TYPES, "of the file")


def _check_dropped(config: Config) -> None:
    """Raises InputError for ids in `unload_col`, ids or labels in `unused_col`, and clashes with `load_col`."""
    both = [name for name in config["load_col"] or () if name in (config["unload_col"] or ())]
    if both:
        raise InputError(f"load_col and unload_col both have {both[0]!r}; choose one")
    needed = {config["USER_ID_FIELD"], config["ITEM_ID_FIELD"], config["LABEL_FIELD"]}
    for setting in ("unload_col", "unused_col"):
        for ending, names in (config[setting] or {}).items():
            lost = [name for name in names or () if name in needed - {config["LABEL_FIELD"]}]
            lost += (
                [config["LABEL_FIELD"]] if setting == "unused_col" and config["LABEL_FIELD"] in names else []
            )
            if lost:
                raise InputError(f"{setting}.{ending}: {lost[0]} is needed; leave it in")
