"""One process of an evaluation, for test_evaluate.py: the metrics of what all processes see together."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from mmbee_plugin.errors import InputError
from mmbee_plugin.torchrec.batches.inputs import Inputs, open_store
from mmbee_plugin.torchrec.batches.maker import BatchMaker
from mmbee_plugin.torchrec.batches.reader import EvalReader
from mmbee_plugin.torchrec.processes.launch import Process, process_group
from mmbee_plugin.torchrec.settings import parse_settings
from mmbee_plugin.torchrec.sharded.initial import InitialRows, write_initial
from mmbee_plugin.torchrec.sharded.model import TrainModel
from mmbee_plugin.torchrec.sharded.sharding import shard
from mmbee_plugin.torchrec.training import evaluate
from mmbee_plugin.torchrec.training.evaluate import Evaluator
from mmbee_plugin.torchrec.training.labelled import labelled_metrics

TOPK = (5, 20)
MODELS = {"ranked": {"backbone": "mean"}, "ranked with a cross part": {"backbone": "sim"}}


def main(shards: Path, rated: Path, output: Path) -> None:
    """Evaluates in batches that divide neither users nor authors evenly."""
    evaluate.AUTHORS_AT_ONCE, evaluate.USERS_AT_ONCE, evaluate.SAMPLES_AT_ONCE = 70, 33, 7
    evaluate.CELLS = 33 * 90
    results: dict[str, dict[str, float] | str] = {}
    with process_group(60) as process:
        for name, model in MODELS.items():
            judge = evaluator(shards, model, process)
            results[name] = judge.ranking(EvalReader(judge.store, "valid"), TOPK)
        judge = evaluator(rated, {"interest": "none", "loss": "bce"}, process)
        results["labelled"] = judge.labelled(EvalReader(judge.store, "test"))
        for name, columns in samples().items():
            share = dealt(process.rank, process.world_size, len(columns[0]))
            try:
                results[name] = labelled_metrics(*(column[share] for column in columns), process.device)
            except InputError as error:
                results[name] = str(error)
    (output / f"{process.rank}.json").write_text(json.dumps(results))


def evaluator(shards: Path, model: dict[str, str], process: Process) -> Evaluator:
    """A small model, its dense part the same on every process, its vectors large enough to matter."""
    tables = {name: {"sharding": "row_wise"} for name in ("user", "author", "query", "nodes", "words")}
    content = {
        "data": {"shards": str(shards)},
        "model": {"width": 16, "init_std": 0.3, **model},
        "tables": tables,
    }
    settings = parse_settings(content, "test")
    torch.manual_seed(0)
    store = open_store(settings)
    inputs = Inputs.of(settings.model, store)
    distributed, _ = shard(TrainModel(inputs), settings, process.device)
    nodes = store.nodes() if inputs.pools else None
    write_initial(distributed.module.tables, InitialRows(inputs, 0, nodes))
    return Evaluator(distributed, BatchMaker(store, settings, process.rank, process.world_size), process)


def samples() -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Users, labels and probabilities of all processes together."""
    random = np.random.default_rng(0)
    n = 4_000
    users = random.integers(0, 300, n) * 7_919
    labels = random.integers(0, 2, n)
    fine = random.random(n).astype(np.float32)
    nan = fine.copy()
    nan[-1] = np.nan
    return {
        "continuous": (users, labels, fine),
        "ties": (users, labels, np.round(fine, 1)),
        "all equal": (users, labels, np.full(n, 0.5)),
        "one user has half": (np.where(np.arange(n) < n // 2, 7, users), labels, fine),
        "few": (np.array([5, 5, 5]), np.array([0, 1, 1]), np.array([0.2, 0.1, 0.9])),
        "one class": (users, np.ones(n, dtype=int), fine),
        "no user with both": (np.arange(n), labels, fine),
        "NaN": (users, labels, nan),
    }


def dealt(rank: int, count: int, n: int) -> slice:
    """Uneven shares: the first process has a third of the others' rows, or none of very few."""
    edges = [0, *np.linspace(n // (3 * count), n, count).astype(int)]
    edges[-1] = n
    return slice(edges[rank], edges[rank + 1])
