"""Registers this package's models, dataset, trainer, metrics and loaders with RecBole 1.2.1, without editing it.

RecBole finds its parts by name: a model in ``recbole.model.<kind>.<name in lower case>``, a dataset class in
``recbole.data.dataset.<Model>Dataset``, a trainer in ``recbole.trainer.<Model>Trainer``, a metric in three
dicts. `register` adds names there. Where RecBole has no such place a function is wrapped, and behaves as before for all
other models and datasets. Wrapped are:

* ``Config._load_internal_config_dict``: then adds the default settings of this package's and of registered models
  (`register_model`), merging given dicts entry by entry, and the settings of a run on the same dataset
  (`mmbee_plugin.recbole.config.configs`); notes the source of each setting; in labelled evaluation makes ``GAUC`` in
  ``metrics`` the labelled one (`chosen_metrics`);
* ``Config.__init__``: then settles what depends on the data, for the same models;
* ``Config._get_model_and_dataset``: the error for an unknown model lists the known names;
* ``recbole.data.utils.create_samplers`` and ``get_dataloader``: return those of this package for its dataset class.

`mmbee_plugin.recbole.compat` lists further changes. RecBole looks all of these up at the time of a call, so it does not
matter whether ``recbole.quick_start`` was imported before.
"""

import functools
import importlib
import sys
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import recbole
from recbole.config import Config
from recbole.data.dataset import Dataset
from recbole.model.abstract_recommender import AbstractRecommender
from recbole.trainer import TraditionalTrainer
from recbole.utils import dataset_arguments, get_trainer

from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole import compat
from mmbee_plugin.recbole.config import configs
from mmbee_plugin.recbole.config.known import DATA_SETTINGS
from mmbee_plugin.recbole.config.layers import (
    COMPONENTS,
    REGISTERED,
    Layer,
    check_model,
    known_models,
    layer_name,
    layer_settings,
    own_layers,
    stock_base,
)
from mmbee_plugin.recbole.config.metrics import chosen_metrics, chosen_valid_metric
from mmbee_plugin.recbole.config.sources import RECBOLE, Source, merged
from mmbee_plugin.recbole.data import dataloader, sampler
from mmbee_plugin.recbole.data.dataset import MMBeeDataset
from mmbee_plugin.recbole.training.adversarial import AdversarialTrainer
from mmbee_plugin.recbole.training.evaluation import METRICS
from mmbee_plugin.recbole.training.trainer import MMBeeTrainer, resumable

RECBOLE_VERSION = "1.2.1"
TRAINERS = {"MMSSL": AdversarialTrainer, "FBSM": resumable(TraditionalTrainer)}
"""trainers of models that `MMBeeTrainer` does not train"""


def register() -> None:
    """Makes the additions and wraps listed above; a second call changes nothing.

    Raises:
        InputError: RecBole is of another version than 1.2.1, on whose internals this relies.
    """
    if recbole.__version__ != RECBOLE_VERSION:
        raise InputError(
            f"recbole {recbole.__version__} is installed, this plugin works with {RECBOLE_VERSION} only: "
            f"pip install recbole=={RECBOLE_VERSION}"
        )
    compat.install()
    _wrap(Config, "__init__", _fit_to_data)
    _wrap(Config, "_load_internal_config_dict", _load_defaults)
    _wrap(Config, "_get_model_and_dataset", _find_model)
    utils = importlib.import_module("recbole.data.utils")
    _wrap(utils, "create_samplers", _samplers)
    _wrap(utils, "get_dataloader", _loader)
    for name, module in COMPONENTS.items():
        if _alias_path(name) not in sys.modules:
            find = functools.partial(_class_in, module, name)
            _add_model(name, find, TRAINERS.get(name, MMBeeTrainer))
    # RecBole compares these settings to decide whether a cached dataset can be used.
    dataset_arguments.extend(key for key in DATA_SETTINGS if key not in dataset_arguments)
    _add_metrics()


def register_model(model: type, defaults: Layer | None = None) -> None:
    """Registers a model class by its name: for RecBole's Config, `get_model` and `get_trainer`, and as ``--model=Name``
    of this package's command lines in the same process.

    The model gets this package's dataset, loaders and trainer, and inherits the default settings of its base classes,
    dicts entry by entry. A model that reads graphs declares the setting ``interest`` other than ``none``: if ``graph``
    has ``folds``, its training batches are of one fold each. A static method ``refuse_settings(config, folder)``, if
    the class has one, is called before data are read and raises InputError for unsupported settings. Registering a
    class of the same name again replaces the former.

    Args:
        model: subclass of a RecBole model or of one of this package's, or of RecBole's abstract recommenders.
        defaults: default settings beyond those of its base classes: a YAML file, a dict, or a class of settings, whose
            types and ranges are then checked.

    Raises:
        InputError: not a model class, a name that RecBole or this package uses already, no such file.
    """
    if not (isinstance(model, type) and issubclass(model, AbstractRecommender)):
        raise InputError(f"{model!r} cannot be registered: it is no subclass of a RecBole model")
    name = model.__name__
    taken = {known.lower(): known for known in known_models() if known != name or known not in REGISTERED}
    if name.lower() in taken:
        raise InputError(f"model {name!r} cannot be registered: the name {taken[name.lower()]} is taken")
    if isinstance(defaults, Path) and not defaults.is_file():
        raise InputError(f"{defaults}: no such file with the default settings of {name}")
    REGISTERED[name] = (model, {} if defaults is None else defaults)
    _add_model(name, lambda: model, _trainer_of(model))


