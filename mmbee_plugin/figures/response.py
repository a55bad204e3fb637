"""Figure 6: response time of walking the graph online against reading the stored list."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import typer
from plotly.subplots import make_subplots
from scipy.sparse import csr_matrix

from mmbee_plugin.command.stages import stage_display
from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.colours import BLUE, VERMILLION
from mmbee_plugin.experiments.sheet import Sheet
from mmbee_plugin.experiments.study import Answer, study
from mmbee_plugin.graph.hubs import capped
from mmbee_plugin.graph.metapaths import Metapath, step_graphs
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.graph.snapshot import Snapshot
from mmbee_plugin.recbole.graph_report import open_graph

Listed = tuple[np.ndarray, np.ndarray]
"""ids (n,) and weights (n,) float32 of a node's neighbours, best first."""
WARM_UP = 20
COLOURS = {"walked": VERMILLION, "read": BLUE}


class OnlineWalk:
    """Expands one node at a time from the graphs in memory, normalised in advance as on a server.

    Args:
        path: the metapath to walk.
        u2a: (n_users, n_authors) weighted donation graph. a2a: (n_authors, n_authors).
        settings: of the stored lists.
    """

    def __init__(self, path: Metapath, u2a: csr_matrix, a2a: csr_matrix, settings: GraphSettings) -> None:
        self._path, self._top_k, self._exclude_own = path, settings.top_k, settings.exclude_own
        sample = capped(u2a, settings.walk_max_users, settings.hub_seed)
        self._steps = step_graphs(path, u2a, a2a, settings.normalisation, sample)
        self._own = u2a if path.start == "u" else u2a.T.tocsr()

    def of(self, node: int) -> Listed:
        """The neighbours of one node, as :func:`~mmbee_plugin.graph.expansion.expand` finds them."""
        row = self._steps[0][node]
        for step in self._steps[1:]:
            row = row @ step
        ids, scores = row.indices, row.data.astype(np.float32)
        if self._exclude_own:
            kept = self._allowed(node, ids)
            ids, scores = ids[kept], scores[kept]
        if len(ids) > self._top_k:  # keeps all ties of the last one; the sort below cuts them
            least = np.partition(scores, -self._top_k)[-self._top_k]
            ids, scores = ids[scores >= least], scores[scores >= least]
        best = np.lexsort((ids, -scores))[: self._top_k]
        return ids[best], scores[best]

    def _allowed(self, node: int, ids: np.ndarray) -> np.ndarray:
        if self._path.start == self._path.end:
            return ids != node
        if self._path.hops == 1:
            return np.ones(len(ids), dtype=bool)
        return ~np.isin(ids, self._own.indices[self._own.indptr[node] : self._own.indptr[node + 1]])


def same(first: Listed, second: Listed, tolerance: float = 1e-5) -> bool:
    """Whether two lists agree up to rounding: close weights at each position, different ids only where weights tie."""
    (ids, weights), (other_ids, other_weights) = first, second
    if len(ids) != len(other_ids) or not np.allclose(weights, other_weights, rtol=tolerance, atol=0):
        return False
    if not len(ids):
        return True
    known = dict(zip(other_ids.tolist(), other_weights.tolist(), strict=True))
    last = float(other_weights[-1])  # an id beyond the cut can only tie with the last
    expected = [known.get(node, last) for node in ids.tolist()]
    return np.allclose(weights, expected, rtol=tolerance, atol=0)


@dataclass(frozen=True)
class Response:
    """Times of one metapath: (requests,) milliseconds walked and read; share of nodes with a list."""

    walked: np.ndarray
    read: np.ndarray
    covered: float


@study(
    "figure 6",
    "figure-6",
    requests=typer.Option(min=1, help="Requests timed a metapath."),
)
def response(dataset: str, data_path: Path, arguments: list[str], requests: int = 2000) -> Answer:
    """The time to answer a request by walking the graph online, and by reading the stored list of the snapshot.

    The settings of the graph may follow, as for a run: --graph.top_k=20. It is built if it is not there.
    """
    with stage_display() as show:
        opened = open_graph(dataset, data_path, arguments, show)
    measured = measure(opened.snapshot, requests)
    return Answer(*response_figure(opened.snapshot, measured), opened.folder)


