"""Trains the model of one cell, for all tables alike, and records its cost."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import recbole
import torch
from recbole.data import data_preparation
from recbole.utils import ModelType, get_model, get_trainer, init_seed

from mmbee_plugin.command.memory import PeakMemory
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.writer import SPLITS
from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.code import code_digest
from mmbee_plugin.experiments.cost import CPUClock, cpu_seconds, parameter_counts
from mmbee_plugin.modules.parts import reads_graph
from mmbee_plugin.recbole.config.given import given_settings
from mmbee_plugin.recbole.config.known import check_given
from mmbee_plugin.recbole.config.sources import of_model, plain_settings
from mmbee_plugin.recbole.run import build_config, seeded_dataset
from mmbee_plugin.recbole.training import checkpoint
from mmbee_plugin.recbole.training.checkpoint import MAY_DIFFER
from mmbee_plugin.recbole.training.logs import run_log
from mmbee_plugin.recbole.training.trainer import resumable

EVALUATED = SPLITS[1:]
"""splits whose scores a cell holds"""
OF_THE_RUN = (MAY_DIFFER - {"epochs", "stopping_step"}) | {"dataset_hash", "seed"}
"""settings left out of a cell's key, or with an entry of their own there"""
OF_THE_GRAPH = (
    *("metapaths", "graph", "graphcl", "node_tables", "embedding_size", "modalities", "attributes"),
    "seed",
)
"""settings that the graph stage depends on"""


class TimeUpError(Exception):
    """The time limit of a training has passed."""


def check_split(split: str) -> None:
    """Raises InputError for a split outside :data:`EVALUATED`."""
    if split not in EVALUATED:
        raise InputError(f"--split {split!r}: one of {', '.join(EVALUATED)} is needed")


def cells_given(models: Sequence[str], arguments: Sequence[str]) -> dict[str, Any]:
    """Settings of a command's cells from its arguments ``--key=value``.

    Raises:
        InputError: one that no model knows, or ``seed``, of which each cell has its own.
    """
    given = given_settings(None, arguments)
    check_given(given, list(models))
    for model in models:
        if "seed" in (own := of_model(given, model)):
            raise InputError(
                f"seed {own['seed']}: trainings here have seeds of their own; --seeds says how many"
            )
    return given


def settings_given(model: str, arguments: Sequence[str]) -> dict[str, Any]:
    """As :func:`cells_given`, of one model."""
    return of_model(cells_given([model], arguments), model)


def data_of_the_key(folder: DatasetFolder) -> dict[str, Any]:
    """What a cell depends on of its data: the files, and how ``dataset.json`` has them read."""
    return {"hash": folder.hash, **folder.read_as}


@dataclass
class Training:
    """A model with its data, before and after :meth:`fit`.

    Attributes:
        train, evaluated: RecBole's loaders; ``evaluated`` has one for each of :data:`EVALUATED`.
        clock: runs while it trains; a closed form is solved when the model is made, which counts too.
        valid: metrics of the best validation. curve: (epoch, validation metric) of every evaluation.
    """

    model: str
    folder: DatasetFolder
    given: Mapping[str, Any]
    seed: int
    config: Any
    network: Any
    trainer: Any
    train: Any
    evaluated: list[Any]
    begun: float
    """start by :func:`time.perf_counter`, moved on by the seconds spent waiting for another cell's graph."""
    cpu_begun: float
    """start by :func:`~mmbee_plugin.experiments.cost.cpu_seconds`"""
    memory: PeakMemory
    clock: CPUClock
    valid: dict[str, float] = field(default_factory=dict)
    curve: list[tuple[int, float]] = field(default_factory=list)

    def fit(self) -> None:
        """Trains, then loads the weights of the epoch that was best on validation."""
        self._fit(None, saved=True)
        best = checkpoint.load(self.trainer.saved_model_file, self.config["device"])
        self.network.load_state_dict(best["state_dict"])
        self.network.load_other_parameter(best["other_parameter"])
        self.network.eval()

    def try_out(self, seconds: float) -> bool:
        """Trains for validation metrics, without checkpoints; stops at the first evaluation after ``seconds``.

        Args:
            seconds: limit of :attr:`cpu_spent`, so that other work on the machine cuts nothing short.

        Returns:
            whether it was stopped by the limit.
        """
        try:
            self._fit(seconds, saved=False)
        except TimeUpError:
            return True
        return False

    @property
    def cpu_spent(self) -> float:
        """CPU seconds since its preparation began, with the graph stage where none was kept."""
        return cpu_seconds() - self.cpu_begun

    @property
    def best_epoch(self) -> int:
        """The epoch, from 1, whose weights RecBole keeps: of equally good ones the last."""
        sign = 1 if self.config["valid_metric_bigger"] else -1
        return max(reversed(self.curve), key=lambda each: sign * each[1], default=(0, 0.0))[0] + 1

    def facts(self) -> dict[str, Any]:
        """Facts of the cell: settings, validation metrics, cost so far, versions."""
        seconds = self.trainer.epoch_seconds
        epochs = len(seconds)
        return {
            "model": self.model,
            "given": plain_settings(self.given),
            "seed": self.seed,
            **cost_facts(self.folder, self.begun, self.memory),
            "valid": self.valid,
            "epochs": epochs,
            "best_epoch": self.best_epoch,
            "epoch_seconds": round(sum(seconds) / max(1, epochs), 3),
            "train_samples_per_s": round(epochs * rows_of(self.train) / max(1e-9, sum(seconds)), 1),
            "train_cpu_seconds": self.clock.per(1),
            **parameter_counts(self.network, self.train.dataset.user_num, self.train.dataset.item_num),
        }

    def _fit(self, seconds: float | None, saved: bool) -> None:
        def evaluated(epoch: int, score: float) -> None:
            self.curve.append((epoch, float(score)))
            if seconds is not None and self.cpu_spent > seconds:
                raise TimeUpError

        try:
            with self.clock.running():
                self.trainer.fit(
                    self.train,
                    self.evaluated[0],
                    verbose=False,
                    saved=saved,
                    show_progress=False,
                    callback_fn=evaluated,
                )
        finally:
            found = self.trainer.best_valid_result or {}
            self.valid = {name: float(value) for name, value in found.items()}


