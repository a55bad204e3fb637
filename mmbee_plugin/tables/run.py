"""A cell of the labelled tables: one model trained with one seed, its scores on validation and test, its cost."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import recbole
import torch
from numpy.typing import NDArray
from recbole.data import data_preparation
from recbole.utils import get_model, get_trainer, init_seed
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import mmbee_plugin.recbole  # noqa: F401  (registers with RecBole)
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.report import PeakMemory, plain_settings
from mmbee_plugin.recbole.run import build_config, run_log, seeded_dataset
from mmbee_plugin.recbole.trainer import MAY_DIFFER, resumable
from mmbee_plugin.tables.cells import Cell, Job
from mmbee_plugin.tables.code import code_digest

KIND = "labelled 1"
"""the form of these cells; a change in what they hold is another number"""

SPLITS = ("valid", "test")
OF_THE_RUN = (MAY_DIFFER - {"epochs", "stopping_step"}) | {"dataset_hash", "seed"}
"""settings that are no part of a cell's key, or stand in it on their own"""
OF_THE_GRAPH = (
    "metapaths",
    "graph",
    "graphcl",
    "node_tables",
    "embedding_size",
    "modalities",
    "attributes",
    "seed",
)
"""settings that make the graph stage what it is"""


def labelled_jobs(
    name: str, model: str, folder: DatasetFolder, given: Mapping[str, Any], seeds: Sequence[int]
) -> list[Job]:
    """The jobs of one row's cells, one a seed.

    Raises:
        InputError: a setting that the model or the data refuse, or an evaluation that is not on labelled samples.
    """
    config = build_config(model, folder, dict(given))
    if set(config["eval_args"]["mode"].values()) != {"labeled"}:
        raise InputError(
            f"{folder.name}: evaluates by ranking; AUC needs labelled samples, eval_args.mode labeled (see "
            "recbole_configs/labelled.yaml)"
        )
    settings = plain_settings({k: v for k, v in config.final_config_dict.items() if k not in OF_THE_RUN})
    key = {"kind": KIND, "data": folder.hash, "settings": settings, **state_of_the_code(model)}
    return [
        Job(
            f"{name}, seed {seed}",
            {**key, "seed": seed},
            labelled_cell,
            (model, folder.path, dict(given), seed),
        )
        for seed in seeds
    ]


def labelled_cell(model: str, path: Path, given: Mapping[str, Any], seed: int) -> Cell:
    """Trains a model and scores the validation and test rows with the weights of its best epoch.

    Returns:
        arrays: per split ``<split> users`` (n,) int32 rows of the folder, ``labels`` (n,) bool, ``scores`` (n,) float32
        and, with time, ``times`` (n,) float64 in the file's unit.
        facts: valid (its own metrics), seconds, epochs, train_samples_per_s, infer_samples_per_s, flops a sample,
        parameters, peak_rss_mb, given, versions.
    """
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
                network = get_model(model)(config, train._dataset).to(config["device"])
            trainer = resumable(get_trainer(config["MODEL_TYPE"], model))(config, network)
            trainer._train_epoch, training = _timed(trainer._train_epoch)
            _, valid = trainer.fit(train, evaluated[0], verbose=False, saved=True, show_progress=False)
            trainer.evaluate(evaluated[0], load_best_model=True)  # puts the best epoch's weights back
            network.eval()
            origin = _origin(folder)
            arrays: dict[str, NDArray] = {}
            inference = 0.0
            for split, loader in zip(SPLITS, evaluated, strict=True):
                columns, seconds = predictions(network, loader, origin)
                arrays |= {f"{split} {name}": values for name, values in columns.items()}
                inference += seconds
            batch = next(iter(evaluated[1]))[0].to(config["device"])
    scored = sum(len(arrays[f"{split} scores"]) for split in SPLITS)
    trained = len(training) * rows_of(train)
    facts = {
        "model": model,
        "given": plain_settings(given),
        "seed": seed,
        "valid": {name: float(value) for name, value in valid.items()},
        "epochs": len(training),
        "seconds": round(time.perf_counter() - begun - waited, 3),
        "train_samples_per_s": round(trained / sum(training), 1),
        "infer_samples_per_s": round(scored / inference, 1),
        "flops": flops(lambda: network.predict(batch)) / len(batch),
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "peak_rss_mb": round(memory.megabytes(), 1),
        "versions": versions(),
    }
    return Cell(arrays, facts)


