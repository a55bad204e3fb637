"""Gain of each part of the model on samples of authors unseen in training, and on those of all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import typer
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from mmbee_plugin.builtin.sample import ensure
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.metrics import user_auc
from mmbee_plugin.experiments.cells import Cell, Job, seeds_of
from mmbee_plugin.experiments.colours import GREY, OWN
from mmbee_plugin.experiments.comparison import METRICS, Samples
from mmbee_plugin.experiments.making import cells_of_rows
from mmbee_plugin.experiments.plots import LIMIT, Plot, error_bars
from mmbee_plugin.experiments.rows import Row, check_own, chosen
from mmbee_plugin.experiments.sheet import BEST, Sheet, drawn_over, mean_of_seeds, percent
from mmbee_plugin.experiments.study import Answer, study
from mmbee_plugin.experiments.training import EVALUATED, check_split, settings_given
from mmbee_plugin.experiments.verdict import chance, listed
from mmbee_plugin.recbole.data.training_rows import training_rows
from mmbee_plugin.recbole.run import build_config, seeded_dataset
from mmbee_plugin.recbole.training.logs import without_recbole_warnings
from mmbee_plugin.studies.comparison import HEADINGS, Compared, compare
from mmbee_plugin.studies.parts import CURE
from mmbee_plugin.tables.command import MODEL
from mmbee_plugin.tables.rows import FULL
from mmbee_plugin.tables.run import labelled_jobs

BARE: Mapping[str, Any] = {"backbone": "sim", "content": "none", "interest": "none"}
ROWS = (
    Row("SIM", BARE),
    Row("SIM+MFQ", {**BARE, "content": "mfq"}, "SIM"),
    Row("SIM+GIE", {**BARE, "interest": "gie"}, "SIM"),
    Row("SIM+MFQ+GIE", FULL, "SIM"),
    Row("shared queries never alone", {**FULL, "default_query_rate": 0.0}, "SIM+MFQ+GIE"),
    Row("no queries", {**FULL, "use_queries": False}, "SIM+MFQ+GIE"),
)
"""models to train: rows of Table 2, and the full model without the shared queries that unseen authors use"""
STUDY = "this study"
UNSEEN, SEEN = "never seen", "seen in training"


@dataclass(frozen=True)
class Part:
    """Samples of seen or of unseen authors, and each row's metrics on them."""

    authors: int
    samples: Samples
    rows: dict[str, Compared]


@study(
    "study unseen",
    "unseen",
    seeds=typer.Option(min=1, help="Trainings of each model."),
    split=typer.Option(metavar="valid|test", help="Whose rows are scored."),
    only=typer.Option(metavar="MODEL", help="This one and those it is measured from; may be repeated."),
)
def unseen(
    dataset: str,
    data_path: Path,
    arguments: list[str],
    jobs: int,
    cells: Path,
    seeds: int = 1,
    split: str = "test",
    only: list[str] | None = None,
) -> Answer:
    """Compare what the parts are worth for authors never seen in training, and for all others.

    Trains SIM with and without MFQ and GIE, and MMBee without its shared queries and without any; they are cells of
    mmbee table, kept in --cells. Settings of all models may follow, as for a run: --epochs=3.
    """
    check_split(split)
    rows = chosen(ROWS, only or (), STUDY)
    given = settings_given(MODEL, arguments)
    folder = ensure(dataset, data_path)
    folder.check_part(split)
    made = cells_of_rows(unseen_jobs(folder, given, seeds, rows), cells, jobs)
    parts = measure_unseen(folder, given, made, split)
    return Answer(
        *unseen_figure(parts, seeds, split), folder, f"Settings given: {given or 'none'}", seeds=seeds
    )


def unseen_jobs(
    folder: DatasetFolder, given: Mapping[str, Any], seeds: int, rows: Sequence[Row] = ROWS
) -> dict[str, list[Job]]:
    """Row -> jobs of its cells.

    Raises:
        InputError: a given setting that the rows make themselves, or as `labelled_jobs`.
    """
    check_own(ROWS, given, STUDY)
    numbers = seeds_of(seeds)
    return {
        row.name: labelled_jobs(row.name, MODEL, folder, {**given, **row.settings}, numbers) for row in rows
    }


