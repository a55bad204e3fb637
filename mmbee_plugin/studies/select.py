"""Selects metapaths by permutation importance (MMBee, section 5.3): table and plot of the ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import typer
from numpy.typing import NDArray

from mmbee_plugin.builtin.sample import ensure
from mmbee_plugin.command.stages import stage_display
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.seeds import of_seeds
from mmbee_plugin.experiments.cells import Cell, CellStore
from mmbee_plugin.experiments.colours import GREY, OWN
from mmbee_plugin.experiments.comparison import METRICS
from mmbee_plugin.experiments.plots import LIMIT, OTHER, Plot
from mmbee_plugin.experiments.sheet import Sheet, drawn_over
from mmbee_plugin.experiments.study import Answer, study
from mmbee_plugin.experiments.training import settings_given
from mmbee_plugin.experiments.verdict import count, listed
from mmbee_plugin.graph.metapaths import PAPER_METAPATHS
from mmbee_plugin.recbole.run import build_config
from mmbee_plugin.studies.importance import MODEL, SIDES, importances


@dataclass(frozen=True)
class Importance:
    """Loss of one metric on validation when one metapath's lists are permuted among nodes.

    Shapes:
        - losses: (seeds, permutations)
    """

    losses: NDArray
    low: float
    high: float
    """low to high: 95 % interval of the mean loss over users and, of several models, seeds."""

    @property
    def mean(self) -> float:
        return float(self.losses.mean())

    @property
    def spread(self) -> float:
        """Standard deviation over all seeds and permutations."""
        return float(self.losses.std())


@study(
    "graph select",
    "select",
    keep=typer.Option(min=1, help="Metapaths to keep."),
    metric=typer.Option(metavar="auc|uauc|gauc", help="Ranks them; default: what a run is tuned to."),
    permutations=typer.Option(min=1, help="Of each metapath."),
    seeds=typer.Option(min=1, help="Models trained."),
)
def graph_select(
    dataset: str,
    data_path: Path,
    arguments: list[str],
    cells: Path,
    keep: int = 5,
    metric: str | None = None,
    permutations: int = 5,
    seeds: int = 1,
) -> Answer:
    """Rank every metapath of up to three hops by its permutation importance on validation.

    One model a seed is trained with all of them. Its settings may follow, as for a run: --epochs=2.
    """
    given = settings_given(MODEL, arguments)
    folder = ensure(dataset, data_path)
    chosen = ranking_metric(metric, folder, given)
    with stage_display() as show:
        found = importances(folder, given, seeds, permutations, CellStore(cells), show)
    return Answer(*select_figure(found, chosen, keep), folder, seeds=seeds)


def ranking_metric(wanted: str | None, folder: DatasetFolder, given: Mapping[str, Any]) -> str:
    """Metric of the ranking: ``wanted``, else the run's validation metric if it is measured here, else AUC.

    Raises:
        InputError: unknown metric, or invalid settings.
    """
    if wanted is None:
        valid = str(build_config(MODEL, folder, dict(given))["valid_metric"]).lower()
        return valid if valid in METRICS else "auc"
    if wanted not in METRICS:
        raise InputError(f"--metric {wanted!r}: one of {', '.join(METRICS)} is needed")
    return wanted


def importance(cells: Sequence[Cell], metric: str, name: str) -> Importance:
    """Importance of one metapath over the cells of all seeds."""
    losses = np.stack([cell.arrays[metric] - cell.arrays[f"{metric} {name}"] for cell in cells])
    draws = np.stack([cell.arrays[f"{metric} draws {name}"] for cell in cells])
    interval = of_seeds(losses.mean(axis=1), draws).interval
    return Importance(losses, interval.low, interval.high)


def ranking(cells: Sequence[Cell], metric: str) -> list[str]:
    """Metapaths by descending mean loss of the metric."""
    losses = {name: importance(cells, metric, name).mean for name in cells[0].facts["metapaths"]}
    return sorted(losses, key=lambda name: -losses[name])


def select_figure(cells: Sequence[Cell], metric: str, keep: int) -> tuple[str, Sheet, Plot]:
    """The verdict, the ranking with the losses of all metrics, and a plot for the ranking metric."""
    others = [name for name in METRICS if name != metric]
    names = ranking(cells, metric)
    rows = []
    for place, name in enumerate([*names, *SIDES.values()]):
        found = importance(cells, metric, name)
        marks = "√" if place < min(keep, len(names)) else "", "√" if name in PAPER_METAPATHS else ""
        interval = f"{_points(found.low)} to {_points(found.high)}" if found.low <= found.high else "unknown"
        rest = [importance(cells, other, name) for other in others]
        also = [f"{_points(one.mean)} ({100 * one.spread:.3f})" for one in rest]
        rows.append((name, *marks, _points(found.mean), interval, f"{100 * found.spread:.3f}", *also))
    headings = ("metapath", "kept", "paper", f"{metric.upper()} fall", "95 %", "±")
    sheet = Sheet(
        f"Metapaths of up to three hops by permutation importance on {metric.upper()}",
        (*headings, *(f"{other.upper()} fall" for other in others)),
        tuple(rows),
        tuple(_notes(cells, metric, names)),
        names=3,
    )
    plot = Plot(
        f"Fall of {metric.upper()} by metapath",
        "The longer a bar, the more the model loses without that path; one whose line crosses zero may be of no use. "
        f"Lines are 95 % intervals over {drawn_over(len(cells))}, dots single permutations; kept paths are coloured.",
        _bars(cells, metric, names, keep),
    )
    kept = names[:keep]
    unsure = [name for name in kept if not importance(cells, metric, name).low > 0]
    doubt = f", of which {listed(unsure)} may be chance" if unsure else ", all beyond chance"
    return f"{listed(kept)} would be kept{doubt}", sheet, plot


def _notes(cells: Sequence[Cell], metric: str, names: Sequence[str]) -> list[str]:
    facts = cells[0].facts
    whole = ", ".join(f"{one.upper()} {np.mean([cell.arrays[one] for cell in cells]):.4f}" for one in METRICS)
    permutations = cells[0].arrays[f"{metric} {names[0]}"].size
    return [
        f"The paper's five: {', '.join(PAPER_METAPATHS)}.",
        "Fall: what the metric loses, in percentage points, with the path's lists dealt to other users or authors; "
        f"mean of {count(permutations, 'permutation')} of {count(len(cells), 'trained model')}. "
        f"95 %: over {drawn_over(len(cells))}. ± and in brackets: standard deviation over the permutations.",
        f"The model that reads all {len(names)}: {whole}; validation split, {facts['samples']:,} samples, "
        f"{facts['positives']:,} gifts, {facts['users']:,} users.",
    ]


def _bars(cells: Sequence[Cell], metric: str, names: Sequence[str], keep: int) -> go.Figure:
    found = [importance(cells, metric, name) for name in names]
    bars = go.Bar(
        x=[100 * one.mean for one in found],
        y=list(names),
        orientation="h",
        marker_color=[OWN if place < keep else GREY for place in range(len(names))],
        error_x={
            "array": [100 * (one.high - one.mean) for one in found],
            "arrayminus": [100 * (one.mean - one.low) for one in found],
            "symmetric": False,
            "thickness": 1.2,
        },
        showlegend=False,
    )
    points = go.Scatter(
        x=[100 * loss for one in found for loss in one.losses.ravel()],
        y=[name for name, one in zip(names, found, strict=True) for _ in one.losses.ravel()],
        mode="markers",
        marker={"color": OTHER, "size": 5},
        name="one permutation",
    )
    figure = go.Figure([bars, points])
    figure.update_yaxes(autorange="reversed", title_text="metapath").add_vline(x=0, line=LIMIT)
    figure.update_xaxes(title_text=f"fall of {metric.upper()}, percentage points")
    return figure.update_layout(height=100 + 28 * len(names))


def _points(loss: float) -> str:
    return f"{100 * loss:+.3f}"
