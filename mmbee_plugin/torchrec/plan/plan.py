"""Plans the tables of a job on a cluster with TorchRec's planner, without the cluster's machines.

Nothing is allocated: the tables live on torch's meta device. Their constraints and optimizers are those of a training
run (:mod:`~mmbee_plugin.torchrec.sharded.sharding`).
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torchrec.distributed.planner import EmbeddingShardingPlanner
from torchrec.distributed.planner.enumerators import EmbeddingEnumerator
from torchrec.distributed.planner.storage_reservations import FixedPercentageStorageReservation
from torchrec.distributed.planner.types import PlannerError, ShardingOption, Storage

from mmbee_plugin.errors import InputError
from mmbee_plugin.torchrec.batches.inputs import Inputs
from mmbee_plugin.torchrec.plan.outcome import Cluster, Plan, PlannedTable, Shortage
from mmbee_plugin.torchrec.settings import Settings
from mmbee_plugin.torchrec.sharded.sharding import (
    check_device,
    constraints,
    give_optimizers,
    sharders,
    table_names,
    table_settings,
)
from mmbee_plugin.torchrec.sharded.tables import Tables
from mmbee_plugin.torchrec.sharded.workload import workload
from mmbee_plugin.torchrec.shards.layout import DESCRIPTION, Live, Modality, read_description

LARGEST = 1024
"""largest number of processes tried"""


def has_shards(settings: Settings) -> bool:
    """Whether the job's shards exist; only they determine its modalities."""
    return (Path(settings.data.shards) / DESCRIPTION).exists()


@dataclass(frozen=True)
class DataSize:
    """Hypothetical data of a given size; a :class:`~mmbee_plugin.torchrec.batches.inputs.StoredData`."""

    n_users: int
    n_authors: int
    metapaths: tuple[str, ...]
    modalities: Mapping[str, Modality]
    ordered: bool = True
    categories: bool = False
    attribute_width: int = 0
    has_reach: bool = False
    pooled_at: float | None = None
    live: Live | None = None

    @classmethod
    def like(cls, settings: Settings, n_users: int, n_authors: int) -> DataSize:
        """The job's data, scaled to this size.

        Modalities come from the job's shards folder; without one they are assumed dense, which need no table.
        """
        shards = Path(settings.data.shards)
        modalities: Mapping[str, Modality]
        live, categories = None, settings.model.search == "hard"
        if has_shards(settings):
            description = read_description(shards)
            modalities, live = description.modalities, description.live
            categories = description.categories
        else:
            names = settings.model.modalities or ("dense",)
            modalities = {name: Modality(kind="dense", width=1) for name in names}
        return cls(n_users, n_authors, settings.model.lists, modalities, categories=categories, live=live)


def parse_bytes(text: str) -> int:
    """80GB, 0.5TB, 512MiB -> bytes; all units are powers of 1024. Raises InputError for anything else."""
    found = re.fullmatch(r"\s*([0-9.]+(?:e[0-9]+)?)\s*([KMGT])i?B\s*", text, re.IGNORECASE)
    number = _number(found[1]) if found else None
    if found is None or number is None or number <= 0:
        raise InputError(f"{text!r} is no amount of memory; write for instance 80GB")
    return int(number * 1024 ** " KMGT".index(found[2].upper()))


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def plan(settings: Settings, cluster: Cluster, n_users: int, n_authors: int) -> Plan | Shortage:
    """The planner's choice for the job on a cluster; if it does not fit, the shortage and a cluster size that fits.

    Raises:
        InputError: settings that the cluster's devices cannot run.
    """
    check_device(settings.tables, cluster.device)
    inputs = Inputs.of(settings.model, DataSize.like(settings, n_users, n_authors))
    with _quiet():
        found = _try(settings, inputs, cluster)
        if isinstance(found, Plan):
            return found
        room = cluster.usable
        needed = (found.needed.hbm, room.hbm), (found.needed.ddr, room.ddr)
        least = max(math.ceil(part / available) if available else 1 for part, available in needed)
        world_size = 1 << (least - 1).bit_length()
        before = found
        while world_size <= LARGEST:
            other = _try(settings, inputs, replace(cluster, world_size=world_size))
            if isinstance(other, Plan):
                return replace(found, smallest_world_size=world_size)
            if not other.in_sight and other.largest == before.largest:
                break  # more processes do not shrink the largest part
            before = other
            world_size *= 2
    return found


