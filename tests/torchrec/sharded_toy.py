"""A small sharded model for test_checkpoint.py, which runs it in several processes: it trains, saves and resumes.

Both kinds of embedding collections, fused row-wise Adagrad, and a dense part under Adam.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torch.distributed as dist
from fbgemm_gpu.split_embedding_configs import EmbOptimType
from torch import nn
from torchrec import (
    EmbeddingBagCollection,
    EmbeddingBagConfig,
    EmbeddingCollection,
    EmbeddingConfig,
    KeyedJaggedTensor,
)
from torchrec.distributed.embedding import EmbeddingCollectionSharder
from torchrec.distributed.embeddingbag import EmbeddingBagCollectionSharder
from torchrec.distributed.model_parallel import DistributedModelParallel
from torchrec.distributed.planner import EmbeddingShardingPlanner, Topology
from torchrec.distributed.planner.types import ParameterConstraints
from torchrec.optim.apply_optimizer_in_backward import apply_optimizer_in_backward
from torchrec.optim.keyed import CombinedOptimizer, KeyedOptimizerWrapper
from torchrec.optim.optimizers import in_backward_optimizer_filter
from torchrec.optim.rowwise_adagrad import RowWiseAdagrad

from mmbee_plugin.torchrec.checkpoints.checkpoint import StepState, latest, load, save

USERS, AUTHORS, WIDTH, BATCH = 11, 13, 4, 8


class Toy(nn.Module):
    """Scores (b,) of users against authors: a dense layer over both vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.users = EmbeddingBagCollection(
            tables=[
                EmbeddingBagConfig(
                    name="user", num_embeddings=USERS, embedding_dim=WIDTH, feature_names=["user"]
                )
            ]
        )
        self.authors = EmbeddingCollection(
            tables=[
                EmbeddingConfig(
                    name="author", num_embeddings=AUTHORS, embedding_dim=WIDTH, feature_names=["author"]
                )
            ]
        )
        self.gtr = nn.Sequential(nn.Linear(2 * WIDTH, 6), nn.Tanh(), nn.Linear(6, 1))

    def forward(self, users: KeyedJaggedTensor, authors: KeyedJaggedTensor) -> torch.Tensor:
        user = self.users(users)["user"]
        author = self.authors(authors)["author"].values()
        return self.gtr(torch.cat([user, author], dim=1)).squeeze(1)


class RowWiseToo(EmbeddingBagCollectionSharder):
    """The stock sharder offers no row-wise sharding on CPU, though its kernels do."""

    def sharding_types(self, compute_device_type: str) -> list[str]:
        return ["table_wise", "row_wise"]


def shard(sharding: str) -> tuple[DistributedModelParallel, CombinedOptimizer]:
    torch.manual_seed(0)
    model = Toy()
    tables = [*model.users.parameters(), *model.authors.parameters()]
    apply_optimizer_in_backward(RowWiseAdagrad, tables, {"lr": 0.1, "eps": 1e-8})
    fused = {"optimizer": EmbOptimType.EXACT_ROWWISE_ADAGRAD, "learning_rate": 0.1, "eps": 1e-8}
    sharders = [RowWiseToo(fused), EmbeddingCollectionSharder(fused)]
    planner = EmbeddingShardingPlanner(
        topology=Topology(world_size=dist.get_world_size(), compute_device="cpu"),
        constraints={name: ParameterConstraints(sharding_types=[sharding]) for name in ("user", "author")},
    )
    plan = planner.collective_plan(model, sharders, dist.GroupMember.WORLD)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    sharded = DistributedModelParallel(model, device=torch.device("cpu"), plan=plan, sharders=sharders)
    put(sharded, start)
    dense = dict(in_backward_optimizer_filter(sharded.named_parameters()))
    adam = KeyedOptimizerWrapper(dense, lambda parameters: torch.optim.Adam(parameters, lr=0.01))
    return sharded, CombinedOptimizer([sharded.fused_optimizer, adam])


def put(sharded: nn.Module, start: dict[str, torch.Tensor]) -> None:
    """Equal tables whatever the sharding: fresh ones depend on it."""
    for name, value in sharded.state_dict().items():
        if hasattr(value, "local_shards"):
            for piece in value.local_shards():
                row, column = piece.metadata.shard_offsets
                rows, columns = piece.metadata.shard_sizes
                piece.tensor.detach().copy_(start[name][row : row + rows, column : column + columns])
        else:
            value.copy_(start[name])


def train(sharded: nn.Module, optimizer: CombinedOptimizer, step: int) -> float:
    """One step on a global batch that depends on its number alone; returns its mean loss."""
    generator = torch.Generator().manual_seed(step)
    mine = slice(dist.get_rank(), None, dist.get_world_size())
    users, authors = (
        torch.randint(n, (BATCH,), generator=generator)[mine].contiguous() for n in (USERS, AUTHORS)
    )
    labels = torch.rand(BATCH, generator=generator)[mine]
    ones = torch.ones(len(users), dtype=torch.int32)
    optimizer.zero_grad()
    scores = sharded(
        KeyedJaggedTensor(["user"], users, lengths=ones), KeyedJaggedTensor(["author"], authors, lengths=ones)
    )
    loss = ((scores - labels) ** 2).mean()
    loss.backward()
    optimizer.step()
    total = loss.detach().clone()
    dist.all_reduce(total)
    return float(total) / dist.get_world_size()


def main(result: Path, sharding: str, source: Path, destination: Path, steps: int) -> None:
    """One process: goes on from the newest checkpoint in ``source``, if any; trains ``steps`` steps, with a checkpoint
    before every other one; writes the losses to ``result``."""
    dist.init_process_group("gloo")
    sharded, optimizer = shard(sharding)
    newest = latest(source)
    done = load(newest, sharded, optimizer).step if newest else 0
    losses = []
    for step in range(done, done + steps):
        if step > done and step % 2 == 0:
            state = StepState(0, step, step, {"sharding": sharding}, dist.get_world_size(), best={"epoch": 0})
            save(destination, state, sharded, optimizer, keep=2)
        losses.append(train(sharded, optimizer, step))
    if dist.get_rank() == 0:
        result.write_text(json.dumps(losses))
    dist.destroy_process_group()
