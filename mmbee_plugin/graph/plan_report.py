"""A plan of the graph stage as a table and lines of text."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from rich.table import Table

from mmbee_plugin.graph.plan import Stage
from mmbee_plugin.graph.population import Population


def plan_table(plans: Mapping[int | None, Sequence[Stage]]) -> Table:
    """Core-hours, gigabytes (10^9) in memory and gigabytes written of each stage, by cap on hubs; None is no cap."""
    table = Table(title="core-hours, memory of a process and output in GB", title_justify="left")
    table.add_column("stage", no_wrap=True)
    for cap in plans:
        name = "no cap" if cap is None else f"cap {cap:,}"
        for heading in (name, "memory", "output"):
            table.add_column(heading, justify="right", no_wrap=True)
    for rows in zip(*plans.values(), strict=True):
        cells = ((row.seconds / 3600, row.memory / 1e9, row.output / 1e9) for row in rows)
        table.add_row(rows[0].name, *(_short(value) for cell in cells for value in cell))
    table.add_section()
    sums = []
    for stages in plans.values():
        parts = ((stage.seconds / 3600, stage.memory / 1e9, stage.output / 1e9) for stage in stages)
        hours, memory, output = zip(*parts, strict=True)
        sums += [sum(hours), max(memory), sum(output)]
    table.add_row("all", *map(_short, sums))
    return table


def plan_lines(people: Population, plans: Mapping[int | None, Sequence[Stage]]) -> Iterator[str]:
    """What the plan's population is, what crosses the network, and what sharing lists saves."""
    degrees, counts = people.of_authors, people.authors.counts
    yield (
        f"Edges: {people.edges:.3g}; the first author has {degrees[0]:.3g} users; sum of squared author degrees "
        f"{float(counts @ degrees**2):.2g}; users of one author {float(people.single @ counts):.2g}"
    )
    for cap in plans:
        if cap is not None:
            hubs = degrees > cap
            lost = float(counts[hubs] @ (degrees[hubs] - cap)) / people.edges
            capped = f"{counts[hubs].sum():.3g} authors capped"
            yield f"Cap {cap:,}: {capped}, {lost:.1%} of edges left out of Swing and steps a2u"
    yield f"Shuffle: each edge by user and by author, {24 * people.edges / 1e9:.3g} GB"
    for cap, stages in plans.items():
        whole, shared = (
            sum(getattr(stage, name) for stage in stages) / 1e9 for name in ("whole_output", "output")
        )
        name = "No cap" if cap is None else f"Cap {cap:,}"
        yield f"{name}: users of one history share lists; otherwise output would be {whole:,.0f} GB, not {shared:,.0f}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or np.isnan(value) else f"{value:.2g}"
