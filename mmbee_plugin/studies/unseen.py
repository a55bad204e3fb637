"""Authors that training never showed: what each part of the model is worth on their samples, and on the others'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.express as px
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.metrics import user_auc
from mmbee_plugin.experiments.cells import Cell, Job
from mmbee_plugin.experiments.sheet import Sheet
from mmbee_plugin.experiments.training import SPLITS
from mmbee_plugin.recbole.data.training_rows import learned_items
from mmbee_plugin.recbole.run import build_config, seeded_dataset
from mmbee_plugin.recbole.training.logs import without_recbole_warnings
from mmbee_plugin.studies.comparison import HEADINGS, Compared, compare
from mmbee_plugin.tables.layout import BEST
from mmbee_plugin.tables.measures import METRICS, Samples, mean
from mmbee_plugin.tables.rows import FULL, Row
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
"""What is trained: Table 2's rows, and the full model without what an unseen author has of MFQ."""
UNSEEN, SEEN = "never seen", "seen in training"


@dataclass(frozen=True)
class Part:
    """The samples of authors of one kind, and every row's figures on them."""

    authors: int
    samples: Samples
    rows: dict[str, Compared]


def chosen_rows(only: Sequence[str] = ()) -> tuple[Row, ...]:
    """These rows and those they are set against; all by default. Raises InputError, naming those there are."""
    known = {row.name: row for row in ROWS}
    if unknown := [name for name in only if name not in known]:
        raise InputError(f"--only {unknown[0]!r}: this study has: {', '.join(known)}")
    wanted = set(only or known)
    for row in reversed(ROWS):  # a row stands behind the one it is set against
        if row.name in wanted and row.against:
            wanted.add(row.against)
    return tuple(row for row in ROWS if row.name in wanted)


def unseen_jobs(
    folder: DatasetFolder, given: Mapping[str, Any], seeds: int, rows: Sequence[Row] = ROWS
) -> dict[str, list[Job]]:
    """The cells of every row, by its name.

    Raises:
        InputError: a setting that the rows themselves make, or as `labelled_jobs`.
    """
    for key in sorted({key for row in ROWS for key in row.settings}):
        if key in given:
            raise InputError(f"setting {key!r}: the rows of this study set it")
    numbers = range(1, seeds + 1)
    return {
        row.name: labelled_jobs(row.name, "MMBee", folder, {**given, **row.settings}, numbers) for row in rows
    }


def measure_unseen(
    folder: DatasetFolder, given: Mapping[str, Any], cells: Mapping[str, Sequence[Cell]], split: str = "test"
) -> dict[str, Part]:
    """Every row on the samples of authors without a training row, and on all others.

    Args:
        cells: by row, one a seed.

    Raises:
        InputError: no unseen author among its samples, none of theirs a gift, or none no gift, or
            cells of other samples.
    """
    with without_recbole_warnings():
        train, *others = seeded_dataset(build_config("MMBee", folder, {**given, **FULL})).build()
    rows = others[SPLITS.index(split)]
    items = rows.inter_feat[rows.iid_field].numpy()
    labels = rows.positive_rows()
    for name, seeds in cells.items():
        if any(not np.array_equal(cell.arrays[f"{split} labels"], labels) for cell in seeds):
            raise InputError(
                f"{name}: scored other {split} rows; this study needs one split for all seeds: a pre-split folder, or "
                "eval_args.order TO"
            )
    users = rows.user_rows[rows.inter_feat[rows.uid_field].numpy()]
    new = ~learned_items(train)[items]
    scores = {name: [cell.arrays[f"{split} scores"] for cell in seeds] for name, seeds in cells.items()}
    truth = folder.path / "truth" / f"{split}.npy"
    if truth.exists() and folder.splits:
        scores[BEST] = [np.load(truth)]
    against = {row.name: row.against for row in ROWS if row.against and row.name in cells}
    parts = {}
    for kind, chosen in ((UNSEEN, new), (SEEN, ~new)):
        if not chosen.any():
            raise InputError(f"{folder.path}: no {split} row is of an author {kind}")
        if labels[chosen].all() or not labels[chosen].any():
            found = "nothing but gifts" if labels[chosen].any() else "no gift"
            raise InputError(f"{folder.path}: {found} among the {split} rows of authors {kind}")
        samples = Samples(users[chosen], labels[chosen], None)
        compared = compare(samples, _only(scores, chosen), against)
        parts[kind] = Part(len(np.unique(items[chosen])), samples, compared)
    return parts


def unseen_figure(parts: Mapping[str, Part], seeds: int, split: str = "test") -> tuple[Sheet, go.Figure]:
    """The table, unseen authors first, and bars with 95 % intervals over users."""
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
        f"Mean of {seeds} seed{'s, in brackets the largest minus the smallest' if seeds > 1 else ''}. Impr.: over SIM; "
        "of the last two over SIM+MFQ+GIE.",
        "p: paired bootstrap over users, Holm-corrected over the rows of each kind of author.",
        "An unseen author reads with the queries that all share. Never alone: default_query_rate 0, so that in "
        "training an author's own were always added to them. No queries: use_queries false.",
        f"Measured on {split}"
        + (", with settings that were chosen on validation." if split == "test" else "."),
    ]
    headings = ("authors", "model", *HEADINGS)
    return Sheet("Authors never seen in training", headings, rows, tuple(notes), names=2), _plots(parts)


def _users_with_both(samples: Samples) -> int:
    return len(user_auc(samples.users, samples.labels, np.zeros(len(samples.labels))).users)


def _only(scores: Mapping[str, Sequence[NDArray]], chosen: NDArray) -> dict[str, list[NDArray]]:
    return {name: [one[chosen] for one in seeds] for name, seeds in scores.items()}


def _plots(parts: Mapping[str, Part]) -> go.Figure:
    figure = make_subplots(1, len(METRICS), subplot_titles=[metric.upper() for metric in METRICS])
    for column, metric in enumerate(METRICS, start=1):
        for number, (kind, part) in enumerate(parts.items()):
            middle = np.array([mean(one.values[metric]) for one in part.rows.values()])
            low, high = np.array([one.intervals[metric] for one in part.rows.values()]).T
            points = go.Scatter(
                x=list(part.rows),
                y=middle,
                error_y={"array": high - middle, "arrayminus": middle - low},
                mode="markers",
                marker={"size": 9, "color": px.colors.qualitative.D3[number]},
                name=kind,
                legendgroup=kind,
                showlegend=column == 1,
            )
            figure.add_trace(points, row=1, col=column)
    return figure.update_layout(template="plotly_white", height=480, legend_title_text="authors")
