"""RecBole's own settings under this package: each is honoured, or refused in one line; none is ignored.

RecBole's Config accepts any setting. This package's dataset, sampler and loaders replace RecBole's, so a setting that
they do not read would silently have no effect.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from recbole.config import Config
from recbole.utils import InputType, ModelType

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.live import LiveSettings
from mmbee_plugin.data.writer import SPLITS
from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.config.layers import default_settings
from mmbee_plugin.recbole.config.stock_columns import check_columns, check_entries

_CACHE = "not supported, RecBole's caches do not know this dataset's settings"
_KNOWLEDGE = (
    "knowledge graphs are not read here; RecBole's own knowledge models need RecBole's own dataset class"
)
_KNOWLEDGE_SETTINGS = (
    "HEAD_ENTITY_ID_FIELD", "TAIL_ENTITY_ID_FIELD", "RELATION_ID_FIELD", "ENTITY_ID_FIELD", "kg_reverse_r",
    "alias_of_entity_id", "alias_of_relation_id", "entity_kg_num_interval", "relation_kg_num_interval",
)  # fmt: skip
REFUSED: dict[str, str] = {
    "config_file": "nothing reads it; settings files are named by --config_files",
    "save_dataset": _CACHE,
    "dataset_save_path": _CACHE,
    "save_dataloaders": _CACHE,
    "dataloaders_save_path": _CACHE,
    "field_separator": "columns of a dataset folder are separated by tabs",
    "encoding": "the files of a dataset folder are UTF-8",
    "USER_ID_FIELD": "the users of a dataset folder stand in the column user_id",
    "ITEM_ID_FIELD": "the items of a dataset folder stand in the column item_id",
    "RATING_FIELD": "DMF alone reads it; labels come from LABEL_FIELD or threshold",
    "POSITION_FIELD": "no model of RecBole 1.2.1 reads it",
    "world_size": "training runs in one process here; the TorchRec job has several",
    **dict.fromkeys(_KNOWLEDGE_SETTINGS, _KNOWLEDGE),
}
"""Settings that must keep their default, and why."""

READ_BY = {"RATING_FIELD": frozenset({"DMF"})}
"""Models that do read a refused setting."""

GIVEN_SPLIT = (
    "rm_dup_inter",
    "val_interval",
    "filter_inter_by_user_or_item",
    "user_inter_num_interval",
    "item_inter_num_interval",
    "eval_args.split",
    "eval_args.order",
    "eval_args.group_by",
)
"""Settings without effect on pre-split data, whose rows RecBole takes as they are."""

ENTRIES = {
    "train_neg_sample_args": ("distribution", "sample_num", "alpha", "dynamic", "candidate_num"),
    "eval_args": ("split", "order", "group_by", "mode"),
    "clip_grad_norm": ("max_norm", "norm_type", "error_if_nonfinite", "foreach"),
}
"""Entries of the settings that are dicts of fixed names."""

# RecBole trains these on rows of users, not on interactions (recbole.data.utils.get_dataloader).
AUTOENCODERS = frozenset(
    ("MultiDAE", "MultiVAE", "MacridVAE", "CDAE", "ENMF", "RaCT", "RecVAE", "DiffRec", "LDiffRec")
)


def check_stock_settings(config: Config, folder: DatasetFolder) -> None:
    """Raises InputError for a setting of RecBole's that would have no effect, or an unknown entry or value.

    Reads the headers of the folder's files, and no row.
    """
    given, defaults = config.external_config_dict, {"encoding": "utf-8", **default_settings(config["model"])}
    for name, reason in REFUSED.items():
        read = config["model"] in READ_BY.get(name, ())
        if name in given and given[name] not in (defaults.get(name), None, False) and not read:
            raise InputError(f"{name} {given[name]!r}: {reason}")
    for name, known in ENTRIES.items():
        check_entries(name, given.get(name), known)
    asked = (given.get("eval_args") or {}).get("mode")
    check_entries("eval_args.mode", asked if isinstance(asked, Mapping) else None, SPLITS[1:])
    _check_split(given, config["eval_args"], folder)
    _check_negatives(given.get("train_neg_sample_args"), config)
    for name in ("NEG_PREFIX", "LIST_SUFFIX", "ITEM_LIST_LENGTH_FIELD"):
        if not (isinstance(config[name], str) and config[name]):
            raise InputError(
                f"{name} {config[name]!r}: a text is needed that tells its columns from the others'"
            )
    for name in ("user_inter_num_interval", "item_inter_num_interval"):
        check_interval(name, config[name])
    if config["rm_dup_inter"] not in (None, "first", "last"):
        raise InputError(f"rm_dup_inter {config['rm_dup_inter']!r}: known are first, last")
    if repeats(config) and config["mask_valid"]:
        raise InputError("mask_valid and repeatable: the one leaves out what the other ranks; choose one")
    check_columns(config, folder, check_interval)


def repeats(config: Config) -> bool:
    """`repeatable`: whether items that a user already has are ranked, and drawn as negatives, like any other.

    For RecBole's sequential models it is always on. Here models are compared under one mask, so for them it counts only
    where it is given.
    """
    if config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
        return bool(config.external_config_dict.get("repeatable"))
    return bool(config["repeatable"])


def draws(config: Config) -> bool:
    """Whether training draws negatives."""
    return config["train_neg_sample_args"]["distribution"] != "none"


def trained_share(config: Config, live: LiveSettings | None) -> float | None:
    """Share of a log's negatives that are training rows; None without a log, or where training draws its own."""
    return None if live is None or draws(config) else live.train_negatives


