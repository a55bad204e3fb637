"""One model trained for a cell, in the same way for every table, with what it cost."""

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
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import recbole
import torch
from recbole.data import data_preparation
from recbole.utils import get_model, get_trainer, init_seed

from mmbee_plugin.command.memory import PeakMemory
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.writer import SPLITS
from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.code import code_digest
from mmbee_plugin.modules.parts import reads_graph
from mmbee_plugin.recbole.config import options
from mmbee_plugin.recbole.config.known import check_given
from mmbee_plugin.recbole.config.sources import of_model, plain_settings
from mmbee_plugin.recbole.run import build_config, seeded_dataset
from mmbee_plugin.recbole.training import checkpoint
from mmbee_plugin.recbole.training.checkpoint import MAY_DIFFER
from mmbee_plugin.recbole.training.logs import run_log
from mmbee_plugin.recbole.training.trainer import resumable

EVALUATED = SPLITS[1:]
"""the splits that a cell has scores of"""
OF_THE_RUN = (MAY_DIFFER - {"epochs", "stopping_step"}) | {"dataset_hash", "seed"}
"""settings that are no part of a cell's key, or stand in it on their own"""
OF_THE_GRAPH = (
    *("metapaths", "graph", "graphcl", "node_tables", "embedding_size", "modalities", "attributes"),
    "seed",
)
"""settings that make the graph stage what it is"""


class TimeUpError(Exception):
    """The seconds of a training are over."""


def check_split(split: str) -> None:
    """Raises InputError for a split that no cell has."""
    if split not in EVALUATED:
        raise InputError(f"--split {split!r}: one of {', '.join(EVALUATED)} is needed")


def settings_given(model: str, arguments: Sequence[str]) -> dict[str, Any]:
    """The settings among a command's arguments, ``--key=value``, as those of one model. Raises InputError."""
    given = options.given_settings(None, arguments)
    check_given(given, [model])
    return of_model(given, model)


@dataclass
class Training:
    """A model with its data, before and after :meth:`fit`.

    Attributes:
        train, evaluated: RecBole's loaders; ``evaluated`` are those of :data:`EVALUATED`.
        curve: (epoch, validation metric) of every evaluation while training.
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
    """on the clock of :func:`time.perf_counter`, without the time waited for another cell's graph."""
    memory: PeakMemory
    valid: dict[str, float] = field(default_factory=dict)
    curve: list[tuple[int, float]] = field(default_factory=list)

    def fit(self) -> None:
        """Trains; then the network has the weights of the epoch that was best on validation."""
        self._fit(None, saved=True)
        best = checkpoint.load(self.trainer.saved_model_file, self.config["device"])
        self.network.load_state_dict(best["state_dict"])
        self.network.load_other_parameter(best["other_parameter"])
        self.network.eval()

    def try_out(self, seconds: float) -> bool:
        """Trains for the validation metrics alone, at most about ``seconds`` from the beginning on.

        Returns:
            whether it was cut short, by the first evaluation after that time.
        """
        try:
            self._fit(seconds, saved=False)
        except TimeUpError:
            return True
        return False

    def facts(self) -> dict[str, Any]:
        """What to keep beside the arrays of a cell: settings, validation metrics, cost so far, versions."""
        seconds = self.trainer.epoch_seconds
        epochs = len(seconds)
        sign = 1 if self.config["valid_metric_bigger"] else -1
        best = max(self.curve, key=lambda each: sign * each[1], default=(0, 0.0))
        return {
            "model": self.model,
            "given": plain_settings(self.given),
            "seed": self.seed,
            **cost_facts(self.folder, self.begun, self.memory),
            "valid": self.valid,
            "epochs": epochs,
            "best_epoch": best[0] + 1,
            "epoch_seconds": round(sum(seconds) / max(1, epochs), 3),
            "train_samples_per_s": round(epochs * rows_of(self.train) / max(1e-9, sum(seconds)), 1),
            "parameters": sum(weight.numel() for weight in self.network.parameters()),
        }

    def _fit(self, seconds: float | None, saved: bool) -> None:
        def evaluated(epoch: int, score: float) -> None:
            self.curve.append((epoch, float(score)))
            if seconds is not None and time.perf_counter() - self.begun > seconds:
                raise TimeUpError

        try:
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
    """A model of RecBole's registry on the dataset folder at ``path``, ready to be trained; its checkpoints are gone
    afterwards."""
    begun, memory = time.perf_counter(), PeakMemory()
    folder = DatasetFolder(path)
    with tempfile.TemporaryDirectory() as checkpoints, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own = {"seed": seed, "show_progress": False, "checkpoint_dir": checkpoints}
        config = build_config(model, folder, {**given, **own})
        with run_log(config, quiet=True):
            train, *evaluated = data_preparation(config, seeded_dataset(config))
            init_seed(seed, config["reproducibility"])
            with _one_builds(config, folder) as waited:
                network = get_model(model)(config, train.dataset).to(config["device"])
            trainer = resumable(get_trainer(config["MODEL_TYPE"], model))(config, network)
            yield Training(
                *(model, folder, given, seed, config, network, trainer, train, evaluated),
                begun=begun + waited,
                memory=memory,
            )


def ran_away(error: ValueError) -> bool:
    """Whether it is RecBole's for a loss that is no number."""
    return "nan" in str(error).lower()


def rows_of(loader: Any) -> int:
    """Rows that one epoch trains on; drawn negatives do not count."""
    return len(loader.rows) if hasattr(loader, "rows") else len(loader.dataset)


def settings_of_the_key(config: Any) -> dict[str, Any]:
    """The settings in effect that a cell depends on."""
    return plain_settings({k: v for k, v in config.final_config_dict.items() if k not in OF_THE_RUN})


def state_of_the_code(model: str, *modules: str) -> dict[str, str]:
    """The part of a cell's key that says which code makes it: that of a run of the model, and further modules."""
    made_from = sorted({base.__module__ for base in get_model(model).__mro__})
    return {
        "code": code_digest(
            "mmbee_plugin.recbole.run", "mmbee_plugin.recbole.training.trainer", *made_from, *modules
        ),
        "torch": torch.__version__,
        "recbole": recbole.__version__,
    }


def cost_facts(folder: DatasetFolder, begun: float, memory: PeakMemory) -> dict[str, Any]:
    """What every cell keeps: its data, what it cost since ``begun``, and what it ran on."""
    return {
        "data": {"name": folder.name, "counts": dict(folder.counts), "hash": folder.hash},
        "seconds": round(time.perf_counter() - begun, 3),
        "peak_rss_mb": round(memory.megabytes(), 1),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """What the cell ran on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "recbole": recbole.__version__,
        "numpy": np.__version__,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }


@contextmanager
def _one_builds(config: Any, folder: DatasetFolder) -> Iterator[float]:
    """Cells that read the same graph build it once: the others wait for the first. Yields the seconds waited."""
    if not reads_graph(config["interest"], config["metapaths"]):
        yield 0.0
        return
    chosen = json.dumps([folder.hash, *(str(config[name]) for name in OF_THE_GRAPH)])
    digest = hashlib.sha256(chosen.encode()).hexdigest()[:16]
    begun = time.perf_counter()
    with (Path(tempfile.gettempdir()) / f"mmbee-graph-{os.getuid()}-{digest}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield time.perf_counter() - begun
