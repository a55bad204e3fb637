"""Fixes of RecBole 1.2.1 on current libraries: four failures, one slowdown, one clash of file names.

**Checkpoints** (torch >= 2.6). RecBole calls ``torch.save`` on dicts that hold its `Config` object and
``torch.load`` without ``weights_only=False``, so since torch 2.6 `Trainer.evaluate` (after every training
with ``saved=True``), `Trainer.resume_checkpoint`, `load_data_and_model` and the models that start from a
pre-trained file all fail.

Pickles stay untrusted. In RecBole's modules that read or write checkpoints the name ``torch`` is bound to a
`Substitute`, whose ``save`` writes such a dict as plain data (`mmbee_plugin.recbole.training.checkpoint`) and whose
``load`` reads it back with ``weights_only=True`` and the `Config` rebuilt; other pickles are refused. Torch itself is
unchanged for all other callers. `load_data_and_model` imports torch in its body, so its code is replaced, which also
reaches modules that imported it before.

**Exhaustive search** (hyperopt 0.2.7, the newest). RecBole's default algorithm in `HyperTuning` draws with a
numpy `RandomState`; hyperopt calls ``integers`` on it, which only the newer `Generator` has. In RecBole's module the
name ``np`` is bound to a `Substitute` whose `RandomState` has that method.

**Names that NumPy 2 dropped.** RecBole's `Config` gives NumPy's old aliases, such as ``np.float``, back to its other
modules, by way of ``np.float_``, ``np.complex_`` and ``np.unicode_``, which NumPy 2 does not have.

**Matrices by keys** (SciPy >= 1.13). LightGCN and six other models fill a ``dok_matrix`` through its ``_update``, which
SciPy no longer has. In their modules ``sp`` is bound to a `Substitute` whose ``dok_matrix`` has it.

**Anomaly detection.** RecBole's SINE module switches autograd's anomaly detection on at import, which every lookup or
import of a sequential model (SASRec, DIN, ...) triggers: each operation then keeps its formatted traceback, which makes
epochs of DIN and SASRec much longer (``benchmarks/epochs.py``). The module is imported here and the switch restored; if
it was imported before, the switch is turned off.

**File names.** RecBole names checkpoints, logs and TensorBoard folders by the second, so that runs started in the same
second share them, and one loads the other's weights. Random digits are appended to the time in such names, except in
distributed runs, whose processes have to agree on it.
"""

import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec
from logging import getLogger
from types import ModuleType
from typing import Any

import numpy as np
import scipy.sparse
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.trainer import hyper_tuning
from recbole.utils import get_local_time, get_model, init_logger, init_seed

from mmbee_plugin.files import stamp
from mmbee_plugin.recbole.training import checkpoint

NAMING = ("recbole.trainer.trainer", "recbole.utils.logger", "recbole.utils.utils")
"""modules of RecBole that name files by the time"""
QUICK_START = "recbole.quick_start.quick_start"
SINE = "recbole.model.sequential_recommender.sine"
PRETRAINED = (
    *(f"general_recommender.{name}" for name in ("convncf", "nais", "neumf", "ract")),
    "context_aware_recommender.kd_dagfm",
    "sequential_recommender.s3rec",
)
"""RecBole's models that load pre-trained weights from a file"""
BY_KEYS = (
    *(f"general_recommender.{name}" for name in ("gcmc", "lightgcn", "ncl", "ngcf", "spectralcf")),
    *(f"knowledge_aware_recommender.{name}" for name in ("kgin", "mcclk")),
)
"""RecBole's models that fill a matrix by ``dok_matrix._update``"""
OLD_NAMES = {
    "bool": np.bool_,
    "int": np.int_,
    "float": np.float64,
    "complex": np.complex128,
    "object": np.object_,
    "str": np.str_,
    "long": np.int_,
    "unicode": np.str_,
}
"""NumPy's names that RecBole reads -> the types that its Config gives them on NumPy 1"""


class Substitute(ModuleType):
    """A proxy of a module with some names replaced."""

    def __init__(self, module: ModuleType, **replaced: Any) -> None:
        super().__init__(module.__name__)
        self._module = module
        vars(self).update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


class _RandomState(np.random.RandomState):
    """A `RandomState` with the one method of `Generator` that hyperopt calls."""

    def integers(self, low: int, high: int | None = None, size: Any = None) -> Any:
        """As ``Generator.integers``: `high` is exclusive."""
        return self.randint(low, high, size)


