"""Distributes a model over processes: plans the sharding of its tables and sets the optimizer of every part."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.optim import _apply_optimizer_in_backward as apply_optimizer_in_backward
from torchrec.distributed import DistributedModelParallel
from torchrec.distributed.embedding import EmbeddingCollectionSharder
from torchrec.distributed.embedding_types import EmbeddingComputeKernel
from torchrec.distributed.embeddingbag import EmbeddingBagCollectionSharder
from torchrec.distributed.model_parallel import DefaultDataParallelWrapper
from torchrec.distributed.planner import EmbeddingShardingPlanner, ParameterConstraints, Topology
from torchrec.distributed.planner.storage_reservations import FixedPercentageStorageReservation
from torchrec.distributed.planner.types import KernelConfig, PlannerError, TopologyFactory, TrainerConfig
from torchrec.distributed.types import ModuleSharder, ShardingEnv, ShardingPlan, ShardingType
from torchrec.optim.keyed import CombinedOptimizer, KeyedOptimizer, KeyedOptimizerWrapper
from torchrec.optim.optimizers import in_backward_optimizer_filter
from torchrec.optim.rowwise_adagrad import RowWiseAdagrad

from mmbee_plugin.errors import InputError
from mmbee_plugin.torchrec.processes.collectives import from_first
from mmbee_plugin.torchrec.settings import Settings, TableSettings, TablesSettings
from mmbee_plugin.torchrec.sharded.cpu_kernels import speed_up
from mmbee_plugin.torchrec.sharded.model import TrainModel
from mmbee_plugin.torchrec.sharded.tables import section_of
from mmbee_plugin.torchrec.sharded.workload import workload

OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, float]]] = {
    "rowwise_adagrad": (RowWiseAdagrad, {"eps": 1e-8}),
    "adagrad": (torch.optim.Adagrad, {"eps": 1e-8}),
    "sgd": (torch.optim.SGD, {}),
    "adam": (torch.optim.Adam, {}),
}
RESERVED = 0.15
"""share of the memory left to everything but tables: the dense part, activations and buffers"""
ON_CPU = ("rowwise_adagrad", "adagrad", "sgd")
"""optimizers that fbgemm has for the CPU."""


class RowWiseBagSharder(EmbeddingBagCollectionSharder):
    """Allows row-wise sharding of bags on CPUs, where TorchRec omits it although it works."""

    def sharding_types(self, compute_device_type: str) -> list[str]:
        """Sharding types that the planner may choose from."""
        known = super().sharding_types(compute_device_type)
        return known if ShardingType.ROW_WISE.value in known else [*known, ShardingType.ROW_WISE.value]


def sharders() -> list[ModuleSharder[Any]]:
    """Sharders of the three modules of tables."""
    return [RowWiseBagSharder(), EmbeddingCollectionSharder()]


def table_settings(settings: TablesSettings, table: str) -> TableSettings:
    """Settings of a table."""
    return getattr(settings, section_of(table))


def check_device(settings: TablesSettings, device: str) -> None:
    """Raises InputError for an optimizer that the device's kernels do not have."""
    if device != "cpu":
        return
    for section in TablesSettings.model_fields:
        optimizer = getattr(settings, section).optimizer
        if optimizer not in ON_CPU:
            raise InputError(
                f"tables.{section}.optimizer: {optimizer} inside the backward pass needs a GPU; on a CPU take "
                f"{', '.join(ON_CPU)}"
            )


def constraints(
    settings: TablesSettings,
    tables: list[str],
    device: str,
    factors: Mapping[str, list[float]],
    processes: int,
) -> dict[str, ParameterConstraints]:
    """The planner's constraints by table: sharding types, kernels, and mean ids in a bag of each feature (`factors`).

    Data-parallel tables are excluded, since their dense kernel is broken for sequences on a CPU; column-wise sharding
    is excluded unless set, since such shards do not carry over to another number of processes. ``auto`` leaves tables
    whole in a job of one process, where ids sorted by shards would only be copied. Otherwise on a CPU it shards the
    author table, read at every place of a history, by rows: the planner would give it, and with it most of the work, to
    one process.
    """
    kernels = [EmbeddingComputeKernel.FUSED.value]
    if device == "cuda":
        kernels.append(EmbeddingComputeKernel.FUSED_UVM_CACHING.value)

    def kinds(table: str) -> list[str]:
        chosen = table_settings(settings, table).sharding
        if chosen != "auto":
            return [chosen]
        whole, by_rows = [ShardingType.TABLE_WISE.value], [ShardingType.ROW_WISE.value]
        if processes == 1:
            return whole
        return by_rows if device == "cpu" and table == "author" else whole + by_rows

    return {
        table: ParameterConstraints(
            sharding_types=kinds(table), compute_kernels=kernels, pooling_factors=factors[table]
        )
        for table in tables
    }


