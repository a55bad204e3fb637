"""Makes RecBole 1.2.1 know this package's models, dataset, trainer, metrics and loaders, without editing it.

RecBole finds its parts by name: a model in ``recbole.model.<kind>.<name in lower case>``, a dataset class in
``recbole.data.dataset.<Model>Dataset``, a trainer in ``recbole.trainer.<Model>Trainer``, a metric in three
dicts. `register` adds names there. Where RecBole has no such place a function is wrapped, and does for
everybody else exactly what it did before. The wraps are:

* ``Config._load_internal_config_dict``: afterwards reads our default settings of our own models, and where
  the evaluation is on labelled samples lets ``GAUC`` in ``metrics`` mean the labelled one
  (`mmbee_plugin.recbole.evaluation`);
* ``Config._get_model_and_dataset``: an unknown model name is answered with the names that are known;
* ``recbole.data.utils.create_samplers`` and ``get_dataloader``: our dataset class brings its own;
* ``torch.save`` and ``torch.load``, for calls made by RecBole, and
  ``recbole.trainer.hyper_tuning.exhaustive_search``: see `mmbee_plugin.recbole.compat`.

They are looked up at the time of the call, so it does not matter whether ``recbole.quick_start`` was
imported before.
"""

import difflib
import functools
import importlib
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import recbole
from recbole.config import Config

from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole import compat

RECBOLE_VERSION = "1.2.1"

COMPONENTS = {
    "MMBee": "mmbee_plugin.recbole.models.mmbee",
    "SIM": "mmbee_plugin.recbole.models.sim",
}
"""Every model of this package and the module that holds it, which is imported when the model is first asked
for."""

PROPERTIES = Path(__file__).parent / "properties"

DATA_SETTINGS = ("mmbee_dataset", "history", "mask_valid", "sampler")
"""Settings of our dataset, loaders and sampler, which RecBole's own list of data settings lacks."""


def register() -> None:
    """Makes the additions and wraps listed above; a second call changes nothing.

    Raises:
        InputError: RecBole is of another version than the one whose inner workings this was written against.
    """
    if recbole.__version__ != RECBOLE_VERSION:
        raise InputError(
            f"recbole {recbole.__version__} is installed, this plugin works with {RECBOLE_VERSION} only: "
            f"pip install recbole=={RECBOLE_VERSION}"
        )
    compat.install()
    _wrap(Config, "_load_internal_config_dict", _with_our_properties)
    _wrap(Config, "_get_model_and_dataset", _naming_known_models)
    utils = importlib.import_module("recbole.data.utils")
    _wrap(utils, "create_samplers", _with_our_samplers)
    _wrap(utils, "get_dataloader", _with_our_loaders)
    _add_models()
    _add_data_settings()
    _add_metrics()


def known_models() -> list[str]:
    """The names ``--model`` takes: this package's first, then RecBole's own in alphabetical order."""
    stock = Path(recbole.__file__).parent / "properties" / "model"
    return [*COMPONENTS, *sorted((file.stem for file in stock.glob("*.yaml")), key=str.lower)]


def check_model(name: str) -> None:
    """Raises InputError with the known names if there is no model called `name`."""
    known = known_models()
    if name in known:
        return
    close = {model.lower(): model for model in known}
    nearest = difflib.get_close_matches(name.lower(), close, n=1)
    hint = f"did you mean {close[nearest[0]]}? " if nearest else ""
    raise InputError(f"model {name!r} is not known; {hint}Known models: {', '.join(known)}")


def _wrap(owner: Any, name: str, wrapping: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    stock = getattr(owner, name)
    if hasattr(stock, "__mmbee__"):
        return
    wrapper = functools.wraps(stock)(wrapping(stock))
    wrapper.__mmbee__ = True  # type: ignore[attr-defined]
    setattr(owner, name, wrapper)


def _with_our_properties(stock: Callable[..., None]) -> Callable[..., None]:
    from mmbee_plugin.recbole.evaluation import chosen_metrics

    def load(self: Config, model: str, model_class: type, dataset: str) -> None:
        stock(self, model, model_class, dataset)
        if model in COMPONENTS:
            self._update_internal_config_dict(PROPERTIES / f"{model}.yaml")
        self.external_config_dict["metrics"] = chosen_metrics(
            {**self.internal_config_dict, **self.external_config_dict}
        )

    return load


def _naming_known_models(stock: Callable[..., Any]) -> Callable[..., Any]:
    def get(self: Config, model: Any, dataset: str | None) -> Any:
        try:
            return stock(self, model, dataset)
        except (ModuleNotFoundError, AttributeError, ValueError):
            name = self.external_config_dict.get("model") if model is None else model
            if isinstance(name, str):
                check_model(name)
            raise

    return get


def _with_our_samplers(stock: Callable[..., Any]) -> Callable[..., Any]:
    def create(config: Config, dataset: Any, built_datasets: list[Any]) -> Any:
        from mmbee_plugin.recbole import sampler

        return sampler.make_samplers(config, dataset, built_datasets) or stock(
            config, dataset, built_datasets
        )

    return create


def _with_our_loaders(stock: Callable[..., type]) -> Callable[..., type]:
    def get(config: Config, phase: str) -> type:
        from mmbee_plugin.recbole import dataloader

        return dataloader.loader_class(config, phase) or stock(config, phase)

    return get


def _add_models() -> None:
    """Names our models where ``recbole.utils.get_model`` looks, and the classes that go with them."""
    from mmbee_plugin.recbole.dataset import MMBeeDataset
    from mmbee_plugin.recbole.trainer import MMBeeTrainer

    datasets = importlib.import_module("recbole.data.dataset")
    trainers = importlib.import_module("recbole.trainer")
    for name, module in COMPONENTS.items():
        alias = _lazy_module(f"recbole.model.general_recommender.{name.lower()}", name, module)
        sys.modules.setdefault(alias.__name__, alias)
        setattr(datasets, f"{name}Dataset", MMBeeDataset)
        setattr(trainers, f"{name}Trainer", MMBeeTrainer)


def _lazy_module(path: str, name: str, target: str) -> ModuleType:
    """A module called `path` with the one attribute `name`, taken from module `target` when first read."""
    alias = ModuleType(path, f"Stands for {target}, under a name that RecBole looks up.")
    alias.__spec__ = ModuleSpec(path, loader=None)

    def attribute(wanted: str) -> Any:
        if wanted != name:
            raise AttributeError(f"module {path!r} has no attribute {wanted!r}")
        return getattr(importlib.import_module(target), name)

    alias.__dict__["__getattr__"] = attribute
    return alias


def _add_data_settings() -> None:
    """Our data settings join those by which RecBole decides whether a cached dataset may be used again."""
    from recbole.utils import dataset_arguments

    dataset_arguments.extend(key for key in DATA_SETTINGS if key not in dataset_arguments)


def _add_metrics() -> None:
    from recbole.evaluator import register as tables

    from mmbee_plugin.recbole.evaluation import METRICS

    for name, metric in METRICS.items():
        tables.metrics_dict.setdefault(name, metric)
        tables.metric_information.setdefault(name, metric.metric_need)
        tables.metric_types.setdefault(name, metric.metric_type)
