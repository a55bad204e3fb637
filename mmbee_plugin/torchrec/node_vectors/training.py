"""GraphCL on sharded node tables: each step of :mod:`mmbee_plugin.offline.node_vectors`, split over the processes.

Every process draws the whole step's nodes and pairs, which is cheap, and trains on its share of the nodes. A row gets
its gradients from all processes in one update, so the vectors do not depend on the number of processes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import nn
from torch.distributed._shard.sharded_tensor import ShardedTensor
from torch.distributed.optim import _apply_optimizer_in_backward as apply_optimizer_in_backward
from torchrec.distributed import DistributedModelParallel
from torchrec.distributed.types import ShardingEnv
from torchrec.modules.embedding_configs import EmbeddingConfig
from torchrec.modules.embedding_modules import EmbeddingCollection
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from mmbee_plugin.errors import InputError
from mmbee_plugin.files import write_json
from mmbee_plugin.graph.metapaths import POSITIVES
from mmbee_plugin.graph.pairs import PairBatch
from mmbee_plugin.graph.snapshot import Snapshot
from mmbee_plugin.graph.writer import with_nodes
from mmbee_plugin.modules.graphcl import GraphCLLoss
from mmbee_plugin.offline.node_table import EPS
from mmbee_plugin.offline.node_vectors import Draws, GraphCLSettings, node_stage, read_vectors
from mmbee_plugin.torchrec.batches.bags import keyed, singles
from mmbee_plugin.torchrec.node_vectors.files import write_nodes
from mmbee_plugin.torchrec.processes.collectives import alone
from mmbee_plugin.torchrec.processes.launch import Process, process_group
from mmbee_plugin.torchrec.settings import Settings
from mmbee_plugin.torchrec.sharded.initial import local_parts
from mmbee_plugin.torchrec.sharded.sharding import OPTIMIZERS, plan_tables, sharders
from mmbee_plugin.torchrec.shards.layout import NODE_LOCK, NODES
from mmbee_plugin.torchrec.shards.store import ShardStore
from mmbee_plugin.torchrec.training.loop import progress

LOG = logging.getLogger(__name__)
BLOCK = 8192
"""rows of initial vectors drawn at once"""


def train_nodes(
    settings: Settings, snapshot: Path | None = None, result: Path | None = None
) -> list[list[float]]:
    """Trains the node tables and writes them into the shards folder.

    Args:
        settings: of the job.
        snapshot: a graph snapshot; a copy of it with these vectors is published beside it.
        result: JSON file for the losses, written by rank 0.

    Returns:
        per epoch the mean losses of each step's users and authors with positives; a side without any is left out.

    Raises:
        InputError: shards without the metapaths u2a2u and a2u2a, or for which another job trains vectors, a snapshot of
            other counts, no plan for the tables.
    """
    chosen = settings.graphcl.part(GraphCLSettings, width=settings.model.width)
    with process_group(settings.train.timeout) as process, ExitStack() as held:
        store = ShardStore(settings.data.shards, (), tuple(POSITIVES.values()))
        opened = None if snapshot is None else _checked(Snapshot.open(snapshot), store)
        LOG.info("%s", store.provenance)
        held.enter_context(
            alone(store.path / NODE_LOCK, "another job trains node vectors there at this moment")
        )
        trainer = NodeTrainer(store, chosen, settings, process)
        losses = []
        for epoch in range(1, chosen.epochs + 1):
            losses.append(trainer.epoch(f"Epoch {epoch}/{chosen.epochs}"))
            LOG.info("Epoch %d: loss %.4f", epoch, np.mean(losses[-1]) if losses[-1] else float("nan"))
        users, authors = write_nodes(store.path, trainer.weights(), process)
        LOG.info("Written: %s and %s", users, authors.name)
        if process.rank == 0:
            if opened is not None:
                tables = tuple(np.load(file, mmap_mode="r") for file in (users, authors))
                stage = node_stage(chosen, settings.train.seed, trainer.start)
                copy = with_nodes(opened, tables[0], tables[1], stage.settings)
                LOG.info("Snapshot with these vectors: %s", copy.path)
            if result is not None:
                described = {
                    "losses": losses,
                    "world_size": process.world_size,
                    "graphcl": chosen.model_dump(),
                }
                write_json(result, described)
    return losses


class NodeTables(nn.Module):
    """Both node tables, one row a node.

    Args:
        counts: rows of the users' and of the authors' table.
        width: width ``d`` of a vector.
    """

    def __init__(self, counts: tuple[int, int], width: int) -> None:
        super().__init__()
        configs = [
            EmbeddingConfig(
                name=table,
                num_embeddings=count,
                embedding_dim=width,
                feature_names=[table],
                init_fn=nn.init.zeros_,
            )
            for table, count in zip(NODES.values(), counts, strict=True)
        ]
        self.tables = EmbeddingCollection(tables=configs, device=torch.device("meta"))

    def forward(self, ids: KeyedJaggedTensor) -> list[torch.Tensor]:
        """Ids of the two tables -> vectors (k, d) of each."""
        looked = self.tables(ids)
        return [looked[table].values() for table in NODES.values()]


class NodeTrainer:
    """Trains one process's share of the nodes; its methods are collective.

    Args:
        store: the shards, with the two metapaths of the positives.
        chosen: settings of GraphCL.
        settings: of the job, for the tables' sharding and the seed.
        process: which process this is.

    Raises:
        InputError: no plan for the tables, column-wise sharding with adagrad, or a start that is no file of vectors of
            the width.
    """

    def __init__(
        self, store: ShardStore, chosen: GraphCLSettings, settings: Settings, process: Process
    ) -> None:
        if chosen.optimiser == "adagrad" and settings.tables.nodes.sharding == "column_wise":
            raise InputError(
                "graphcl.optimiser: adagrad keeps one sum a row and shard, so with tables.nodes.sharding: column_wise "
                "the result depends on the number of processes; take table_wise or row_wise, or sgd"
            )
        self.chosen, self.process = chosen, process
        positives = store.lists(POSITIVES["u"]), store.lists(POSITIVES["a"])
        self.draws = Draws(*positives, chosen, settings.train.seed)
        self.loss_of = GraphCLLoss(chosen.nce_weight, chosen.temperature, chosen.normalise)
        self.counts = store.n_users, store.n_authors
        tables = NodeTables(self.counts, chosen.width)
        adagrad = chosen.optimiser == "adagrad"
        kind, _ = OPTIMIZERS["rowwise_adagrad" if adagrad else "sgd"]
        arguments = {"lr": chosen.learning_rate, **({"eps": EPS} if adagrad else {})}
        apply_optimizer_in_backward(kind, tables.parameters(), arguments)
        factors = {table: [1.0] for table in NODES.values()}
        self.model = DistributedModelParallel(
            tables,
            env=ShardingEnv.from_process_group(dist.group.WORLD),
            device=process.device,
            plan=plan_tables(
                tables, tables.tables, settings, process.device, self._stride(chosen.batch_size), factors
            ),
            sharders=sharders(),
        )
        self.start: tuple[NDArray, NDArray] | None = None
        if chosen.start is not None:
            tokens = store.user_tokens(), store.author_tokens()
            self.start = read_vectors(Path(chosen.start), *tokens, chosen.width)
        self._write_start(settings.train.seed)

    def weights(self) -> list[ShardedTensor]:
        """The two tables, sharded."""
        return list(self.model.module.tables.state_dict().values())

    def epoch(self, title: str) -> list[float]:
        """Trains on every node once; returns the mean losses of each step's users and authors."""
        parts: list[torch.Tensor] = []
        steps = -(-sum(self.counts) // self.chosen.batch_size)
        with progress(self.process.rank == 0) as bar:
            for users, authors in bar.track(self.draws.epoch(), steps, description=title):
                parts += self._step([self.draws.users.sample(users), self.draws.authors.sample(authors)])
        if not parts:
            return []
        losses = torch.stack(parts)
        dist.all_reduce(losses)
        return losses.tolist()

    def _step(self, drawn: list[PairBatch]) -> Iterator[torch.Tensor]:
        """Makes one update; yields this process's part of the mean loss () of the users and of the authors."""
        device, world_size = self.process.device, self.process.world_size
        shares = [_share(pairs, self.process) for pairs in drawn]
        ids = [np.concatenate([part.nodes, part.positives.ravel(), part.negatives]) for part in shares]
        stride = self._stride(max(len(pairs.nodes) for pairs in drawn))
        features = {table: singles(rows) for table, rows in zip(NODES.values(), ids, strict=True)}
        looked = self.model(keyed(features, stride).to(device))
        sums = [self._sum(part, rows) for part, rows in zip(shares, looked, strict=True)]
        # TorchRec divides the gradients by the number of processes.
        torch.stack(sums).sum().mul(world_size).backward()
        for total, pairs in zip(sums, drawn, strict=True):
            if len(pairs.nodes):
                yield total.detach().double() / len(pairs.nodes)

    def _stride(self, nodes: int) -> int:
        """Rows that a process looks up for its share of the nodes; equal on all processes, for row-wise sharding."""
        share = -(-nodes // self.process.world_size)
        return share * (1 + self.chosen.positives) + self.chosen.negatives

    def _sum(self, share: PairBatch, rows: torch.Tensor) -> torch.Tensor:
        """Loss () summed over a share's nodes; ``rows`` are the vectors of nodes, positives and negatives in turn."""
        count, width = len(share.nodes), self.chosen.width
        if not count:
            return rows.sum() * 0  # the others wait for this process's gradients
        nodes, positives, negatives = rows.split([count, count * self.chosen.positives, len(share.negatives)])
        mask = torch.from_numpy(share.mask).to(rows.device)
        return self.loss_of(nodes, positives.view(count, -1, width), negatives, mask) * count

    @torch.no_grad()
    def _write_start(self, seed: int) -> None:
        """Writes this process's rows of the start: known vectors, else those that `train_graphcl` draws."""
        generator = torch.Generator().manual_seed(seed)
        width = self.chosen.width
        for side, (weight, count) in enumerate(zip(self.weights(), self.counts, strict=True)):
            own = list(local_parts(weight))
            # The last block includes the remainder, since torch draws fewer than 16 numbers by another method.
            starts = range(0, max(count - BLOCK, 0) + 1, BLOCK)
            for first, stop in zip(starts, [*starts[1:], count], strict=True):
                block = torch.randn(stop - first, width, generator=generator) / width**0.5
                if self.start is not None:
                    known = torch.from_numpy(self.start[side][first:stop])
                    block = torch.where(known.isnan(), block, known)
                for tensor, (row, column) in own:
                    low, high = max(first, row), min(stop, row + tensor.shape[0])
                    if low < high:
                        columns = block[low - first : high - first, column : column + tensor.shape[1]]
                        tensor[low - row : high - row].copy_(columns)


def _share(pairs: PairBatch, process: Process) -> PairBatch:
    """This process's nodes, every ``world_size``-th; all processes share the negatives."""
    own = slice(process.rank, None, process.world_size)
    nodes = pairs.nodes[own]
    negatives = pairs.negatives if len(nodes) else pairs.negatives[:0]
    return PairBatch(nodes, pairs.positives[own], negatives, pairs.mask[own])


def _checked(snapshot: Snapshot, store: ShardStore) -> Snapshot:
    found, expected = (snapshot.n_users, snapshot.n_authors), (store.n_users, store.n_authors)
    if found != expected:
        raise InputError(
            f"{snapshot.path}: a snapshot of {found[0]} users and {found[1]} authors, but {store.path} has "
            f"{expected[0]} and {expected[1]}"
        )
    return snapshot
