"""Training samples per second and peak memory: sharded tables of TorchRec against nn.Embedding with dense gradients.

    python benchmarks/torchrec_throughput.py                      # 1,000,000 authors, N = 4 and 8, d = 64, batch 4096
    python benchmarks/torchrec_throughput.py --optimizer adam     # the RecBole adapter's default

Both train the same model on the same labelled samples: users with histories of 50, authors with one dense modality and
their N query tokens, and the paper's five metapaths with 50 neighbours a node, all random functions of the row's
number. The RecBole adapter's tables are ``nn.Embedding``, whose gradient and update are as large as the table.
TorchRec's path is the job's own: planner, fused RowWiseAdagrad in the backward pass, gloo between processes. Each row
of the result is measured in processes of its own, one thread each.

*queries* looks up, differentiates and updates the query table; *tables* all tables; *step* is the whole step, with the
dense part and its Adam. Making batches is excluded. Peak memory is the sum of the processes' peak resident memory,
libraries included.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn
from torchrec.sparse.jagged_tensor import JaggedTensor

from mmbee_plugin.command.memory import peak_megabytes
from mmbee_plugin.graph.metapaths import PAPER_METAPATHS, Metapath
from mmbee_plugin.modules.rowwise import RowwiseAdagrad
from mmbee_plugin.randomness.mixing import mix
from mmbee_plugin.torchrec.batches.batch import Batch
from mmbee_plugin.torchrec.batches.inputs import Inputs
from mmbee_plugin.torchrec.batches.maker import BatchMaker
from mmbee_plugin.torchrec.batches.reader import GlobalRows
from mmbee_plugin.torchrec.processes.launch import process_group
from mmbee_plugin.torchrec.settings import Settings, parse_settings
from mmbee_plugin.torchrec.sharded.initial import InitialRows, write_initial
from mmbee_plugin.torchrec.sharded.model import Scorer, TrainModel
from mmbee_plugin.torchrec.sharded.sharding import shard
from mmbee_plugin.torchrec.sharded.tables import bag_configs, pool_configs, sequence_configs
from mmbee_plugin.torchrec.shards.layout import Modality

PARTS = ("queries", "tables", "step")
NEIGHBOURS, HISTORY, CONTENT = 50, 50, 128
WARM_UP = 2


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--authors", type=float, default=1e6)
    add("--users", type=float, default=1e5)
    add("--queries", type=int, nargs="+", default=[4, 8], help="N (default 4 8)")
    add("--width", type=int, default=64, help="d (default %(default)s)")
    add("--batch", type=int, default=4096, help="global (default %(default)s)")
    add("--processes", type=int, nargs="+", default=[1, 2], help="of TorchRec (default 1 2); one a GPU")
    add("--steps", type=int, default=5, help="timed (default %(default)s)")
    add("--optimizer", choices=["rowwise_adagrad", "adam"], default="rowwise_adagrad", help="of nn.Embedding")
    add("--result", type=Path, help=argparse.SUPPRESS)
    add("--kind", choices=["nn.Embedding", "TorchRec"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.kind is None:
        compare(options)
        return
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    if options.kind == "TorchRec":
        measure_sharded(options)
    else:
        measure_plain(options)


def compare(options: argparse.Namespace) -> None:
    """Runs the measurements one after the other and prints the table."""
    print(
        f"{options.authors:,.0f} authors, {options.users:,.0f} users, d = {options.width}, batch {options.batch}, "
        f"one thread a process; nn.Embedding with {options.optimizer}"
    )
    header = "".join(f"{part + ' samples/s':>19}" for part in PARTS)
    print(f"{'N':>2} {'path':<14}{'processes':>9}{header}{'peak GiB':>10}", flush=True)
    for queries in options.queries:
        rates = {}
        for kind, processes in (("nn.Embedding", 1), *(("TorchRec", count) for count in options.processes)):
            found = run_apart(options, queries, kind, processes)
            rates[kind, processes] = found["rates"]
            cells = "".join(f"{found['rates'][part]:>19,.0f}" for part in PARTS)
            print(f"{queries:>2} {kind:<14}{processes:>9}{cells}{found['peak'] / 2**30:>10.1f}", flush=True)
        for name, top, bottom in (
            ("TorchRec : nn.Embedding", ("TorchRec", 1), ("nn.Embedding", 1)),
            ("2 : 1 processes", ("TorchRec", 2), ("TorchRec", 1)),
        ):
            if top not in rates or bottom not in rates:
                continue
            cells = "".join(f"{rates[top][part] / rates[bottom][part]:>19.2f}" for part in PARTS)
            print(f"{queries:>2} {name:<23}{cells}", flush=True)


def run_apart(options: argparse.Namespace, queries: int, kind: str, processes: int) -> dict[str, Any]:
    """One measurement in fresh processes."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        arguments = [f"--{name}={getattr(options, name)}" for name in ("authors", "users", "width", "batch")]
        arguments += [f"--steps={options.steps}", f"--optimizer={options.optimizer}", f"--queries={queries}"]
        subprocess.run(
            [sys.executable, *torchrun, __file__, *arguments, f"--kind={kind}", f"--result={result}"],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=True,
        )
        return json.loads(result.read_text())


