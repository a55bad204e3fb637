"""Seconds and bytes of the graph expansion against the size and density of the graph.

Graphs are drawn after the dataset's: degrees of users and authors and weights of edges are resampled, and edges connect
at random in proportion to the authors' degrees. So a graph can be larger than the data.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from mmbee_plugin.command.memory import PeakMemory
from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.cells import Cell, Job
from mmbee_plugin.experiments.code import code_digest
from mmbee_plugin.experiments.training import versions
from mmbee_plugin.graph.attributes import Attributes
from mmbee_plugin.graph.build import build_snapshot
from mmbee_plugin.graph.content import modalities_near
from mmbee_plugin.graph.inputs import Inputs
from mmbee_plugin.graph.settings import GraphSettings, Interactions
from mmbee_plugin.graph.snapshot import Snapshot
from mmbee_plugin.recbole.graphs import OpenedGraph

PARTS = ("graphs", "lists", "walk", "means")
"""parts of a snapshot: U2A and A2A, neighbour lists, the long walk's lists, mean attributes; without node vectors,
which are trained"""
PART_OF = {"u2a": "graphs", "a2a": "graphs", "lists": "lists", "reach": "walk", "attributes": "means"}
"""part of a snapshot's folders"""
OWN = "the data's own"
CONTENT, NEAR = "content", "near"
"""drawn features: those that neighbours bring along, and those that say who is near by content"""


@dataclass(frozen=True)
class Shape:
    """A graph to draw, relative to the dataset's: ``size`` times its users and authors, ``density`` times the authors a
    user gifted."""

    size: float
    density: float

    @property
    def name(self) -> str:
        return f"size x {self.size:g}" if self.density == 1 else f"density x {self.density:g}"


def shapes_of(sizes: Sequence[float], densities: Sequence[float]) -> list[Shape]:
    """Each size at density 1, then each density at size 1, without duplicates.

    Raises:
        InputError: a number that is not positive and finite.
    """
    for option, values in (("--sizes", sizes), ("--densities", densities)):
        for value in values:
            if not 0 < value < np.inf:
                raise InputError(f"{option}: {value:g} is out of range, expected more than 0")
    shapes = [*(Shape(size, 1.0) for size in sorted(sizes))]
    shapes += [Shape(1.0, density) for density in sorted(densities)]
    return list(dict.fromkeys(shapes))


def cost_jobs(opened: OpenedGraph, shapes: Sequence[Shape], seed: int = 0) -> list[Job]:
    """Jobs of the dataset's own graph, then of each shape."""
    snapshot, folder = opened.snapshot, opened.folder
    settings = snapshot.settings
    dense = {name: entry["width"] for name, entry in folder.modalities.items() if entry["kind"] == "dense"}
    near = modalities_near(tuple(dense), settings.content_modalities) if settings.steps_by_content else ()
    read = {CONTENT: snapshot.columns, NEAR: near}
    widths = {name: sum(width for each, width in dense.items() if each in of) for name, of in read.items()}
    widths = {name: width for name, width in widths.items() if width}
    # U2A's edges are weighted already; there are no visits to draw.
    settings = settings.replace(folds=0, amount="amount", visits=0.0, visits_profile=0.0)
    settings = settings.replace(content_modalities=(NEAR,) if NEAR in widths else None)
    key = {
        "kind": "cost 3",
        "data": folder.hash,
        "settings": settings.model_dump(mode="json"),
        "widths": widths,
        "seed": seed,
        "code": code_digest("mmbee_plugin.graph.build"),
        "machine": versions()["machine"],
    }
    u2a = snapshot.u2a()
    named = [(OWN, None), *((shape.name, shape) for shape in shapes)]
    return [
        Job(name, {**key, "graph": name}, cost_cell, (u2a, shape, settings, widths, seed))
        for name, shape in named
    ]


