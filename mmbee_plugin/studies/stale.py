"""Cost of an old graph snapshot: scores a trained model with lists that were built days before the test day.

Only the output of the graph stage ages: neighbours, the long walk's lists and mean attributes. Node vectors are weights
of the model. Histories have all gifts before the test day, as on a server: a graph newer than the histories would show
the model users of a kind that training does not have.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch
import typer
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from mmbee_plugin.command.stages import stage_display
from mmbee_plugin.data.histories import Histories
from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.bootstrap import Interval
from mmbee_plugin.experiments.colours import OWN
from mmbee_plugin.experiments.comparison import METRICS, Samples
from mmbee_plugin.experiments.plots import LIMIT, Plot, error_bars, percentage
from mmbee_plugin.experiments.scoring import Trained, open_trained
from mmbee_plugin.experiments.sheet import Sheet, percent
from mmbee_plugin.experiments.study import Answer, numbers, study
from mmbee_plugin.experiments.verdict import chance
from mmbee_plugin.graph.settings import GraphSettings, Interactions
from mmbee_plugin.graph.snapshot import Snapshot
from mmbee_plugin.moments import clock
from mmbee_plugin.offline.stage import snapshot_of
from mmbee_plugin.recbole.config import settings
from mmbee_plugin.recbole.config.modalities import chosen_modalities
from mmbee_plugin.recbole.data.interest import InterestTable
from mmbee_plugin.recbole.offline import gifts
from mmbee_plugin.studies.comparison import HEADINGS, Compared, compare

DAY = 86_400
COLUMNS = ("users", "authors", "amounts", "times")
NONE = "no gifts"
"""name of a graph without gifts"""


@dataclass(frozen=True)
class Aged:
    """The model on one snapshot.

    Attributes:
        age: whole days from the snapshot's end to the start of the test day; None for a graph without gifts.
        until: end of the snapshot, in seconds since the epoch; minus infinity for a graph without gifts.
        edges: distinct pairs of a user and an author in its U2A graph.
        covered: share of the test rows whose user has a list along any metapath.
        scores: (n,) of the test rows.
    """

    age: int | None
    until: float
    edges: int
    covered: float
    scores: NDArray


@study(
    "study stale",
    "stale",
    ages=typer.Option(metavar="DAYS", help="Whole days."),
)
def stale(checkpoint: Path, ages: str = "0,1,3,7") -> Answer:
    """Measure the cost of an old graph snapshot: score the test rows with lists built days before the test day."""
    days = numbers(ages, "--ages", int)
    with stage_display() as show:
        trained = open_trained(checkpoint)
        samples, found = aged(trained, days, show)
    return Answer(*stale_figure(samples, found), trained.folder, f"Checkpoint: {checkpoint.name}")


def aged(trained: Trained, ages: Sequence[int], show: Callable[[str], None]) -> tuple[Samples, list[Aged]]:
    """Scores the test rows with a snapshot of each age, youngest first, and last with a graph without gifts.

    A snapshot of age 0 has all gifts before the test day, including those of the validation day: the model was not
    trained on them, but a server would have them.

    Raises:
        InputError: data without time, a model that reads no metapaths, a negative age.
    """
    if min(ages) < 0:
        raise InputError(f"age {min(ages)} is out of range, expected at least 0 days")
    if not isinstance(trained.network.interest, InterestTable):
        raise InputError(f"{trained.path}: the model reads no metapaths, expected interest: gie")
    if not trained.folder.ordered:
        raise InputError(f"{trained.folder.path}: the data have no time, so a graph has no age")
    samples = trained.samples("test")
    assert samples.times is not None
    start = float(samples.times.min()) // DAY * DAY
    moments: dict[int | None, float] = {age: start - age * DAY for age in sorted(set(ages))}
    moments[None] = -np.inf
    known, rows = _known_gifts(trained), trained.rows("test")
    lists, histories = trained.network.interest, rows.histories
    found: list[Aged] = []
    try:
        rows.histories = _fresh_histories(trained, start)
        for age, until in moments.items():
            if age is None and not found[-1].edges:
                break  # the oldest snapshot has no gifts already
            show(f"graph {_age(age)}")
            with tempfile.TemporaryDirectory() as place:
                snapshot = _snapshot(trained, known, until, Path(place))
                trained.network.interest = table = _with_lists_of(trained, lists, snapshot)
                edges = snapshot.u2a().nnz
            scores = trained.scores("test")
            found.append(Aged(age, until, edges, _covered(trained, table), scores))
    finally:
        trained.network.interest, rows.histories = lists, histories
    return samples, found


def stale_figure(samples: Samples, found: Sequence[Aged]) -> tuple[str, Sheet, Plot]:
    """The verdict, metrics by age with their difference from the youngest graph, and a plot of the difference."""
    names = [_age(one.age) for one in found]
    scores = {name: [one.scores] for name, one in zip(names, found, strict=True)}
    compared = compare(samples, scores, dict.fromkeys(names[1:], names[0]))
    rows = [
        (
            name,
            _date(one.until),
            f"{one.edges:,}",
            f"{one.covered:.1%}",
            *compared[name].cells(),
        )
        for name, one in zip(names, found, strict=True)
    ]
    notes = (
        f"Test split, {len(samples.labels):,} samples, {int(samples.labels.sum()):,} gifts; the model's settings were "
        "chosen on validation.",
        "Impr.: absolute, over the first row; p: paired bootstrap over users, Holm-corrected over the rows.",
        "Old are the stored lists and their mean attributes; histories have all before the test day, for every age.",
    )
    headings = ("age", "gifts until (UTC)", "U2A edges", "rows with a list", *HEADINGS)
    plot = Plot(
        "Loss by age of the graph",
        "Below zero the model is worse than with the youngest graph; a line that crosses zero may be chance. Lines are "
        "95 % intervals over users.",
        _plot(compared),
    )
    return _loss(compared), Sheet("Graph snapshots by age at test", headings, tuple(rows), notes), plot


def _loss(compared: Mapping[str, Compared]) -> str:
    """The loss of GAUC of the oldest graph."""
    first, *_, oldest = compared
    if oldest == first:
        return f"a graph of {first} was scored alone, with nothing to compare it with"
    row = compared[oldest]
    age = "a graph without gifts" if oldest == NONE else f"a graph of {oldest}"
    doubt = chance(row.p_values["gauc"])
    return (
        f"{age} changes this checkpoint's GAUC by {percent(row.gains['gauc'])} from one of {first}, {doubt}"
    )


def _known_gifts(trained: Trained) -> Interactions:
    """Gifts of training and validation, times in seconds of the data's own clock, as its visits have."""
    parts = [gifts(trained.train), gifts(trained.rows("valid"))]

    def joined(name: str) -> NDArray | None:
        columns = [getattr(part, name) for part in parts]
        return None if any(column is None for column in columns) else np.concatenate(columns)

    columns: dict[str, Any] = {name: joined(name) for name in COLUMNS}
    return replace(parts[0], **columns)


