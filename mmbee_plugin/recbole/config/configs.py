"""RecBole's Config for a model on a dataset folder, in runs of this package and in RecBole's own functions.

``recbole.quick_start.run_recbole(model="MMBee", dataset="tiktok")`` gets the settings and the data of
``run_recbole.py --model=MMBee --dataset=tiktok``: `mmbee_plugin.recbole.plugin` makes each Config of this package's and
of registered models call :func:`add_base_settings` and :func:`fit_to_data`.
"""

from __future__ import annotations

import contextlib
import copy
import os
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import torch
from recbole.config import Config
from recbole.utils import ModelType, get_model

from mmbee_plugin.builtin.sample import ensure
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.config.files import base_sources
from mmbee_plugin.recbole.config.layers import default_settings
from mmbee_plugin.recbole.config.metrics import chosen_valid_metric
from mmbee_plugin.recbole.config.sources import merged, of_model, settings_of
from mmbee_plugin.recbole.config.splitting import settle
from mmbee_plugin.recbole.config.stock_settings import check_stock_settings
from mmbee_plugin.recbole.config.values import check_values

_by_run: ContextVar[bool] = ContextVar("_by_run", default=False)
"""true while `build_config` makes a Config, whose given settings are complete"""


def build_config(model: str, folder: DatasetFolder, given: Mapping[str, Any]) -> Config:
    """RecBole's Config for `model` on `folder`, from the sources that `options` lists.

    Raises:
        InputError: RecBole or the model refuses a value.
    """
    chosen = {**machine_settings(), **_chosen_settings(model, folder, given)}
    # RecBole evaluates every string it is given as Python; a quoted string evaluates to itself.
    quoted = {
        key: repr(value) if isinstance(value, str) else copy.deepcopy(value) for key, value in chosen.items()
    }
    with _of_a_run():
        try:
            config = Config(model=model, dataset=folder.name, config_dict=quoted)
        except (ValueError, TypeError, KeyError, NotImplementedError, RuntimeError, AssertionError) as error:
            raise error if isinstance(error, InputError) else InputError(str(error)) from None
    _fit(config, folder)
    return config


def machine_settings() -> dict[str, Any]:
    """Settings of the machine: progress bars, and the ``gpu_id`` under which RecBole keeps CUDA_VISIBLE_DEVICES."""
    gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "0") if torch.cuda.is_available() else ""
    return {"gpu_id": gpu, "show_progress": sys.stderr.isatty()}


def add_base_settings(config: Config, model: str, dataset: str) -> None:
    """Puts the base settings of a run below the given ones while RecBole makes a Config, unless `build_config` does.

    The data are looked up in the given ``data_path``, or in ``datasets``; in RecBole's ``dataset`` if only that has
    them.

    Raises:
        InputError: the data are unknown, or a value is refused.
    """
    if _by_run.get():
        return
    given = config.external_config_dict
    root = Path(given.get("data_path") or "datasets")
    stock = Path("dataset")
    if "data_path" not in given and (stock / dataset).is_dir() and not (root / dataset).is_dir():
        root = stock
    try:
        config.mmbee_folder = ensure(dataset, root)
    except InputError:
        if "data_path" in given:
            return  # a Config can be made without the data; an error follows when they are read
        raise
    config.external_config_dict = _chosen_settings(model, config.mmbee_folder, given)


def fit_to_data(config: Config) -> None:
    """Settles what depends on the data, once RecBole has made the Config. Raises InputError as `build_config`."""
    folder = vars(config).pop("mmbee_folder", None)
    if folder is not None:
        _fit(config, folder)


def _chosen_settings(model: str, folder: DatasetFolder, given: Mapping[str, Any]) -> dict[str, Any]:
    """Given settings over those of :func:`base_sources`, adapted to RecBole."""
    given = of_model(given, model)
    chosen = merged(settings_of(base_sources(model, folder), model), given)
    check_values(chosen, model)
    effective = {**default_settings(model), **chosen}
    if effective["use_gpu"] is False:
        chosen["gpu_id"] = ""  # RecBole chooses the device by gpu_id alone
    chosen["valid_metric"] = chosen_valid_metric(effective, given)
    sequential = get_model(model).type == ModelType.SEQUENTIAL
    if sequential and chosen.get("repeatable") is False:
        del chosen["repeatable"]  # RecBole refuses it, and it is the default of this package's dataset
    if effective.get("loss_type") == "CE" and sequential:
        chosen.setdefault("train_neg_sample_args", None)  # RecBole refuses its own default here
    return chosen


def _fit(config: Config, folder: DatasetFolder) -> None:
    """Settles what depends on the data. Raises InputError for settings that the data or the model do not support."""
    widest = max(config["topk"])
    if "full" in config["eval_args"]["mode"].values() and widest > folder.counts["items"]:
        raise InputError(f"topk {widest}: {folder.name} has only {folder.counts['items']} items to rank")
    config["data_path"] = str(folder.path)  # RecBole would read its own copy of ml-100k
    check_stock_settings(config, folder)
    config["dataset_hash"] = folder.hash
    settle(config, folder)
    refuse = getattr(config.model_class, "refuse_settings", None)
    if refuse is not None:
        refuse(config, folder)


@contextlib.contextmanager
def _of_a_run() -> Iterator[None]:
    """Marks a Config as that of a run, and hides ``sys.argv``, which RecBole would read."""
    token = _by_run.set(True)
    kept, sys.argv = sys.argv, sys.argv[:1]
    try:
        yield
    finally:
        sys.argv = kept
        _by_run.reset(token)