def measure_sharded(options: argparse.Namespace) -> None:
    """Measures TorchRec's path, in each of its processes."""
    settings, store = job(options), MadeStore(options)
    inputs = Inputs.of(settings.model, store)
    with process_group(120) as process:
        maker = BatchMaker(store, settings, process.rank, process.world_size)
        batches = [maker.train(global_rows(options, index), 0).to(process.device) for index in range(2)]
        model, optimizer = shard(TrainModel(inputs), settings, process.device)
        tables = model.module.tables
        write_initial(tables, InitialRows(inputs, 0))

        def queries(batch: Batch) -> torch.Tensor:
            return tables.bags(batch.bags)["query"].sum()

        def all_tables(batch: Batch) -> torch.Tensor:
            return total(tables(batch))

        def step(batch: Batch) -> torch.Tensor:
            optimizer.zero_grad()
            return model(batch)[0]

        rates = {
            "queries": rate(options, batches, queries, lambda: None),
            "tables": rate(options, batches, all_tables, lambda: None),
            "step": rate(options, batches, step, optimizer.step),
        }
        report(options, rates)


def measure_plain(options: argparse.Namespace) -> None:
    """Measures the RecBole adapter's path: the same model over nn.Embedding."""
    settings, store = job(options), MadeStore(options)
    inputs = Inputs.of(settings.model, store)
    with process_group(120) as process:
        maker = BatchMaker(store, settings)
        batches = [maker.train(global_rows(options, index), 0).to(process.device) for index in range(2)]
        tables, scorer = (each.to(process.device) for each in (PlainTables(inputs), Scorer(inputs)))
        kinds = {"rowwise_adagrad": RowwiseAdagrad, "adam": torch.optim.Adam}
        updates = {
            name: kinds[options.optimizer]([table.weight], lr=0.05) for name, table in tables.tables.items()
        }
        dense = torch.optim.Adam(scorer.parameters(), lr=1e-3)

        def update(*names: str) -> Callable[[], None]:
            def run() -> None:
                for name in names:
                    updates[name].step()
                    updates[name].zero_grad()

            return run

        def queries(batch: Batch) -> torch.Tensor:
            return tables.single("query", batch.bags["query"].values()).sum()

        def step(batch: Batch) -> torch.Tensor:
            dense.zero_grad()
            return scorer(batch, tables(batch))[0]

        everything = update(*updates)

        def both() -> None:
            everything()
            dense.step()

        rates = {
            "queries": rate(options, batches, queries, update("query")),
            "tables": rate(options, batches, lambda batch: total(tables(batch)), everything),
            "step": rate(options, batches, step, both),
        }
        report(options, rates)


def rate(
    options: argparse.Namespace,
    batches: list[Batch],
    forward: Callable[[Batch], torch.Tensor],
    update: Callable[[], Any],
) -> float:
    """Samples per second of all processes together."""
    for turn in range(WARM_UP + options.steps):
        if turn == WARM_UP:
            together()
            begun = time.perf_counter()
        forward(batches[turn % len(batches)]).backward()
        update()
    together()
    return options.steps * options.batch / (time.perf_counter() - begun)


