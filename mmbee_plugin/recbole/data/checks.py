"""Checks of the dataset: unsupported settings, RecBole's caches, parts without rows, labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from recbole.config import Config
from recbole.data.dataset import Dataset
from recbole.utils import FeatureType, ModelType

from mmbee_plugin.data.writer import SPLITS
from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.config.declared import RunSettings
from mmbee_plugin.recbole.config.stock_settings import reads_labels

SERVED_TYPES = (ModelType.GENERAL, ModelType.TRADITIONAL, ModelType.CONTEXT, ModelType.SEQUENTIAL)


def check_config(config: Config) -> None:
    """Raises InputError for a model that needs another dataset class, a RecBole cache, or a bad run setting."""
    if config["MODEL_TYPE"] not in SERVED_TYPES:
        raise InputError(
            f"model {config['model']}: knowledge and tree models need RecBole's own dataset classes"
        )
    if "recbole.model.sequential_recommender.dien" in {
        base.__module__ for base in config.model_class.__mro__
    }:
        raise InputError(
            f"model {config['model']}: RecBole's DIEN needs drawn histories, which RecBole's own dataset class makes; "
            "this package's DIEN is --model=SIM --backbone=dien"
        )
    cache = f"{config['checkpoint_dir']}/{config['dataset']}-for-{config['model']}-dataloader.pth"
    if Path(cache).exists():
        raise InputError(f"{cache}: RecBole would load this cache instead of the data; move it away")
    RunSettings.among(config)


def check_parts(dataset: Dataset, splits: list[Dataset]) -> None:
    """Raises InputError for a requested part without rows, and for labels as :func:`_check_classes`.

    Args:
        dataset: the whole :class:`~mmbee_plugin.recbole.data.dataset.MMBeeDataset`.
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
    for name, part in zip(SPLITS, splits, strict=True):
        _check_classes(dataset, part, name)


def _check_classes(dataset: Dataset, part: Dataset, name: str) -> None:
    """Raises InputError for training rows without a positive, and for a part with one label where both are needed."""
    config, positive = dataset.config, part.positive_rows()
    compares = {"auc", "uauc", "labelledgauc"} & {metric.lower() for metric in config["metrics"]}
    if name == "train":
        needs_both = reads_labels(config)
    else:
        needs_both = bool(compares) and config["eval_args"]["mode"][name] == "labeled"
    missing = 1 if not positive.any() else 0 if needs_both and positive.all() else None
    if len(positive) and missing is not None and (needs_both or name == "train"):
        raise InputError(
            f"{dataset.folder.name}: no {'training' if name == 'train' else name} row has label {missing}; "
            f"check threshold {config['threshold']}"
        )


def check_labels(dataset: Dataset) -> None:
    """Raises InputError where training or evaluation reads labels and these are missing or neither 0 nor 1.

    Args:
        dataset: the whole dataset after `threshold`, its features still data frames.
    """
    config, folder = dataset.config, dataset.folder
    field, rows = dataset.label_field, dataset.inter_feat
    if not reads_labels(config) and "labeled" not in config["eval_args"]["mode"].values():
        return
    if field not in rows:
        raise InputError(
            f"{folder.name}: no column {field!r} of labels in its rows; set LABEL_FIELD or threshold, or draw "
            "negatives and rank"
        )
    values = rows[field].to_numpy()
    odd = values[(values != 0) & (values != 1)]
    if len(odd):
        raise InputError(
            f"{folder.name}, column {field}: label {odd.min()} is neither 0 nor 1; set threshold, as {{{field}: 4}}"
        )


def check_known(dataset: Dataset, name: str) -> None:
    """Raises InputError for label or threshold columns that are not float or miss values, which RecBole would fill."""
    rows = dataset.inter_feat
    for field in {dataset.label_field, *(dataset.config["threshold"] or {})}:
        if field not in rows:
            continue
        if dataset.field2type[field] != FeatureType.FLOAT:
            raise InputError(
                f"{name}, column {field}: labels are of type float, found {dataset.field2type[field].value}"
            )
        missing = np.flatnonzero(rows[field].isna())
        if len(missing):
            raise InputError(
                f"{name}, column {field}: {len(missing):,} of {len(rows):,} rows have no value, the first is row "
                f"{missing[0] + 1}; a label is 0 or 1"
            )
