"""Precision and recall of the stored neighbours, by metapath: a neighbour "comes true" if the pair is linked later.

The graph has the gifts of training ("before"). Gifts of a later split link

* user and author, either way: the user gifts the author later;
* user and user: both gift one author later;
* author and author: a user who gifted the first before gifts the second later, for the first time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import typer
from numpy.typing import NDArray
from plotly.subplots import make_subplots
from scipy.sparse import csr_matrix, identity

from mmbee_plugin.command.stages import stage_display
from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation import bootstrap
from mmbee_plugin.evaluation.bootstrap import Interval
from mmbee_plugin.experiments.colours import BLUE, GREY, ORANGE
from mmbee_plugin.experiments.plots import Plot, error_bars, percentage
from mmbee_plugin.experiments.sheet import SIGNIFICANT, Sheet, p_text
from mmbee_plugin.experiments.study import Answer, study
from mmbee_plugin.experiments.training import check_split
from mmbee_plugin.experiments.verdict import listed
from mmbee_plugin.graph.metapaths import Metapath, Neighbours
from mmbee_plugin.graph.routes import leaves_gifts_out
from mmbee_plugin.graph.settings import Interactions
from mmbee_plugin.graph.snapshot import Snapshot
from mmbee_plugin.recbole.graphs import open_graph
from mmbee_plugin.recbole.offline import gifts

ROWS = 4096
"""nodes processed at once, to bound memory"""
COLOURS = {"stored": BLUE, "popular": ORANGE, "random": GREY}
MEANING = {
    "ua": "user to author: gifted later",
    "au": "author to user: gifted by later",
    "uu": "user to user: both gift one author later",
    "aa": "author to author: a giver of the first gifts the second later, for the first time",
}


@dataclass(frozen=True)
class Truth:
    """Pairs (start, end) of a metapath that are linked later, and those that its lists may not contain.

    Shapes:
        - true, excluded: (starts, ends) sparse, nonzero for such pairs
    """

    true: csr_matrix
    excluded: csr_matrix


@dataclass(frozen=True)
class Hits:
    """Neighbours along one metapath that are linked later, for the start nodes with any later link.

    Attributes:
        nodes: number of these start nodes.
        size: mean length of their lists.
        precision: kind of list (:data:`COLOURS`) -> (n,) share of the list that is linked later, for nodes with a list.
        recall: kind of list -> (nodes,) share of the later links that are listed; 0 without a list.
    """

    nodes: int
    size: float
    precision: dict[str, NDArray]
    recall: dict[str, NDArray]


@study(
    "study neighbours",
    "neighbours",
    split=typer.Option(metavar="valid|test", help="What counts as later."),
)
def neighbours(dataset: str, data_path: Path, arguments: list[str], split: str = "test") -> Answer:
    """How many of the stored neighbours come true later, by metapath, against popular and random lists.

    The settings of the graph may follow, as for a run: --graph.top_k=20. It is built if it is not there.
    """
    check_split(split)
    with stage_display() as show:
        opened = open_graph(dataset, data_path, arguments, show)
        opened.folder.check_part(split)
        train, valid, test = opened.splits
        found = hits(opened.snapshot, gifts(train), gifts(test if split == "test" else valid), show)
    return Answer(*neighbours_figure(found, split), opened.folder)


def hits(
    snapshot: Snapshot, before: Interactions, later: Interactions, show: Callable[[str], None]
) -> dict[str, Hits]:
    """Later links in each metapath's lists, and in popular and random lists of the same length.

    A popular list has the nodes with the most gifts before, without those that the metapath excludes. Random lists are
    counted by their exact expectation.

    Args:
        before: the gifts that the snapshot was built from. later: those of a later split.

    Raises:
        InputError: no later gift.
    """
    if not len(later.users):
        raise InputError(
            f"{snapshot.path.parent.parent}: no gift in the later split, so nothing can come true"
        )
    found = {}
    for name in snapshot.settings.metapaths:
        show(name)
        path = Metapath.parse(name)
        truth = truths(path, before, later, snapshot.settings.exclude_own)
        popularity = np.bincount(before.users, minlength=before.n_users)
        if path.end == "a":
            popularity = np.bincount(before.authors, minlength=before.n_authors)
        found[name] = _of_path(snapshot.neighbours(name), truth, popularity)
    return found


def truths(path: Metapath, before: Interactions, later: Interactions, exclude_own: bool) -> Truth:
    """Later linked (start, end) pairs of a metapath, and those its lists exclude: a node itself, or existing edges."""
    old, new = (_pairs(one) for one in (before, later))
    if path.start == path.end:
        if path.start == "u":
            true = (new @ new.T).tocsr()
        else:
            first = (new - new.multiply(old)).tocsr()
            first.eliminate_zeros()
            true = (old.T @ first).tocsr()
        own = identity(true.shape[0], dtype=np.float32, format="csr")
        excluded = own if exclude_own else csr_matrix(true.shape, dtype=np.float32)
        true = (true - true.multiply(own)).tocsr()  # every node is linked to itself
    else:
        true, edges = (new, old) if path.start == "u" else (new.T.tocsr(), old.T.tocsr())
        excluded = edges if leaves_gifts_out(path, exclude_own) else csr_matrix(true.shape, dtype=np.float32)
        true = (true - true.multiply(excluded)).tocsr()
    true.eliminate_zeros()
    true.data[:] = 1
    return Truth(true, excluded)


def _pairs(given: Interactions) -> csr_matrix:
    """(n_users, n_authors) float32 sparse, 1 for pairs with a gift."""
    ones = np.ones(len(given.users), dtype=np.float32)
    pairs = csr_matrix((ones, (given.users, given.authors)), shape=(given.n_users, given.n_authors))
    pairs.sum_duplicates()
    pairs.data[:] = 1
    return pairs


def _of_path(lists: Neighbours, truth: Truth, popularity: NDArray) -> Hits:
    nodes = np.flatnonzero(np.diff(truth.true.indptr))
    order = np.lexsort((np.arange(len(popularity)), -popularity))
    stored = lists.matrix(len(popularity))
    stored.data = np.ones_like(stored.data)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    counts: dict[str, list[NDArray]] = {kind: [] for kind in COLOURS}
    for start in range(0, len(nodes), ROWS):
        part = nodes[start : start + ROWS]
        true, excluded = truth.true[part], truth.excluded[part]
        size = np.diff(lists.indptr)[part]
        counts["stored"].append(_sum(true.multiply(stored[part])))
        counts["popular"].append(_popular_hits(true, excluded, size, rank))
        allowed = len(popularity) - np.diff(excluded.indptr)
        counts["random"].append(size * _sum(true) / np.maximum(allowed, 1))
    size, wanted = np.diff(lists.indptr)[nodes], _sum(truth.true[nodes])
    listed = size > 0
    all_counts = {kind: np.concatenate([*parts, np.empty(0)]) for kind, parts in counts.items()}
    return Hits(
        len(nodes),
        float(size.mean()) if len(nodes) else 0.0,
        {kind: count[listed] / size[listed] for kind, count in all_counts.items()},
        {kind: count / wanted for kind, count in all_counts.items()},
    )


def _popular_hits(true: csr_matrix, excluded: csr_matrix, size: NDArray, rank: NDArray) -> NDArray:
    """(n,) number of each row's linked ends among its ``size`` most popular ends that are not excluded.

    An end's position in the popular list is its rank among all ends minus the number of excluded ends before it.
    """
    found = np.zeros(true.shape[0])
    for row, ((first, last), (low, high)) in enumerate(
        zip(pairwise(true.indptr), pairwise(excluded.indptr), strict=True)
    ):
        wanted = rank[true.indices[first:last]]
        before = np.searchsorted(np.sort(rank[excluded.indices[low:high]]), wanted)
        found[row] = np.count_nonzero(wanted - before < size[row])
    return found


def _sum(matrix: csr_matrix) -> NDArray:
    return np.asarray(matrix.sum(axis=1), dtype=np.float64).ravel()


def neighbours_figure(found: dict[str, Hits], split: str) -> tuple[str, Sheet, Plot]:
    """The verdict, the table of precision and recall by metapath, and its plots; ``split`` is the later one."""
    rows, tests = [], {}
    for name, one in found.items():
        if len(one.precision["stored"]):
            tests[name] = bootstrap.paired(one.precision["stored"], one.precision["popular"])
    corrected = dict(zip(tests, bootstrap.holm([test.p_value for test in tests.values()]), strict=True))
    for name, one in found.items():
        cells = [f"{one.nodes:,}", f"{len(one.precision['stored']):,}", f"{one.size:.1f}"]
        precision = [_share(one.precision[kind]) for kind in COLOURS]
        ratio = _ratio(one.precision["stored"], one.precision["popular"])
        p = p_text(corrected[name]) if name in corrected else ""
        recall = [_share(one.recall[kind]) for kind in COLOURS]
        rows.append((name, *cells, *precision, ratio, p, *recall))
    headings = ("metapath", "nodes", "with a list", "mean list")
    come_true = [f"{kind} come true" for kind in COLOURS]
    of_it = [f"of it in {kind}" for kind in COLOURS]
    kinds = sorted({name[0] + name[-1] for name in found})
    notes = [
        f"Graph: gifts of the training split. Later: the {split} split. Nodes: those that meet anyone later, which is",
        *(f"  {MEANING[kind]};" for kind in kinds),
        "Come true: share of a list, mean over nodes with one; of it in: share of what comes true that is listed, mean "
        "over all these nodes.",
        "Popular and random: lists of the same length. p: stored against popular, paired bootstrap over nodes, "
        f"Holm-corrected; unknown below {bootstrap.FEWEST} nodes with a list.",
    ]
    sheet = Sheet(
        "Expanded neighbours that come true",
        (*headings, *come_true, "over popular", "p", *of_it),
        tuple(rows),
        tuple(notes),
    )
    plot = Plot(
        "Neighbours that come true",
        "Stored lists are of use where they come true more often than lists of the most popular nodes, and by far more "
        "than random ones. Lines are 95 % intervals over nodes.",
        _plots(found),
    )
    better = [
        name
        for name, p in corrected.items()
        if p < SIGNIFICANT
        and found[name].precision["stored"].mean() > found[name].precision["popular"].mean()
    ]
    told = f"the stored neighbours come true more often than popular ones along {len(better)} of {len(found)} metapaths"
    return (
        f"{told}{f' ({listed(better)})' if better else ''}, tested by node on the {split} split",
        sheet,
        plot,
    )


def _share(values: NDArray) -> str:
    return f"{values.mean():.2%}" if len(values) else "-"


def _ratio(values: NDArray, others: NDArray) -> str:
    return f"{values.mean() / others.mean():.2f}x" if len(values) and others.mean() > 0 else "-"


def _plots(found: dict[str, Hits]) -> go.Figure:
    titles = ("share of a list that comes true", "share of what comes true that is listed")
    figure = make_subplots(1, 2, subplot_titles=titles)
    for column, part in enumerate(("precision", "recall"), start=1):
        for kind, colour in COLOURS.items():
            intervals = [_interval(getattr(one, part)[kind]) for one in found.values()]
            bars = go.Bar(
                x=list(found),
                y=[percentage(one.mean) for one in intervals],
                error_y=error_bars(intervals, percentage),
                name=kind,
                marker_color=colour,
                showlegend=column == 1,
            )
            figure.add_trace(bars, row=1, col=column)
    figure.update_xaxes(title_text="metapath", type="category")
    figure.update_yaxes(title_text="mean over nodes, %")
    return figure.update_layout(barmode="group", height=420)


def _interval(values: NDArray) -> Interval:
    return bootstrap.interval(values) if len(values) else Interval(0.0, 0.0, 0.0, 0.0)
