"""What RecBole 1.2.1 needs to run on today's libraries, and nothing more. Two things break, one takes time, one may
mix up runs.

**Checkpoints** (torch >= 2.6). RecBole calls ``torch.save`` on dicts that hold its `Config` object and
``torch.load`` without ``weights_only=False``, so since torch 2.6 `Trainer.evaluate` (after every training
with ``saved=True``), `Trainer.resume_checkpoint`, `load_data_and_model` and the models that start from a
pre-trained file all fail.

The fix is not to trust pickles again. While the caller is a module of RecBole's, ``torch.save`` of such a
dict writes plain data (`mmbee_plugin.recbole.training.checkpoint`), and ``torch.load`` reads it back with
``weights_only=True`` and the `Config` rebuilt. Any other caller gets torch's own functions, unchanged. A
pickle from elsewhere is refused.

**Exhaustive search** (hyperopt 0.2.7, the newest). RecBole's default algorithm in `HyperTuning` draws with a
numpy `RandomState`; hyperopt calls ``integers`` on it, which only the newer `Generator` has. It gets that
method for the duration of the call.

**Anomaly detection.** The module of RecBole's SINE switches autograd's on, and with it every process that looks up or
imports one of RecBole's sequential models (SASRec, DIN, ...): each operation then keeps its formatted traceback, which
makes epochs of DIN and SASRec much longer (``benchmarks/epochs.py``). The module is imported here, and the switch put
back to where it was; where it was imported before, the switch is taken to be its doing and goes off.

**File names.** RecBole names checkpoints, logs and TensorBoard folders after the second, so that runs which start in
one second share them, and one loads the other's weights. Where it asks for the time of such a name it gets random
digits with it; not in a run of several processes, which have to agree on it.
"""

import functools
import importlib
import os
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from recbole.config import Config
from recbole.trainer import hyper_tuning
from recbole.utils import get_local_time

from mmbee_plugin.files import stamp
from mmbee_plugin.recbole.training import checkpoint

NAMING = ("recbole.trainer.trainer", "recbole.utils.logger", "recbole.utils.utils")
"""modules of RecBole that name files after the time"""
SINE = "recbole.model.sequential_recommender.sine"


def _called_by_recbole() -> bool:
    caller = sys._getframe(2).f_globals.get("__name__", "")
    return caller == "recbole" or caller.startswith("recbole.")


def install() -> None:
    """Makes all four; a second call changes nothing."""
    _leave_anomaly_detection()
    for module in NAMING:
        vars(importlib.import_module(module))["get_local_time"] = _time_of_a_name
    if not hasattr(torch.load, "__mmbee__"):
        _keep_checkpoints_plain()
    if not hasattr(hyper_tuning.exhaustive_search, "__mmbee__"):
        _let_hyperopt_draw_integers()


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


def _keep_checkpoints_plain() -> None:
    torch_save, torch_load = torch.save, torch.load

    @functools.wraps(torch_save)
    def save(obj: Any, f: Any, *args: Any, **kwargs: Any) -> None:
        if _called_by_recbole() and isinstance(obj, Mapping) and isinstance(obj.get("config"), Config):
            checkpoint.save(obj, f)
        else:
            torch_save(obj, f, *args, **kwargs)

    @functools.wraps(torch_load)
    def load(f: Any, map_location: Any = None, *args: Any, **kwargs: Any) -> Any:
        if _called_by_recbole() and isinstance(f, str | os.PathLike):
            return checkpoint.load_plain(f, map_location)
        return torch_load(f, map_location, *args, **kwargs)

    vars(save)["__mmbee__"] = vars(load)["__mmbee__"] = True
    torch.save, torch.load = save, load


class _RandomState(np.random.RandomState):
    """A `RandomState` with the one method of `Generator` that hyperopt calls."""

    def integers(self, low: int, high: int | None = None, size: Any = None) -> Any:
        """As ``Generator.integers``: `high` is left out."""
        return self.randint(low, high, size)


def _let_hyperopt_draw_integers() -> None:
    stock = hyper_tuning.exhaustive_search

    @functools.wraps(stock)
    def exhaustive_search(*args: Any, **kwargs: Any) -> Any:
        kept, np.random.RandomState = np.random.RandomState, _RandomState  # type: ignore[misc]
        try:
            return stock(*args, **kwargs)
        finally:
            np.random.RandomState = kept  # type: ignore[misc]

    exhaustive_search.__mmbee__ = True  # type: ignore[attr-defined]
    hyper_tuning.exhaustive_search = exhaustive_search
