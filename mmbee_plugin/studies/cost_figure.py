"""Table and plots of the expansion's cost against size and density of the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import typer
from plotly.subplots import make_subplots

from mmbee_plugin.command.stages import stage_display
from mmbee_plugin.experiments.cells import Cell
from mmbee_plugin.experiments.colours import SERIES
from mmbee_plugin.experiments.making import cells_of_rows
from mmbee_plugin.experiments.plots import Plot
from mmbee_plugin.experiments.sheet import Sheet
from mmbee_plugin.experiments.study import Answer, numbers, study
from mmbee_plugin.experiments.verdict import listed
from mmbee_plugin.recbole.graphs import open_graph
from mmbee_plugin.studies.cost import OWN, PARTS, Shape, cost_jobs, growth, shapes_of, total

Costs = Mapping[Shape, Cell]


@study(
    "graph cost",
    "cost",
    sizes=typer.Option(metavar="TIMES", help="Times the data's users."),
    densities=typer.Option(metavar="TIMES", help="Times its edges a user."),
)
def graph_cost(
    dataset: str,
    data_path: Path,
    arguments: list[str],
    cells: Path,
    sizes: str = "0.5,1,2,4,8",
    densities: str = "0.5,1,2,4",
) -> Answer:
    """Measure seconds and bytes of the expansion on graphs like the dataset's, smaller, larger and denser.

    The settings of the graph may follow, as for a run: --graph.top_k=20.
    """
    shapes = shapes_of(numbers(sizes, "--sizes", float), numbers(densities, "--densities", float))
    with stage_display() as show:
        opened = open_graph(dataset, data_path, arguments, show)
    own, *costs = cells_of_rows({"": cost_jobs(opened, shapes)}, cells, fresh=True, of="graphs")[""]
    of_shapes = dict(zip(shapes, costs, strict=True))
    return Answer(*cost_figure(own, of_shapes, opened.snapshot.settings.top_k), opened.folder)


def cost_figure(own: Cell, costs: Costs, top_k: int) -> tuple[str, Sheet, Plot]:
    """The verdict, the table of all graphs and the plots of those that were drawn.

    Args:
        own: cell of the dataset's own graph. costs: shape -> its cell. top_k: neighbours kept.
    """
    rows = [_row(OWN, own), *(_row(shape.name, cell) for shape, cell in costs.items())]
    parts = [f"{part} {unit}" for unit in ("s", "MB") for part in (*PARTS, "all")]
    headings = ("graph", "users", "authors", "U2A edges", "A2A edges", *parts, "memory MB")
    metapaths = ", ".join(own.facts["metapaths"])
    notes = [
        f"Wall seconds on {own.facts['machine']}, one graph at a time; MB of files (10^6 bytes); "
        "memory: the most held beyond the process's own.",
        f"Lists: of {metapaths}, the {top_k} best kept. Without node vectors, and for one graph: folds come on top.",
        "Drawn after the data's: its numbers of edges by user and author, who meets whom by chance.",
    ]
    plot = Plot(
        "Cost against size and density",
        "Both scales are logarithmic: a straight line is a power of the size, and one that rises as fast as the axis "
        "grows with the data. Each point was measured once, without interval.",
        _plots(costs),
    )
    told = f"expanding the data's own graph took {total(own, 'seconds'):.2f} s and {total(own, 'bytes') / 1e6:.1f} MB"
    grow = [text for axis in _axes(costs) if (text := _growth(costs, axis))]
    verdict = f"{told}{f', growing {listed(grow)}' if grow else ''}"
    return verdict, Sheet("Cost of the expansion", headings, tuple(rows), tuple(notes)), plot


def _row(name: str, cell: Cell) -> tuple[str, ...]:
    facts = cell.facts
    counts = [f"{facts[count]:,}" for count in ("users", "authors", "edges", "a2a_edges")]
    seconds = [f"{facts['seconds'][part]:.2f}" for part in PARTS]
    size = [f"{facts['bytes'][part] / 1e6:.1f}" for part in PARTS]
    sums = f"{total(cell, 'seconds'):.2f}", f"{total(cell, 'bytes') / 1e6:.1f}"
    return (name, *counts, *seconds, sums[0], *size, sums[1], f"{facts['memory_mb']:,.0f}")


def _axes(costs: Costs) -> dict[str, tuple[Costs, Callable[[Shape], float]]]:
    """Axis -> (cells along it with the other axis at 1, coordinate of a shape)."""
    return {
        "size": (
            {shape: cell for shape, cell in costs.items() if shape.density == 1},
            lambda shape: shape.size,
        ),
        "density": (
            {shape: cell for shape, cell in costs.items() if shape.size == 1},
            lambda shape: shape.density,
        ),
    }


def _growth(costs: Costs, axis: str) -> str:
    """How seconds and bytes grow along an axis; empty for a single point."""
    line, value = _axes(costs)[axis]
    if len(line) < 2:
        return ""
    x = np.array([value(shape) for shape in line])
    exponents = [
        f"{what} as {axis}^{growth(x, np.array([total(cell, what) for cell in line.values()])):.2f}"
        for what in ("seconds", "bytes")
    ]
    return f"{' and '.join(exponents)} over {axis} x {x.min():g} to {x.max():g}"


def _plots(costs: Costs) -> go.Figure:
    axes = _axes(costs)
    titles = [f"{what} against {axis}" for what in ("Seconds", "Megabytes") for axis in axes]
    figure = make_subplots(2, 2, subplot_titles=titles, vertical_spacing=0.14)
    for column, (line, value) in enumerate(axes.values(), start=1):
        for row, (what, unit) in enumerate((("seconds", 1.0), ("bytes", 1e6)), start=1):
            for number, (name, values) in enumerate(_lines(list(line.values()), what).items()):
                trace = go.Scatter(
                    x=[value(shape) for shape in line],
                    y=[one / unit for one in values],
                    name=name,
                    legendgroup=name,
                    showlegend=row == column == 1,
                    line_color=SERIES[number % len(SERIES)],
                    line_dash="dot" if name in PARTS else "solid",
                    mode="lines+markers",
                )
                figure.add_trace(trace, row=row, col=column)
    figure.update_xaxes(type="log").update_yaxes(type="log")
    figure.update_xaxes(title_text="times the data's users and authors", col=1)
    figure.update_xaxes(title_text="times the data's edges a user", col=2)
    figure.update_yaxes(title_text="s", row=1).update_yaxes(title_text="MB", row=2)
    return figure.update_layout(height=760)


def _lines(cells: Sequence[Cell], what: str) -> dict[str, list[float]]:
    """Values of each metapath and each other part, over the cells; without those that are all zero."""
    names = cells[0].facts["metapaths"] if cells else {}
    lines = {name: [cell.facts["metapaths"][name][what] for cell in cells] for name in names}
    others = {part: [cell.facts[what][part] for cell in cells] for part in PARTS if part != "lists"}
    return {name: values for name, values in {**lines, **others}.items() if any(values)}
