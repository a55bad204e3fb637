"""Terminal report of a plan or a shortage."""

from __future__ import annotations

from rich import box
from rich.table import Table

from mmbee_plugin.torchrec.plan.outcome import RESERVED, Cluster, Plan, Shortage

GIB = 1024**3


def plan_table(plan: Plan) -> Table:
    """One row a table: size, sharding, kernel, ranks, GiB of weights and optimizer state, estimated milliseconds."""
    table = Table(title=_title(plan.cluster), box=box.SIMPLE, title_justify="left")
    for heading in ("table", "rows x width", "sharding", "kernel", "ranks"):
        table.add_column(heading)
    for heading in ("weights GiB", "optimizer GiB", "estimated ms"):
        table.add_column(heading, justify="right")
    for one in plan.tables:
        table.add_row(
            one.name,
            f"{one.rows:,} x {one.width}",
            one.sharding,
            one.kernel,
            _ranks(one.ranks, plan.cluster.world_size),
            f"{one.weights / GIB:,.2f}",
            f"{one.state / GIB:,.2f}",
            f"{one.milliseconds:,.2f}",
        )
    return table


def plan_lines(plan: Plan) -> list[str]:
    """Memory of a rank and estimated time of a step, one statement a line."""
    cluster, room = plan.cluster, plan.cluster.usable
    total = sum(table.weights + table.state for table in plan.tables)
    lines = [f"All tables with optimizer state: {total / GIB:,.1f} GiB"]
    for memory, available in (("GPU memory", room.hbm), ("host memory", room.ddr)):
        taken = [one.hbm if memory == "GPU memory" else one.ddr for one in plan.taken]
        if max(taken):
            fullest = taken.index(max(taken))
            lines.append(
                f"A rank's {memory}: {min(taken) / GIB:,.1f} to {max(taken) / GIB:,.1f} GiB (rank {fullest}), with "
                f"ids and vectors under way, of {available / GIB:,.1f} GiB"
            )
    lines.append(
        f"{RESERVED:.0%} of the memory is left to the dense part and activations; history and neighbour lists are "
        "counted as full"
    )
    lines.append(
        f"Estimated step of the embedding part: {plan.milliseconds:,.1f} ms on the slowest of {cluster.world_size} "
        "ranks, by TorchRec's own guesses of bandwidth: not measured"
    )
    return lines


def shortage_lines(shortage: Shortage) -> list[str]:
    """Missing memory and the number of processes that fits, one statement a line."""
    cluster, room, one = shortage.cluster, shortage.room, shortage.cluster.usable
    lines = [f"does not fit: {_title(cluster)}"]
    for memory, needed, available in (
        ("GPU memory", shortage.needed.hbm, room.hbm),
        ("host memory", shortage.needed.ddr, room.ddr),
    ):
        if needed > available:
            lines.append(
                f"{memory}: the tables need at least {needed / GIB:,.1f} GiB, {available / GIB:,.1f} GiB are there "
                f"({RESERVED:.0%} are left to the rest): {(needed - available) / GIB:,.1f} GiB too little"
            )
    name, piece = shortage.largest
    if piece > (one.hbm or one.ddr):
        lines.append(
            f"table {name}: its smallest part takes {piece / GIB:,.1f} GiB, and a rank has "
            f"{(one.hbm or one.ddr) / GIB:,.1f} GiB"
        )
    if shortage.in_sight:
        lines.append(
            "the sum would fit, but no arrangement of the tables was found; row_wise sharding makes even parts"
        )
    smallest = shortage.smallest_world_size
    if smallest is None:
        lines.append("no number of processes was found that fits; see tables.*.sharding")
    else:
        lines.append(f"smallest number of processes that fits (powers of two): {smallest}")
    return lines


def _title(cluster: Cluster) -> str:
    memory = f"{cluster.hbm / GIB:,.0f} GiB a GPU" if cluster.hbm else "no GPU"
    host = f", {cluster.ddr / GIB:,.0f} GiB host memory a rank" if cluster.ddr else ""
    machines = -(-cluster.world_size // cluster.local_world_size)
    return f"{cluster.world_size} ranks on {machines} machine{'s' * (machines > 1)}, {memory}{host}"


def _ranks(ranks: tuple[int, ...], world_size: int) -> str:
    if len(ranks) == world_size:
        return "all"
    if len(ranks) <= 4:
        return ", ".join(map(str, ranks))
    return f"{len(ranks)} of {world_size}"