def cost_cell(
    u2a: csr_matrix, shape: Shape | None, settings: GraphSettings, widths: Mapping[str, int], seed: int
) -> Cell:
    """Measures the graph stage of one graph, without node vectors, folds and visits.

    Args:
        u2a: (n_users, n_authors) the dataset's graph. shape: graph to draw after it; None takes it unchanged.
        widths: columns of the authors' features, over all modalities: of :data:`CONTENT`, whose means are stored, and
            of :data:`NEAR`, which says who is near; none where there are none.

    Returns:
        facts: users, authors, edges and a2a_edges; seconds and bytes by :data:`PARTS`; ``metapaths``, seconds and bytes
        of the lists by metapath; memory_mb, peak memory beyond that held before, in MB (10^6 bytes); machine.
    """
    rng = np.random.default_rng(seed)
    _built(drawn(u2a, Shape(200 / max(u2a.shape), 1), rng), settings, widths)  # compiles or loads the kernels
    gifts = as_interactions(u2a) if shape is None else drawn(u2a, shape, rng)
    memory = PeakMemory()
    before = memory.megabytes()
    facts = _built(gifts, settings, widths)
    held = max(0.0, round(memory.megabytes() - before, 1))  # the kernel's mark may be a few pages too low
    return Cell({}, {**facts, "memory_mb": held, "machine": versions()["machine"]})


def as_interactions(u2a: csr_matrix) -> Interactions:
    """A graph's edges, each as one gift of its weight."""
    edges = u2a.tocoo()
    return Interactions(edges.row, edges.col, edges.data, *u2a.shape)


def drawn(u2a: csr_matrix, shape: Shape, rng: np.random.Generator) -> Interactions:
    """The edges of a graph drawn after ``u2a``, each as one gift.

    Degrees of users and authors are drawn with replacement from the dataset's; an edge's author is drawn in proportion
    to its degree. Duplicate edges are summed to one.
    """
    n_users, n_authors = (max(1, round(shape.size * count)) for count in u2a.shape)
    of_user = np.diff(u2a.indptr)[rng.integers(0, u2a.shape[0], n_users)]
    of_author = np.bincount(u2a.indices, minlength=u2a.shape[1])[rng.integers(0, u2a.shape[1], n_authors)]
    wanted = of_user * shape.density
    count = (wanted + rng.random(n_users)).astype(np.int64)  # stochastic rounding
    users = np.repeat(np.arange(n_users), count)
    chances = np.maximum(of_author, 1e-9)
    authors = rng.choice(n_authors, len(users), p=chances / chances.sum())
    weights = u2a.data[rng.integers(0, u2a.nnz, len(users))]
    return Interactions(users, authors, weights, n_users, n_authors)


def _built(gifts: Interactions, settings: GraphSettings, widths: Mapping[str, int]) -> dict[str, Any]:
    rng, everybody = np.random.default_rng(0), np.ones(gifts.n_authors, dtype=bool)
    features = {
        name: Attributes(rng.normal(size=(gifts.n_authors, width)).astype(np.float32), everybody)
        for name, width in widths.items()
    }
    with tempfile.TemporaryDirectory() as root:
        return _facts(build_snapshot(Inputs(gifts, settings, features, averaged=(CONTENT,)), root))


def _facts(snapshot: Snapshot) -> dict[str, Any]:
    seconds, size = (dict.fromkeys(PARTS, 0.0), dict.fromkeys(PARTS, 0))
    names = snapshot.settings.metapaths
    paths: dict[str, dict[str, float]] = {name: {"seconds": 0.0, "bytes": 0} for name in names}
    for stage in snapshot.manifest["stages"]:
        name, spent = stage["stage"], stage["seconds"]
        if name in ("U2A", "A2A"):
            seconds["graphs"] += spent
        elif name in ("reach", "content"):
            seconds["walk"] += spent
        elif " along " in name:
            seconds["means"] += spent
        else:
            seconds["lists"] += spent
            if name in paths:
                paths[name]["seconds"] += spent
    for name, entry in snapshot.manifest["files"].items():
        size[PART_OF[name.partition("/")[0]]] += entry["size"]
    for name in names:
        lists = snapshot.lists(name[0])
        paths[name]["bytes"] = lists.part(name).entries.nbytes + 8 * lists.n_rows
    u2a, a2a = snapshot.u2a(), snapshot.a2a()
    counts = {"users": u2a.shape[0], "authors": u2a.shape[1], "edges": u2a.nnz, "a2a_edges": a2a.nnz}
    return {**counts, "seconds": seconds, "bytes": size, "metapaths": paths}


def growth(x: NDArray, y: NDArray) -> float:
    """Exponent e of y ~ x^e, by least squares on logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def total(cell: Cell, what: str) -> float:
    """Sum of a cell's ``seconds`` or ``bytes`` over all parts."""
    parts: Mapping[str, float] = cell.facts[what]
    return sum(parts.values())