@torch.no_grad()
def predictions(network: Any, loader: Any, origin: float | None = None) -> tuple[dict[str, NDArray], float]:
    """Every row of a labelled loader with its score.

    Args:
        origin: what the dataset's times count from; None where there is no time.

    Returns:
        users, labels, scores and times as in :func:`labelled_cell`, in the loader's order; and the seconds it took.
    """
    dataset = loader._dataset
    fields = {"users": dataset.uid_field, "labels": dataset.label_field}
    if origin is not None:
        fields["times"] = dataset.time_field
    parts: dict[str, list[torch.Tensor]] = {name: [] for name in (*fields, "scores")}
    begun = time.perf_counter()
    for batch, *_ in loader:
        parts["scores"].append(network.predict(batch.to(network.device)).float().cpu())
        for name, field in fields.items():
            parts[name].append(batch[field].cpu())
    seconds = time.perf_counter() - begun
    found = {name: torch.cat(values).numpy() for name, values in parts.items()}
    found["users"] = dataset.user_rows[found["users"]].astype(np.int32)
    found["labels"] = found["labels"] > 0
    if origin is not None:
        found["times"] = found["times"].astype(np.float64) + origin
    return found, seconds


def flops(forward: Callable[[], object]) -> int:
    """Floating point operations of one call, a multiplication and its addition counting two.

    Counted are products of matrices, as ``torch.utils.flop_counter`` does; look-ups and element-wise work are not.
    Attention runs by its formula, since the counter does not know the CPU's fused one.
    """
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        forward()
    return counter.get_total_flops()


def rows_of(loader: Any) -> int:
    """Rows that one epoch trains on; drawn negatives do not count."""
    return len(loader.rows) if hasattr(loader, "rows") else len(loader._dataset)


def state_of_the_code(model: str, *modules: str) -> dict[str, str]:
    """The part of a cell's key that says which code makes it: that of a run of the model, and further modules."""
    own = ("mmbee_plugin.recbole.run", "mmbee_plugin.recbole.trainer", get_model(model).__module__)
    return {
        "code": code_digest(*own, *modules),
        "torch": torch.__version__,
        "recbole": recbole.__version__,
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


def _timed(work: Callable[..., Any]) -> tuple[Callable[..., Any], list[float]]:
    """``work``, and a list to which every call adds its seconds."""
    seconds: list[float] = []

    def timed(*arguments: Any, **named: Any) -> Any:
        begun = time.perf_counter()
        result = work(*arguments, **named)
        seconds.append(time.perf_counter() - begun)
        return result

    return timed, seconds


def _origin(folder: DatasetFolder) -> float | None:
    """The earliest time of the folder, from which its dataset counts."""
    if not folder.ordered:
        return None
    times = folder.interactions().timestamps
    return None if times is None else float(times.min())


@contextmanager
def _one_builds(config: Any, folder: DatasetFolder) -> Iterator[float]:
    """Cells that read the same graph build it once: the others wait for the first. Yields the seconds waited."""
    if config["interest"] in (None, "none"):
        yield 0.0
        return
    chosen = json.dumps([folder.hash, *(str(config[name]) for name in OF_THE_GRAPH)])
    digest = hashlib.sha256(chosen.encode()).hexdigest()[:16]
    begun = time.perf_counter()
    with (Path(tempfile.gettempdir()) / f"mmbee-graph-{os.getuid()}-{digest}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield time.perf_counter() - begun