@contextmanager
def prepared(model: str, path: Path, given: Mapping[str, Any], seed: int) -> Iterator[Training]:
    """A model of RecBole's registry on the dataset folder ``path``, ready to train; checkpoints are deleted on exit."""
    begun, cpu_begun, memory = time.perf_counter(), cpu_seconds(), PeakMemory()
    folder = DatasetFolder(path)
    with tempfile.TemporaryDirectory() as checkpoints, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own = {"seed": seed, "show_progress": False, "checkpoint_dir": checkpoints}
        config = build_config(model, folder, {**given, **own})
        with run_log(config, quiet=True):
            train, *evaluated = data_preparation(config, seeded_dataset(config))
            init_seed(seed, config["reproducibility"])
            clock = CPUClock()
            solved = config["MODEL_TYPE"] == ModelType.TRADITIONAL
            with _one_builds(config, folder) as waited, clock.running() if solved else nullcontext():
                network = get_model(model)(config, train.dataset).to(config["device"])
            trainer = resumable(get_trainer(config["MODEL_TYPE"], model))(config, network)
            yield Training(
                *(model, folder, given, seed, config, network, trainer, train, evaluated),
                begun=begun + waited,
                cpu_begun=cpu_begun,
                memory=memory,
                clock=clock,
            )


def ran_away(error: ValueError) -> bool:
    """Whether this is RecBole's error for a NaN loss."""
    return "nan" in str(error).lower()


def rows_of(loader: Any) -> int:
    """Training rows of one epoch, sampled negatives not counted."""
    return len(loader.rows) if hasattr(loader, "rows") else len(loader.dataset)


def settings_of_the_key(config: Any) -> dict[str, Any]:
    """Settings in effect that a cell depends on."""
    return plain_settings({k: v for k, v in config.final_config_dict.items() if k not in OF_THE_RUN})


def state_of_the_code(model: str, *modules: str) -> dict[str, str]:
    """Part of a cell's key: digest of the code that a run of the model executes and of further modules, versions."""
    made_from = sorted({base.__module__ for base in get_model(model).__mro__})
    return {
        "code": code_digest(
            "mmbee_plugin.recbole.run", "mmbee_plugin.recbole.training.trainer", *made_from, *modules
        ),
        "torch": torch.__version__,
        "recbole": recbole.__version__,
    }


def cost_facts(folder: DatasetFolder, begun: float, memory: PeakMemory) -> dict[str, Any]:
    """Facts of every cell: its data, seconds since ``begun``, peak memory in MB (10^6 bytes), versions."""
    return {
        "data": {"name": folder.name, "counts": dict(folder.counts), "hash": folder.hash},
        "seconds": round(time.perf_counter() - begun, 3),
        "peak_rss_mb": round(memory.megabytes(), 1),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Versions of Python and libraries, and the machine."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "recbole": recbole.__version__,
        "numpy": np.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }


@contextmanager
def _one_builds(config: Any, folder: DatasetFolder) -> Iterator[float]:
    """Locks the graph that a model reads, so that cells of one graph build it once. Yields the seconds waited."""
    if not reads_graph(config["interest"], config["metapaths"]):
        yield 0.0
        return
    chosen = json.dumps([folder.hash, *(str(config[name]) for name in OF_THE_GRAPH)])
    digest = hashlib.sha256(chosen.encode()).hexdigest()[:16]
    begun = time.perf_counter()
    with (Path(tempfile.gettempdir()) / f"mmbee-graph-{os.getuid()}-{digest}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield time.perf_counter() - begun
