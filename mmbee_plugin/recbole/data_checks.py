"""What the dataset refuses: settings it cannot serve, caches that would hide it, and parts without rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recbole.utils import ModelType

from mmbee_plugin.errors import InputError

SERVED_TYPES = (ModelType.GENERAL, ModelType.TRADITIONAL, ModelType.CONTEXT, ModelType.SEQUENTIAL)


def check_config(config: Any) -> None:
    """Raises InputError for a model that needs another dataset class, and for RecBole's caches of datasets."""
    if config["MODEL_TYPE"] not in SERVED_TYPES:
        raise InputError(
            f"model {config['model']}: knowledge and tree models need RecBole's own dataset classes"
        )
    for key in ("save_dataset", "save_dataloaders"):
        if config[key]:
            raise InputError(f"{key}: not supported, RecBole's caches do not know this dataset's settings")
    for cache in (
        config["dataset_save_path"],
        config["dataloaders_save_path"],
        f"{config['checkpoint_dir']}/{config['dataset']}-for-{config['model']}-dataloader.pth",
    ):
        if cache and Path(cache).exists():
            raise InputError(f"{cache}: RecBole would load this cache instead of the data; move it away")
    if config["benchmark_filename"] is not None and len(config["benchmark_filename"]) != 3:
        raise InputError(f"benchmark_filename {config['benchmark_filename']}: expected train, valid and test")
    newest = config["train_newest"]
    if newest is not None and not (isinstance(newest, int) and newest > 0):
        raise InputError(f"train_newest {newest!r}: expected a whole number from 1")


def chosen_history(config: Any, live: bool, in_order: bool) -> str:
    """What a training row sees of its user's history: as configured, else by what is known of the order of rows."""
    return config["history"] or ("daily" if live else "prefix" if in_order else "others")


def check_parts(dataset: Any, splits: list[Any]) -> None:
    """Raises InputError for a part that was asked for and has no rows, and for training without a positive.

    Args:
        dataset: the whole :class:`~mmbee_plugin.recbole.dataset.MMBeeDataset`.
        splits: its training, validation and test part.
    """
    asked = [True, True, True]
    split = dataset.config["eval_args"]["split"]
    if dataset.benchmark_filename_list is None and "RS" in split:
        asked = [ratio > 0 for ratio in split["RS"]]
    elif dataset.benchmark_filename_list is None and "LS" in split:
        asked = [True, split["LS"] != "test_only", split["LS"] != "valid_only"]
    for name, part, needed in zip(("training", "validation", "test"), splits, asked, strict=True):
        if needed and len(part.inter_feat) == 0:
            raise InputError(
                f"{dataset.folder.name}: {len(dataset.inter_feat)} interactions leave no {name} rows "
                f"under split {split}; more interactions or another eval_args.split are needed"
            )
    if not splits[0].positive_rows().any():
        raise InputError(
            f"{dataset.folder.name}: no training row has label 1; check threshold {dataset.config['threshold']}"
        )