def together() -> None:
    """Waits for all processes and, on GPUs, for the work that they have queued."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    dist.barrier()


def report(options: argparse.Namespace, rates: dict[str, float]) -> None:
    peak = torch.tensor(peak_megabytes() * 1e6)
    dist.all_reduce(peak)
    if dist.get_rank() == 0:
        options.result.write_text(json.dumps({"rates": rates, "peak": float(peak)}))


def total(looked: Any) -> torch.Tensor:
    """Sum of all looked-up vectors, so that each gets a gradient."""
    sequences, bags, pools = looked
    parts = [one.values() for one in sequences.values()]
    for pooled in (bags, pools):
        parts += (
            [pooled.values()] if hasattr(pooled, "keys") and not isinstance(pooled, dict) else pooled.values()
        )
    return torch.stack([part.sum() for part in parts]).sum()


class PlainTables(nn.Module):
    """The tables of a job as nn.Embedding, looked up as the RecBole adapter does."""

    def __init__(self, inputs: Inputs) -> None:
        super().__init__()
        configs = [*sequence_configs(inputs), *bag_configs(inputs), *pool_configs(inputs)]
        self.tables = nn.ModuleDict(
            {one.name: nn.Embedding(one.num_embeddings, one.embedding_dim) for one in configs}
        )
        self.pooled = {path: one.name for one in pool_configs(inputs) for path in one.feature_names}
        self.bags = [one.name for one in bag_configs(inputs)]

    def single(self, table: str, ids: torch.Tensor) -> torch.Tensor:
        """ids (B,) -> rows (B, d)."""
        return self.tables[table](ids)

    def forward(
        self, batch: Batch
    ) -> tuple[dict[str, JaggedTensor], dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Sequences, bags and pools, as :class:`~mmbee_plugin.torchrec.sharded.tables.Tables`."""
        sequences = {
            name: JaggedTensor(self.single("author", one.values()), lengths=one.lengths())
            for name, one in batch.sequences.to_dict().items()
        }
        bags = {name: self.single(name, batch.bags[name].values()) for name in self.bags}
        assert batch.pools is not None
        pools = {
            path: F.embedding_bag(
                one.values(),
                self.tables[self.pooled[path]].weight,
                one.offsets()[:-1],
                mode="sum",
                per_sample_weights=one.weights(),
            )
            for path, one in batch.pools.to_dict().items()
        }
        return sequences, bags, pools


class MadeStore:
    """Synthetic shards: everything about a row is a function of its number."""

    ordered, categories, has_reach, pooled_at, attribute_width, live = False, False, False, None, 0, None
    metapaths = PAPER_METAPATHS

    def __init__(self, options: argparse.Namespace) -> None:
        self.n_users, self.n_authors = int(options.users), int(options.authors)
        self.modalities = {"dense": Modality(kind="dense", width=CONTENT)}
        self.drawn = np.ones(self.n_authors + 1, dtype=np.int64)
        self.content = np.random.default_rng(0).standard_normal((1024, CONTENT), dtype=np.float32)

    def user_ids(self, rows: NDArray) -> NDArray:
        return rows + 1

    def author_ids(self, rows: NDArray) -> NDArray:
        return rows + 1

    def author_seen(self, rows: NDArray) -> NDArray:
        return np.ones(len(rows), dtype=bool)

    def history(self, users: NDArray, *_: Any) -> tuple[NDArray, NDArray, None]:
        return scattered(users, HISTORY, self.n_authors, 1), np.full(len(users), HISTORY), None

    def longest(self, *_: Any) -> int:
        return HISTORY

    def neighbours(self, path: str, rows: NDArray, fold: int | None) -> tuple[NDArray, NDArray, NDArray]:
        size = self.n_users if Metapath.parse(path).end == "u" else self.n_authors
        ids = scattered(rows, NEIGHBOURS, size, 2 + PAPER_METAPATHS.index(path))
        weights = np.full(ids.size, 1 / NEIGHBOURS, dtype=np.float32)
        return np.full(len(rows), NEIGHBOURS), ids.ravel(), weights

    def dense(self, modality: str, rows: NDArray) -> tuple[NDArray, NDArray]:
        return self.content[rows % len(self.content)], np.ones(len(rows), dtype=bool)


def scattered(rows: NDArray, count: int, size: int, salt: int) -> NDArray:
    """(b, count) pseudorandom integers in [0, size), a function of row and salt."""
    places = rows[:, None] * count + np.arange(count)
    return (mix(salt, places) % np.uint64(size)).astype(np.int64)


def global_rows(options: argparse.Namespace, index: int) -> GlobalRows:
    drawn = np.random.default_rng(index)
    users, authors = (
        drawn.integers(int(size), size=options.batch) for size in (options.users, options.authors)
    )
    labels = drawn.integers(2, size=options.batch)
    return GlobalRows(users, authors, np.zeros(options.batch, dtype=np.int64), labels, None, index)


def job(options: argparse.Namespace) -> Settings:
    content = {
        "data": {"shards": "made up", "history_length": HISTORY},
        "model": {"loss": "bce", "width": options.width, "num_queries": options.queries[0]},
        "train": {"negatives": 0, "batch_size": options.batch},
    }
    return parse_settings(content, "benchmark")


if __name__ == "__main__":
    main()