def _try(settings: Settings, inputs: Inputs, cluster: Cluster) -> Plan | Shortage:
    tables = Tables(inputs, torch.device("meta"))
    give_optimizers(tables, settings.tables)
    stride, factors = workload(inputs, settings, cluster.world_size)
    allowed = constraints(settings.tables, table_names(tables), cluster.device, factors, cluster.world_size)
    topology = cluster.topology()
    enumerator = EmbeddingEnumerator(topology=topology, batch_size=stride, constraints=allowed)
    shortage = _shortage(cluster, enumerator.enumerate(tables, sharders()))
    if not shortage.in_sight:  # the planner would try hundreds of proposals
        return shortage
    chosen: list[ShardingOption] = []

    def keep(options: list[ShardingOption]) -> list[ShardingOption]:
        chosen.extend(options)
        return options

    planner = EmbeddingShardingPlanner(
        topology=topology,
        batch_size=stride,
        enumerator=enumerator,
        storage_reservation=FixedPercentageStorageReservation(0),  # taken off the topology already
        constraints=allowed,
        stats=[],
        debug=False,
        callbacks=[keep],
    )
    try:
        planner.plan(tables, sharders())
    except PlannerError:
        return shortage
    return _plan_of(settings, cluster, chosen)


def _plan_of(settings: Settings, cluster: Cluster, options: list[ShardingOption]) -> Plan:
    taken = [Storage(0, 0)] * cluster.world_size
    milliseconds = [0.0] * cluster.world_size
    tables = []
    for option in options:
        rows, width = option.tensor.shape
        slowest = 0.0
        for shard in option.shards:
            assert shard.rank is not None and shard.storage is not None and shard.perf is not None
            taken[shard.rank] += shard.storage
            milliseconds[shard.rank] += shard.perf.total
            slowest = max(slowest, shard.perf.total)
        values = {"rowwise_adagrad": rows, "adagrad": rows * width, "sgd": 0, "adam": 2 * rows * width}
        tables.append(
            PlannedTable(
                name=option.name,
                rows=rows,
                width=width,
                sharding=option.sharding_type,
                kernel=option.compute_kernel,
                ranks=tuple(sorted({int(shard.rank or 0) for shard in option.shards})),
                weights=4 * rows * width,
                state=4 * values[table_settings(settings.tables, option.name).optimizer],
                milliseconds=slowest,
            )
        )
    tables.sort(key=lambda table: -table.weights)
    return Plan(cluster, tuple(tables), tuple(taken), max(milliseconds))


def _shortage(cluster: Cluster, options: list[ShardingOption]) -> Shortage:
    """Lower bound of memory: the cheapest option of each table, and the largest part after the finest splits."""
    memory = "hbm" if cluster.hbm else "ddr"
    least: dict[str, Storage] = {}
    pieces: dict[str, int] = {}
    for option in options:
        if cluster.hbm and not cluster.ddr and option.total_storage.ddr:
            continue
        total = option.total_storage
        if option.name not in least or getattr(total, memory) < getattr(least[option.name], memory):
            least[option.name] = Storage(total.hbm, total.ddr)
        piece = max(getattr(shard.storage, memory) for shard in option.shards)
        pieces[option.name] = min(piece, pieces.get(option.name, piece))
    largest = max(pieces, key=lambda name: pieces[name])
    return Shortage(cluster, sum(least.values(), Storage(0, 0)), (largest, pieces[largest]), None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences TorchRec's planner, which logs every proposal."""
    logger = logging.getLogger("torchrec")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