class _DokMatrix(scipy.sparse.dok_matrix):
    """A `dok_matrix` with the method that RecBole calls."""

    def _update(self, entries: Mapping[tuple[int, int], float]) -> None:
        """Sets many entries without checks; keys are (row, column)."""
        self._dict.update(entries)


def _give_old_names(_config: Config) -> None:
    """The new body of ``Config.compatibility_settings``."""
    for name, kind in OLD_NAMES.items():
        setattr(np, name, kind)


def _save(obj: Any, f: Any, *args: Any, **kwargs: Any) -> None:
    if isinstance(obj, Mapping) and isinstance(obj.get("config"), Config):
        checkpoint.save(obj, f)
    else:
        torch.save(obj, f, *args, **kwargs)


def _load(f: Any, map_location: Any = None, **kwargs: Any) -> Any:
    if isinstance(f, str | os.PathLike):
        return checkpoint.load_plain(f, map_location)
    return torch.load(f, map_location, **kwargs)


TORCH = Substitute(torch, save=_save, load=_load)
NUMPY = Substitute(np, random=Substitute(np.random, RandomState=_RandomState))
SPARSE = Substitute(scipy.sparse, dok_matrix=_DokMatrix)


def install() -> None:
    """Applies all six; a second call changes nothing."""
    _leave_anomaly_detection()
    Config.compatibility_settings = _give_old_names
    if not hasattr(scipy.sparse.dok_matrix, "_update"):
        for module in BY_KEYS:
            vars(importlib.import_module(f"recbole.model.{module}"))["sp"] = SPARSE
    for module in NAMING:
        vars(importlib.import_module(module))["get_local_time"] = _time_of_a_name
    for module in ("recbole.trainer.trainer", *(f"recbole.model.{name}" for name in PRETRAINED)):
        vars(importlib.import_module(module))["torch"] = TORCH
    vars(hyper_tuning)["np"] = NUMPY
    _once_imported(QUICK_START, _replace_body)


def _time_of_a_name() -> str:
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return get_local_time() if distributed else stamp()


def _leave_anomaly_detection() -> None:
    if SINE in sys.modules:
        before = False
    else:
        before = torch.is_anomaly_enabled()
        importlib.import_module(SINE)
    torch.autograd.set_detect_anomaly(before, torch.is_anomaly_check_nan_enabled())


def _once_imported(name: str, change: Callable[[ModuleType], None]) -> None:
    """Changes a module now, or as soon as it is imported: this one brings ray with it, which most runs never need."""
    if name in sys.modules:
        change(sys.modules[name])
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder(name, change))


class _Finder:
    """Finds one module as all others do, and changes it once it has been executed."""

    def __init__(self, name: str, change: Callable[[ModuleType], None]) -> None:
        self.name, self.change = name, change

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if name != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None and spec.loader is not None
        execute = spec.loader.exec_module

        def executed(module: ModuleType) -> None:
            execute(module)
            self.change(module)

        spec.loader.exec_module = executed  # type: ignore[method-assign]
        return spec


def _replace_body(quick_start: ModuleType) -> None:
    quick_start.load_data_and_model.__code__ = _load_data_and_model.__code__


def _load_data_and_model(model_file: str) -> Any:
    """The new code of RecBole's function; it runs with RecBole's globals, hence the import."""
    from mmbee_plugin.recbole import compat

    return compat.load_data_and_model(model_file)


def load_data_and_model(model_file: str) -> tuple[Any, ...]:
    """RecBole's function of this name for checkpoints of plain data: rebuilds a trained model with its data.

    Returns:
        config, model, dataset, and the loaders of training, validation and test.

    Raises:
        InputError: as `checkpoint.load`.
    """
    state = checkpoint.load(model_file)
    config = state["config"]
    init_logger(config)
    getLogger().info(config)
    init_seed(config["seed"], config["reproducibility"])
    dataset = create_dataset(config)
    loaders = data_preparation(config, dataset)
    init_seed(config["seed"], config["reproducibility"])
    model = get_model(config["model"])(config, loaders[0]._dataset).to(config["device"])
    model.load_state_dict(state["state_dict"])
    model.load_other_parameter(state["other_parameter"])
    return config, model, dataset, *loaders
