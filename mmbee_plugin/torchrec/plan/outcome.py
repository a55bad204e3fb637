"""Input and outcome of planning: a cluster, and either a plan of the tables on it or a shortage of memory."""

from __future__ import annotations

from dataclasses import dataclass

from torchrec.distributed.planner.types import (
    KernelConfig,
    Storage,
    Topology,
    TopologyFactory,
    TrainerConfig,
)

from mmbee_plugin.torchrec.sharded.sharding import RESERVED


@dataclass(frozen=True)
class Cluster:
    """The machines to plan for."""

    world_size: int
    """processes, one a GPU."""
    local_world_size: int
    """processes on one machine."""
    hbm: int
    """bytes of memory of a GPU; 0 for processes without one."""
    ddr: int
    """bytes of host memory a process."""

    @property
    def device(self) -> str:
        """cuda or cpu."""
        return "cuda" if self.hbm else "cpu"

    @property
    def usable(self) -> Storage:
        """Bytes that one process's tables may take, `RESERVED` left free."""
        return Storage(hbm=int(self.hbm * (1 - RESERVED)), ddr=int(self.ddr * (1 - RESERVED)))

    def topology(self) -> Topology:
        """The usable memory as TorchRec's planner reads it, with TorchRec's default bandwidths."""
        trainer = TrainerConfig(
            world_size=self.world_size,
            local_world_size=min(self.local_world_size, self.world_size),
            hbm_cap_bytes=self.usable.hbm,
            ddr_cap_bytes=self.usable.ddr,
        )
        return TopologyFactory.create_topology(
            trainer, kernel_config=KernelConfig(compute_device=self.device)
        )


@dataclass(frozen=True)
class PlannedTable:
    """One table of a plan."""

    name: str
    rows: int
    width: int
    sharding: str
    kernel: str
    ranks: tuple[int, ...]
    weights: int
    """bytes, over all ranks."""
    state: int
    """bytes of the optimizer's state, over all ranks."""
    milliseconds: float
    """TorchRec's estimate for its slowest shard, forward and backward with communication."""


@dataclass(frozen=True)
class Plan:
    """Placement of all tables on a cluster."""

    cluster: Cluster
    tables: tuple[PlannedTable, ...]
    taken: tuple[Storage, ...]
    """bytes of every rank: weights, optimizer state, ids and vectors under way."""
    milliseconds: float
    """TorchRec's estimate of a step's embedding part, on the slowest rank."""


@dataclass(frozen=True)
class Shortage:
    """Memory that is missing for a plan, and a number of processes that has one."""

    cluster: Cluster
    needed: Storage
    """lower bound of the bytes over all ranks."""
    largest: tuple[str, int]
    """the table with the largest unsplittable part, and that part's bytes."""
    smallest_world_size: int | None
    """smallest power of two that fits; None if none was found."""

    @property
    def room(self) -> Storage:
        """Bytes over all ranks that tables may take."""
        one, world_size = self.cluster.usable, self.cluster.world_size
        return Storage(one.hbm * world_size, one.ddr * world_size)

    @property
    def in_sight(self) -> bool:
        """Whether the total and the largest part fit, so that only packing the parts can fail."""
        one = self.cluster.usable
        return self.needed.fits_in(self.room) and self.largest[1] <= (one.hbm or one.ddr)