def _fresh_histories(trained: Trained, until: float) -> Histories:
    """Histories of all training and validation gifts before ``until``, in seconds since the epoch."""
    parts, first = [trained.train, trained.rows("valid")], trained.train
    users, items = (
        np.concatenate([part.inter_feat[field].numpy() for part in parts])
        for field in (first.uid_field, first.iid_field)
    )
    times = np.concatenate([part.times for part in parts])
    given = np.concatenate([part.positive_rows() for part in parts])
    given &= times + trained.origin < until
    return Histories(users, items, first.user_num, times, given)


def _snapshot(trained: Trained, known: Interactions, until: float, root: Path) -> Snapshot:
    """Builds the model's lists from gifts before ``until``, without folds and node vectors.

    Args:
        known: gifts, times in seconds of the data's own clock.
        until: seconds since the epoch.
    """
    assert known.times is not None
    seen = known.times < until - trained.origin
    columns: dict[str, Any] = {
        name: column[seen] for name in COLUMNS if (column := getattr(known, name)) is not None
    }
    config = trained.config
    chosen = chosen_modalities(config, trained.folder)
    graph: GraphSettings = settings.graph_settings(config).replace(folds=0, refresh_from=None)
    return snapshot_of(
        trained.folder,
        replace(known, **columns),
        graph,
        modalities=settings.attribute_modalities(config, trained.folder, chosen),
        read=chosen,
        until=until,
        root=root,
    )


def _with_lists_of(trained: Trained, own: InterestTable, snapshot: Snapshot) -> InterestTable:
    """An interest table with the model's node vectors and another snapshot's lists."""
    config = trained.config
    table = InterestTable(
        trained.train,
        snapshot,
        settings.chosen_metapaths(config),
        config["embedding_size"],
        config["attributes"],
        pretrained=False,
        pooling=config["pooling"],
        neighbour_weights=config["neighbour_weights"],
    )
    table.nodes = own.nodes
    return table.to(trained.network.device).eval()


def _covered(trained: Trained, table: InterestTable) -> float:
    rows = trained.rows("test")
    users = rows.inter_feat[rows.uid_field].to(trained.network.device)
    filled = torch.zeros(len(users), dtype=torch.bool, device=users.device)
    for pool in table.pools["u"]:
        for part in pool.parts:
            lists: Any = table.lists[part.name]
            filled |= (lists.of(users, None)[1] > 0).any(dim=1)
    return float(filled.float().mean())


def _age(age: int | None) -> str:
    if age is None:
        return NONE
    return "1 day" if age == 1 else f"{age} days"


def _date(seconds: float) -> str:
    return clock(seconds)[:16] if np.isfinite(seconds) else "-"


def _plot(compared: Mapping[str, Compared]) -> go.Figure:
    figure = make_subplots(1, len(METRICS), subplot_titles=[metric.upper() for metric in METRICS])
    for column, metric in enumerate(METRICS, start=1):
        spans = [one.spans.get(metric, Interval(0.0, 0.0, 0.0, 0.0)) for one in compared.values()]
        points = go.Scatter(
            x=list(compared),
            y=[percentage(one.mean) for one in spans],
            error_y=error_bars(spans, percentage),
            mode="lines+markers",
            line_color=OWN,
        )
        figure.add_trace(points, row=1, col=column)
        figure.add_hline(y=0, line=LIMIT, row=1, col=column)
    figure.update_xaxes(title_text="age of the graph", type="category")
    return figure.update_yaxes(title_text="percentage points from the youngest").update_layout(height=400)
