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

from mmbee_plugin.command.extras import check_extra
from mmbee_plugin.command.stages import stage_display
from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.colours import BLUE, VERMILLION
from mmbee_plugin.experiments.plots import Plot
from mmbee_plugin.experiments.sheet import Sheet
from mmbee_plugin.experiments.study import Answer, study
from mmbee_plugin.graph.lists import PackedLists
from mmbee_plugin.graph.neighbourhoods import (
    Listed,
    MappedRows,
    NeighbourStore,
    RowStore,
    StoredNeighbours,
    WalkedNeighbours,
)
from mmbee_plugin.graph.snapshot import Snapshot
from mmbee_plugin.graph.topology import Topology, with_topology
from mmbee_plugin.recbole.graphs import open_graph

WARM_UP = 20
COLOURS = {"walked": VERMILLION, "read": BLUE}


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
    store=typer.Option(metavar="URL", help="Walk and read rows in this Redis or Valkey, not in files."),
)
def response(
    dataset: str, data_path: Path, arguments: list[str], requests: int = 2000, store: str | None = None
) -> Answer:
    """The time to answer a request by walking the graph online, and by reading the stored list of the snapshot.

    The settings of the graph may follow, as for a run: --graph.top_k=20. It is built if it is not there.
    """
    with stage_display() as show:
        opened = open_graph(dataset, data_path, arguments, show)
    measured = measure(opened.snapshot, requests, store)
    return Answer(*response_figure(opened.snapshot, measured, store), opened.folder)


def measure(
    snapshot: Snapshot, requests: int, store: str | None = None, seed: int = 0
) -> dict[str, Response]:
    """Times requests for random nodes with neighbours, one metapath after the other.

    Rows are those of the snapshot and its topology, mapped into memory; with a ``store``, copies of them there. Times
    are the processor's with files, which other load does not reach, and the clock's with a store, which has to be
    waited for.

    Raises:
        InputError: a metapath without neighbours, a store that does not answer, or a walk that differs from the stored
            list.
    """
    snapshot = with_topology(snapshot)
    settings, topology = snapshot.settings, Topology.open(snapshot)
    sides = dict.fromkeys(name[0] for name in settings.metapaths)
    lists = {side: snapshot.lists(side) for side in sides}
    steps = {"u": topology.users, "a": topology.authors}
    if store is None:
        rows: list[RowStore] = [MappedRows(list(lists.values())), MappedRows(list(steps.values()))]
    else:
        rows = [
            _in_store(store, f"{snapshot.path.name}:{kind}", packed)
            for kind, packed in (("lists", lists), ("steps", steps))
        ]
    stored = StoredNeighbours(rows[0], settings)
    walker = WalkedNeighbours(rows[1], settings, topology.counts, topology.joined)
    clock = time.thread_time_ns if store is None else time.perf_counter_ns
    found = {}
    for name in settings.metapaths:
        lengths = lists[name[0]].along(name).lengths
        filled = np.flatnonzero(lengths)
        if not len(filled):
            raise InputError(f"{snapshot.path}: no node has a neighbour along {name}")
        nodes = np.random.default_rng(seed).choice(filled, requests).tolist()
        walked, walks = _timed(walker, name, nodes, clock)
        read, expected = _timed(stored, name, nodes, clock)
        for node, pair in zip(nodes, zip(walks, expected, strict=True), strict=True):
            if not all(np.array_equal(one, other) for one, other in zip(*pair, strict=True)):
                raise InputError(f"{snapshot.path}: {name} of node {node} is not what its graphs give")
        found[name] = Response(walked, read, len(filled) / len(lengths))
    return found


def _in_store(url: str, place: str, packed: dict[str, PackedLists]) -> RowStore:
    check_extra("redis", "a store")
    from mmbee_plugin.serving.store.rows import RedisRows, fill_rows

    fill_rows(url, place, packed)
    return RedisRows(url, place, packed)


def _timed(
    store: NeighbourStore, metapath: str, nodes: list[int], clock: Callable[[], int]
) -> tuple[np.ndarray, list[Listed]]:
    """Milliseconds by a clock of nanoseconds, (requests,), and the answers."""
    for node in nodes[:WARM_UP]:
        store.neighbours(node, metapath)
    times, answers = np.empty(len(nodes)), []
    for place, node in enumerate(nodes):
        start = clock()
        answers.append(store.neighbours(node, metapath))
        times[place] = clock() - start
    return times / 1e6, answers


def response_figure(
    snapshot: Snapshot, found: dict[str, Response], store: str | None = None
) -> tuple[str, Sheet, Plot]:
    """The verdict, the table and bar charts of p50, p99 and max, in ms."""
    headings = [f"{way} {name}" for way in COLOURS for name in ("p50", "p99", "max")]
    rows = []
    for name, response in found.items():
        times = [f"{value:.4f}" for way in COLOURS for value in _summary(getattr(response, way)).values()]
        ratio = np.median(response.walked) / np.median(response.read)
        rows.append((name, *times, f"{ratio:,.0f}x", f"{response.covered:.1%}"))
    requests = len(next(iter(found.values())).walked)
    place = "Processor's time on mapped files" if store is None else "Time over a key-value store"
    notes = (
        f"{place}, milliseconds a request, {requests:,} a metapath, of random nodes that have neighbours; one after "
        f"the other.",
        f"{snapshot.n_users:,} users, {snapshot.n_authors:,} authors, {snapshot.u2a().nnz:,} U2A and "
        f"{snapshot.a2a().nnz:,} A2A edges; the {snapshot.settings.top_k} best kept.",
        "Every walk gave the stored list, to the last bit.",
    )
    columns = ("metapath", *headings, "p50 ratio", "nodes with a list")
    plot = Plot(
        "Response time by metapath",
        "The scale is logarithmic and the same in all three: a step is a factor of ten. Stored lists are worth keeping "
        f"where walked is above read. Each bar is a quantile of {requests:,} requests.",
        _bars(found),
    )
    ratios = [float(np.median(one.walked) / np.median(one.read)) for one in found.values()]
    faster = f"{min(ratios):,.0f} to {max(ratios):,.0f} times"
    told = f"reading the stored list is {faster} as fast as walking, at the median"
    return told, Sheet("Figure 6: response time by metapath", columns, tuple(rows), notes), plot


def _summary(times: np.ndarray) -> dict[str, float]:
    return {"p50": np.quantile(times, 0.5), "p99": np.quantile(times, 0.99), "max": times.max()}


def _bars(found: dict[str, Response]) -> go.Figure:
    titles = ("p50", "p99", "max")
    figure = make_subplots(1, len(titles), subplot_titles=titles)
    for column, name in enumerate(titles, start=1):
        for way, colour in COLOURS.items():
            values = [_summary(getattr(response, way))[name] for response in found.values()]
            bars = go.Bar(x=list(found), y=values, name=way, marker_color=colour, showlegend=column == 1)
            figure.add_trace(bars, row=1, col=column)
    times = [
        value for one in found.values() for way in COLOURS for value in _summary(getattr(one, way)).values()
    ]
    span = [float(np.log10(min(times))) - 0.2, float(np.log10(max(times))) + 0.2]
    figure.update_xaxes(title_text="metapath", type="category")
    figure.update_yaxes(type="log", title_text="milliseconds a request", range=span)
    return figure.update_layout(barmode="group", height=420)