def reads_labels(config: Config) -> bool:
    """Whether training reads the labels of the rows."""
    if draws(config) or config["loss_type"] == "CE" or config["model"] in AUTOENCODERS:
        return False
    return config["MODEL_INPUT_TYPE"] in (InputType.POINTWISE, InputType.LISTWISE)


def check_interval(name: str, text: Any) -> None:
    """Raises InputError unless `text` is None or intervals like ``[3,10]`` and ``(0,inf)``, with ``;`` between."""
    if text is None:
        return
    for part in str(text).split(";"):
        match = re.fullmatch(r"\s*[\[(]([^,]*),([^,]*)[\])]\s*", part)
        try:
            low, high = map(float, match.groups()) if match else (1.0, 0.0)
        except ValueError:
            low, high = 1.0, 0.0
        if not low <= high:
            raise InputError(f"{name} {text!r}: no interval, which is written [3,10], (0,5) or [1,inf)")


def _check_split(given: Mapping[str, Any], eval_args: Mapping[str, Any], folder: DatasetFolder) -> None:
    files = given.get("benchmark_filename")
    if files is not None and (folder.splits is None or list(files) != list(SPLITS)):
        has = f"{folder.name}.inter" if folder.splits is None else "train, valid and test"
        raise InputError(f"benchmark_filename {files}: the folder has {has}; leave the setting out")
    if folder.splits is not None:
        asked = given.keys() | {f"eval_args.{entry}" for entry in given.get("eval_args") or ()}
        for name in GIVEN_SPLIT:
            if name in asked:
                raise InputError(
                    f"{name}: {folder.name} comes split into train, valid and test, whose rows are taken as they are; "
                    "leave the setting out"
                )
        return
    wanted = given.get("eval_args") or {}
    by_user = not {"LS", "TS"}.isdisjoint(eval_args["split"] or ())
    if by_user and wanted.get("group_by", "user") in (None, "none"):
        raise InputError("eval_args.group_by none: the splits LS and TS go by user; leave the setting out")


def _check_negatives(given: Mapping[str, Any] | None, config: Config) -> None:
    """Raises InputError for given arguments of negative sampling that are invalid or would have no effect."""
    if not given or not draws(config):
        return
    arguments = config["train_neg_sample_args"]
    if config["model"] in AUTOENCODERS:
        raise InputError(
            f"train_neg_sample_args: {config['model']} is trained on users and draws no items; leave it out"
        )
    if not isinstance(arguments["dynamic"], bool):
        raise InputError(f"train_neg_sample_args.dynamic {arguments['dynamic']!r}: true or false is needed")
    if arguments["alpha"] != 1 and arguments["distribution"] != "popularity":
        raise InputError(
            "train_neg_sample_args.alpha: an exponent of popularity; set distribution to popularity"
        )
    if arguments["dynamic"] and config["MODEL_INPUT_TYPE"] == InputType.LISTWISE:
        raise InputError(
            f"train_neg_sample_args.dynamic: {config['model']} takes the drawn items as they are; leave it out"
        )
    if arguments["dynamic"] != (arguments["candidate_num"] > 0):
        raise InputError(
            f"train_neg_sample_args: dynamic {arguments['dynamic']} with candidate_num {arguments['candidate_num']}; "
            "they go together"
        )