def measure_unseen(
    folder: DatasetFolder, given: Mapping[str, Any], cells: Mapping[str, Sequence[Cell]], split: str = "test"
) -> dict[str, Part]:
    """Metrics of every row on the samples of authors without a training row, and on all others.

    Args:
        cells: row -> one cell a seed.

    Raises:
        InputError: cells of other samples, or a part without samples, without gifts or with gifts only.
    """
    with without_recbole_warnings():
        train, *others = seeded_dataset(build_config(MODEL, folder, {**given, **FULL})).build()
    rows = others[EVALUATED.index(split)]
    items = rows.inter_feat[rows.iid_field].numpy()
    labels = rows.positive_rows()
    for name, seeds in cells.items():
        if any(not np.array_equal(cell.arrays[f"{split} labels"], labels) for cell in seeds):
            raise InputError(f"{name}: scored other {split} rows; {CURE}")
    users = rows.user_rows[rows.inter_feat[rows.uid_field].numpy()]
    trained = training_rows(train)
    new = ~np.isin(items, trained.items[trained.kept])
    scores = {name: [cell.arrays[f"{split} scores"] for cell in seeds] for name, seeds in cells.items()}
    truth = folder.path / "truth" / f"{split}.npy"
    if truth.exists() and folder.splits:
        scores[BEST] = [np.load(truth)]
    against = {row.name: row.against for row in ROWS if row.against and row.name in cells}
    parts = {}
    for kind, own in ((UNSEEN, new), (SEEN, ~new)):
        if not own.any():
            raise InputError(f"{folder.path}: no {split} row is of an author {kind}")
        if labels[own].all() or not labels[own].any():
            found = "nothing but gifts" if labels[own].any() else "no gift"
            raise InputError(f"{folder.path}: {found} among the {split} rows of authors {kind}")
        samples = Samples(users[own], labels[own], None)
        compared = compare(samples, _only(scores, own), against)
        parts[kind] = Part(len(np.unique(items[own])), samples, compared)
    return parts


def unseen_figure(parts: Mapping[str, Part], seeds: int, split: str = "test") -> tuple[str, Sheet, Plot]:
    """The verdict, the table, unseen authors first, and a plot with 95 % intervals over users and seeds."""
    rows = tuple(
        (kind, name, *compared.cells())
        for kind, part in parts.items()
        for name, compared in part.rows.items()
    )
    counts = [
        f"{kind}: {part.authors:,} authors, {len(part.samples.labels):,} samples, {part.samples.labels.sum():,} gifts, "
        f"{_users_with_both(part.samples):,} users with both"
        for kind, part in parts.items()
    ]
    notes = [
        f"{'; '.join(counts)}. An author is seen if a sample of it is trained on.",
        f"{mean_of_seeds(seeds)}. Impr.: over SIM; of the last two over SIM+MFQ+GIE.",
        f"p: paired bootstrap over {drawn_over(seeds)}, Holm-corrected over the rows of each kind of author.",
        "An unseen author reads with the queries that all share. Never alone: default_query_rate 0, so that in "
        "training an author's own were always added to them. No queries: use_queries false.",
        f"Measured on {split}"
        + (", with settings that were chosen on validation." if split == "test" else "."),
    ]
    headings = ("authors", "model", *HEADINGS)
    plot = Plot(
        "Metrics on authors never seen and on all others",
        "Whether a model keeps its rank for authors without training rows. Compare models of one colour; the two "
        f"colours are other samples. Lines are 95 % intervals over {drawn_over(seeds)}; dashed: random scores.",
        _plots(parts),
    )
    sheet = Sheet("Authors never seen in training", headings, rows, tuple(notes), names=2)
    return _gain(parts[UNSEEN]), sheet, plot


def _gain(part: Part) -> str:
    """What the parts are worth on GAUC for authors never seen."""
    names = [row.name for row in ROWS if row.against == "SIM" and row.name in part.rows]
    if not names:
        return f"{listed(list(part.rows))} was scored alone, with nothing to compare it with"
    told = []
    for name in names:
        row = part.rows[name]
        told.append(f"{name} {percent(row.gains['gauc'])} ({chance(row.p_values['gauc'])})")
    return f"for authors never seen, the gains of GAUC over SIM are {listed(told)}"


def _users_with_both(samples: Samples) -> int:
    return len(user_auc(samples.users, samples.labels, np.zeros(len(samples.labels))).users)


def _only(scores: Mapping[str, Sequence[NDArray]], chosen: NDArray) -> dict[str, list[NDArray]]:
    return {name: [one[chosen] for one in seeds] for name, seeds in scores.items()}


def _plots(parts: Mapping[str, Part]) -> go.Figure:
    figure = make_subplots(1, len(METRICS), subplot_titles=[metric.upper() for metric in METRICS])
    for column, metric in enumerate(METRICS, start=1):
        for (kind, part), colour in zip(parts.items(), (OWN, GREY), strict=True):
            found = [one.interval(metric) for one in part.rows.values()]
            points = go.Scatter(
                x=list(part.rows),
                y=[one.mean for one in found],
                error_y=error_bars(found),
                mode="markers",
                marker={"size": 9, "color": colour},
                name=kind,
                legendgroup=kind,
                offsetgroup=kind,
                showlegend=column == 1,
            )
            figure.add_trace(points, row=1, col=column)
        figure.add_hline(y=0.5, line=LIMIT, row=1, col=column)
        figure.update_yaxes(title_text=metric.upper(), row=1, col=column)
    return figure.update_xaxes(title_text="model", type="category").update_layout(
        height=440, scattermode="group"
    )