def measure(snapshot: Snapshot, requests: int, seed: int = 0) -> dict[str, Response]:
    """Times requests for random nodes with neighbours, one metapath after the other.

    Raises:
        InputError: a metapath without neighbours, or a walk that differs from the stored list.
    """
    u2a, a2a = snapshot.u2a(), snapshot.a2a()
    found = {}
    for name in snapshot.settings.metapaths:
        stored = snapshot.lists(name[0]).along(name)
        walk = OnlineWalk(Metapath.parse(name), u2a, a2a, snapshot.settings)
        filled = np.flatnonzero(stored.lengths)
        if not len(filled):
            raise InputError(f"{snapshot.path}: no node has a neighbour along {name}")
        nodes = np.random.default_rng(seed).choice(filled, requests).tolist()
        walked, lists = _timed(walk.of, nodes)
        read, expected = _timed(stored.of, nodes)
        for node, one, other in zip(nodes, lists, expected, strict=True):
            if not same(one, other):
                raise InputError(f"{snapshot.path}: {name} of node {node} is not what its graphs give")
        found[name] = Response(walked, read, len(filled) / stored.n_nodes)
    return found


def _timed(answer: Callable[[int], Listed], nodes: list[int]) -> tuple[np.ndarray, list[Listed]]:
    for node in nodes[:WARM_UP]:
        answer(node)
    times, answers = np.empty(len(nodes)), []
    for place, node in enumerate(nodes):
        start = time.perf_counter_ns()
        answers.append(answer(node))
        times[place] = time.perf_counter_ns() - start
    return times / 1e6, answers


def response_figure(snapshot: Snapshot, found: dict[str, Response]) -> tuple[Sheet, go.Figure]:
    """The table and bar charts of p50, p99 and max, in ms."""
    headings = [f"{way} {name}" for way in COLOURS for name in ("p50", "p99", "max")]
    rows = []
    for name, response in found.items():
        times = [f"{value:.4f}" for way in COLOURS for value in _summary(getattr(response, way)).values()]
        ratio = np.median(response.walked) / np.median(response.read)
        rows.append((name, *times, f"{ratio:,.0f}x", f"{response.covered:.1%}"))
    requests = len(next(iter(found.values())).walked)
    notes = (
        f"Milliseconds a request, {requests:,} a metapath, of random nodes that have neighbours; one after the other.",
        f"{snapshot.n_users:,} users, {snapshot.n_authors:,} authors, {snapshot.u2a().nnz:,} U2A and "
        f"{snapshot.a2a().nnz:,} A2A edges; the {snapshot.settings.top_k} best kept.",
        "Every walk gave the stored list.",
    )
    columns = ("metapath", *headings, "p50 ratio", "nodes with a list")
    return Sheet("Figure 6: response time by metapath", columns, tuple(rows), notes), _bars(found)


def _summary(times: np.ndarray) -> dict[str, float]:
    return {"p50": np.quantile(times, 0.5), "p99": np.quantile(times, 0.99), "max": times.max()}


def _bars(found: dict[str, Response]) -> go.Figure:
    titles = ("p50", "p99", "max")
    figure = make_subplots(1, len(titles), shared_yaxes="all", subplot_titles=titles)
    for column, name in enumerate(titles, start=1):
        for way, colour in COLOURS.items():
            values = [_summary(getattr(response, way))[name] for response in found.values()]
            bars = go.Bar(x=list(found), y=values, name=way, marker_color=colour, showlegend=column == 1)
            figure.add_trace(bars, row=1, col=column)
    figure.update_yaxes(type="log").update_yaxes(title_text="ms", col=1)
    return figure.update_layout(template="plotly_white", barmode="group", height=460)