def table_names(tables: nn.Module) -> list[str]:
    """Names of the tables of a module without other parameters."""
    return [name.split(".")[-2] for name, _ in tables.named_parameters()]


def give_optimizers(tables: nn.Module, settings: TablesSettings) -> None:
    """Sets the optimizer of every table, which runs inside the backward pass."""
    for name, weight in zip(table_names(tables), tables.parameters(), strict=True):
        one = table_settings(settings, name)
        kind, arguments = OPTIMIZERS[one.optimizer]
        apply_optimizer_in_backward(kind, [weight], {"lr": one.learning_rate, **arguments})


def shard(
    model: TrainModel, settings: Settings, device: torch.device
) -> tuple[DistributedModelParallel, KeyedOptimizer]:
    """Distributes the model over the processes of the default group; a collective call.

    A table's optimizer runs inside the backward pass; the dense part is replicated and trained with Adam.

    Args:
        model: with its tables on ``meta``.
        settings: of the job.
        device: of this process.

    Returns:
        the distributed model, and the combined optimizer of tables and dense part, whose ``step`` is Adam's.

    Raises:
        InputError: an optimizer that the device lacks, or tables that the planner cannot place; on every process.
    """
    check_device(settings.tables, device.type)
    give_optimizers(model.tables, settings.tables)
    stride, factors = workload(model.inputs, settings, dist.get_world_size())
    unused = model.scorer.gtr.may_have_unused_parameters(model.inputs.segments, settings.train.negatives > 0)
    wrapper = DefaultDataParallelWrapper(static_graph=False, find_unused_parameters=unused)
    distributed = DistributedModelParallel(
        model,
        env=ShardingEnv.from_process_group(dist.group.WORLD),
        device=device,
        plan=plan_tables(model, model.tables, settings, device, stride, factors),
        sharders=sharders(),
        data_parallel_wrapper=wrapper,
    )
    if device.type == "cpu":
        speed_up(distributed)
    dense = KeyedOptimizerWrapper(
        dict(in_backward_optimizer_filter(distributed.named_parameters())),
        lambda parameters: torch.optim.Adam(
            parameters, lr=settings.train.learning_rate, weight_decay=settings.train.weight_decay
        ),
    )
    return distributed, CombinedOptimizer([distributed.fused_optimizer, dense])


def _topology(world_size: int, device: torch.device) -> Topology:
    """Topology of the job's machines, all assumed to be like this one."""
    local_world_size = min(int(os.environ.get("LOCAL_WORLD_SIZE", 1)), world_size)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // local_world_size
    trainer = TrainerConfig(
        world_size=world_size,
        local_world_size=local_world_size,
        hbm_cap_bytes=torch.cuda.get_device_properties(device).total_memory
        if device.type == "cuda"
        else None,
        ddr_cap_bytes=memory,
    )
    return TopologyFactory.create_topology(trainer, kernel_config=KernelConfig(compute_device=device.type))


def plan_tables(
    model: nn.Module,
    tables: nn.Module,
    settings: Settings,
    device: torch.device,
    stride: int,
    factors: Mapping[str, list[float]],
) -> ShardingPlan:
    """Plans the sharding of the tables, on rank 0; every process gets the plan.

    Args:
        model: to be distributed.
        tables: its part that holds the tables.
        settings: of the job.
        device: of this process.
        stride: bags of a feature in a process's batch.
        factors: by table the mean number of ids in a bag of each feature.

    Raises:
        InputError: on every process, if the planner finds no place.
    """
    world_size = dist.get_world_size()

    def planned() -> ShardingPlan:
        planner = EmbeddingShardingPlanner(
            topology=_topology(world_size, device),
            batch_size=stride,
            storage_reservation=FixedPercentageStorageReservation(RESERVED),
            constraints=constraints(settings.tables, table_names(tables), device.type, factors, world_size),
        )
        try:
            return planner.plan(model, sharders())
        except PlannerError as error:
            reason = " ".join(str(error).split())
            raise InputError(f"tables: no plan for {world_size} processes: {reason}") from None

    return from_first(planned)