def _wrap(owner: Any, name: str, around: Callable[..., Any]) -> None:
    """Replaces a function by `around`, which gets that function as its first argument."""
    stock = getattr(owner, name)
    if hasattr(stock, "__mmbee__"):
        return

    @functools.wraps(stock)
    def wrapper(*arguments: Any, **named: Any) -> Any:
        return around(stock, *arguments, **named)

    vars(wrapper)["__mmbee__"] = True
    setattr(owner, name, wrapper)


def _fit_to_data(stock: Callable[..., None], config: Config, *arguments: Any, **named: Any) -> None:
    stock(config, *arguments, **named)
    configs.fit_to_data(config)


def _load_defaults(
    stock: Callable[..., None], config: Config, model: str, model_class: type, dataset: str
) -> None:
    layers = own_layers(model_class)
    if layers:
        configs.add_base_settings(config, model, dataset)
    # RecBole chooses defaults of sequential models by name: a registered model takes those of its base.
    config._update_internal_config_dict = _noting_sources(config)
    stock(config, (stock_base(model_class) if layers else None) or model, model_class, dataset)
    del config._update_internal_config_dict
    own: dict[str, Any] = {}
    for layer in layers:
        settings = layer_settings(layer)
        own = merged(own, settings)
        config.internal_sources.append(Source(layer_name(layer), settings))
    config.internal_config_dict = merged(config.internal_config_dict, own)
    given = config.external_config_dict
    for key in own.keys() & given.keys():  # graph.top_k alone leaves graph.folds as it is
        if isinstance(given[key], Mapping):
            given[key] = merged(own, {key: given[key]})[key]
    given["metrics"] = chosen_metrics({**config.internal_config_dict, **given})
    given["valid_metric"] = chosen_valid_metric({**config.internal_config_dict, **given}, given)


def _noting_sources(config: Config) -> Callable[[str], Mapping[str, Any] | None]:
    """RecBole's reader of its settings files, which also keeps their contents in ``config.internal_sources``."""
    stock, config.internal_sources = config._update_internal_config_dict, []

    def update(file: str) -> Mapping[str, Any] | None:
        settings = stock(file)
        config.internal_sources.append(Source(RECBOLE, settings or {}, Path(file).name))
        return settings

    return update


def _find_model(stock: Callable[..., Any], config: Config, model: Any, dataset: str | None) -> Any:
    try:
        return stock(config, model, dataset)
    except (ModuleNotFoundError, AttributeError, ValueError):
        name = config.external_config_dict.get("model") if model is None else model
        if isinstance(name, str):
            check_model(name)
        raise


def _samplers(stock: Callable[..., Any], config: Config, dataset: Dataset, built: list[Dataset]) -> Any:
    return sampler.make_samplers(config, dataset, built) or stock(config, dataset, built)


def _loader(stock: Callable[..., type], config: Config, phase: str) -> type:
    return dataloader.loader_class(config, phase) or stock(config, phase)


def _alias_path(name: str) -> str:
    return f"recbole.model.general_recommender.{name.lower()}"


def _class_in(module: str, name: str) -> type:
    return getattr(importlib.import_module(module), name)


def _add_model(name: str, find: Callable[[], type], trainer: type) -> None:
    """Adds a model where ``recbole.utils.get_model`` looks, and its dataset and trainer classes.

    Args:
        find: returns the model's class; called when RecBole looks it up.
    """
    alias = ModuleType(_alias_path(name), f"Holds {name} under a name that RecBole looks up.")
    alias.__spec__ = ModuleSpec(alias.__name__, loader=None)

    def attribute(wanted: str) -> type:
        if wanted != name:
            raise AttributeError(f"module {alias.__name__!r} has no attribute {wanted!r}")
        return find()

    vars(alias)["__getattr__"] = attribute
    sys.modules[alias.__name__] = alias
    setattr(importlib.import_module("recbole.data.dataset"), f"{name}Dataset", MMBeeDataset)
    setattr(importlib.import_module("recbole.trainer"), f"{name}Trainer", trainer)


def _trainer_of(model: type[AbstractRecommender]) -> type:
    """The trainer of the nearest base that has its own, else of the model's type; made resumable if possible."""
    own = vars(importlib.import_module("recbole.trainer"))
    bases = [base.__name__ for base in model.__mro__[1:] if f"{base.__name__}Trainer" in own]
    return resumable(get_trainer(model.type, bases[0] if bases else "no such"))


def _add_metrics() -> None:
    from recbole.evaluator import register as tables

    for name, metric in METRICS.items():
        tables.metrics_dict.setdefault(name, metric)
        tables.metric_information.setdefault(name, metric.metric_need)
        tables.metric_types.setdefault(name, metric.metric_type)
