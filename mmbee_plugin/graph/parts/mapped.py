"""One graph of a folder of parts, read as mapped files: what its steps planned and joined."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from mmbee_plugin.graph.content import ContentSteps, ContentVectors
from mmbee_plugin.graph.metapaths import Metapath, Normalisation
from mmbee_plugin.graph.parts.states import State
from mmbee_plugin.graph.routes import Route, leaves_gifts_out
from mmbee_plugin.graph.settings import OPTIONAL, GraphSettings, Interactions
from mmbee_plugin.graph.snapshot import fold_folder
from mmbee_plugin.graph.stored import csr
from mmbee_plugin.graph.swing import SwingEdges

PLAN, JOINED = "plan", "joined"
"""the states of a step besides its blocks"""
CONTENT = "content"
"""the step that all graphs share: content does not depend on the gifts"""
UNITS, PRESENT = "content.units", "content.present"
"""the authors' content vectors among what was given"""


class MappedGraph:
    """The whole graph, or the one without a fold.

    Args:
        path: the folder of parts.
        given: what it was made with.
        fold: the fold left out, or None.
    """

    def __init__(self, path: Path, given: State, fold: int | None) -> None:
        self.path, self.given, self.fold = path, given, fold
        self.settings = GraphSettings(**given.facts["settings"])
        self.n_users, self.n_authors = given.facts["counts"]
        self._states: dict[tuple[str, str], State] = {}

    def folder(self, kind: str) -> Path:
        """Where a step's states are."""
        return self.path / step_name(self.fold, kind)

    def state(self, kind: str, state: str) -> State:
        """What a step planned or joined. Raises InputError if it is not there."""
        if (kind, state) not in self._states:
            self._states[kind, state] = State.open(self.folder(kind) / state)
        return self._states[kind, state]

    @property
    def seen(self) -> Interactions:
        """The gifts that the graph is of."""
        names = [name for name in OPTIONAL if name in self.given.facts["files"]]
        columns: dict[str, Any] = {name: self.given.array(name) for name in ("users", "authors", *names)}
        every = Interactions(**{"amounts": None, **columns}, n_users=self.n_users, n_authors=self.n_authors)
        return every if self.fold is None else every.seen_by(self.fold, self.settings)

    @property
    def near(self) -> ContentVectors | None:
        """What authors are compared by for the steps by content; None without."""
        if not self.settings.steps_by_content:
            return None
        return ContentVectors(self.given.array(UNITS), self.given.array(PRESENT))

    @property
    def content(self) -> ContentSteps | None:
        """The long walk's steps by content."""
        if not self.settings.steps_by_content:
            return None
        nearest = self._graph(CONTENT, JOINED, ("indptr", "indices", "data"), self.n_authors)
        return nearest, self.settings.content_share

    @property
    def u2a(self) -> csr_matrix:
        """float32 (n_users, n_authors)."""
        return self.planned("gifts", "u2a.", "data", self.n_authors)

    @property
    def a2a(self) -> csr_matrix:
        """float32 (n_authors, n_authors)."""
        return self._graph("similar", JOINED, ("indptr", "indices", "data"), self.n_authors)

    @property
    def edges(self) -> SwingEdges:
        """U2A as Swing reads it."""
        return SwingEdges(
            **{part.name: self.plan("gifts", f"swing.{part.name}") for part in fields(SwingEdges)}
        )

    def plan(self, kind: str, name: str) -> np.ndarray:
        """An array that a step planned."""
        return self.state(kind, PLAN).array(name)

    def arrays(self, kind: str, state: str, names: tuple[str, ...]) -> Iterator[np.ndarray]:
        found = self.state(kind, state)
        return (found.array(name) for name in names)

    def planned(self, kind: str, prefix: str, values: str, n_columns: int) -> csr_matrix:
        """A graph that a step planned."""
        names = (f"{prefix}indptr", f"{prefix}indices", f"{prefix}{values}")
        return self._graph(kind, PLAN, names, n_columns)

    def ranked(self, kind: str, prefix: str) -> tuple[np.ndarray, np.ndarray]:
        """A graph's entries by falling value, as a step planned them (:func:`~..pruned.by_rank`)."""
        return self.plan(kind, f"{prefix}.ids"), self.plan(kind, f"{prefix}.values")

    def paths(self, kind: str) -> tuple[str, ...]:
        """The metapaths whose lists a step makes, as it packs them."""
        return tuple(self.state(kind, PLAN).facts["paths"])

    def step(self, normalisation: Normalisation, step: str) -> csr_matrix:
        """The normalised graph of a step, such as ``a2u``, in float64."""
        if step == "a2a":
            similar = self.a2a
            values = self.plan("weights", normalisation)
            return csr(similar.indptr, similar.indices, values, self.n_authors)
        columns = self.n_authors if step == "u2a" else self.n_users
        return self.planned("gifts", f"{step}.", normalisation, columns)

    def starts(self, normalisation: Normalisation) -> np.ndarray:
        """(n_rows,) the first user of each row of lists."""
        return self.plan("gifts", f"starts.{normalisation}")

    def product(self, normalisation: Normalisation, steps: tuple[str, ...]) -> csr_matrix | None:
        """The stored product of two steps; None where no path joins them."""
        kind = product_kind(normalisation, steps)
        if not (self.folder(kind) / JOINED).exists() or not self.state(kind, PLAN).facts["joins"]:
            return None
        columns = self.n_users if steps[-1].endswith("u") else self.n_authors
        return self._graph(kind, JOINED, ("indptr", "indices", "data"), columns)

    def route(
        self,
        path: Metapath,
        normalisation: Normalisation,
        exclude_own: bool,
        ranked: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> Route:
        """How the lists along a path are made."""
        starts = self.starts(normalisation) if path.start == "u" else None
        own = None
        if leaves_gifts_out(path, exclude_own):
            capped = "given.data" in self.state("gifts", PLAN).facts["files"]
            by_author = "given." if capped else "a2u."
            own = self.u2a
            if path.start == "a":
                own = self.planned("gifts", by_author, "data", self.n_users)
        return Route(path, self._steps(path, normalisation), starts, own, exclude_own, ranked)

    def _steps(self, path: Metapath, normalisation: Normalisation) -> tuple[csr_matrix, ...]:
        if path.hops == 2 and (product := self.product(normalisation, path.steps)) is not None:
            return (product,)
        if path.hops == 3 and (product := self.product(normalisation, path.steps[1:])) is not None:
            kind = product_kind(normalisation, path.steps[1:])
            if path.name in self.state(kind, PLAN).facts["joins"]:
                return self.step(normalisation, path.steps[0]), product
        return tuple(self.step(normalisation, step) for step in path.steps)

    def _graph(self, kind: str, state: str, names: tuple[str, str, str], n_columns: int) -> csr_matrix:
        indptr, indices, data = self.arrays(kind, state, names)
        return csr(indptr, indices, data, n_columns)


def step_name(fold: int | None, kind: str) -> str:
    """Name of a step of the graph without a fold, and its folder."""
    return kind if kind == CONTENT else f"{fold_folder(fold)}{kind}"


def product_kind(normalisation: Normalisation, steps: tuple[str, ...]) -> str:
    """Name of the step that makes the product of two steps of walks."""
    return f"product-{normalisation}-{'-'.join(steps)}"


def named(name: str, graph: csr_matrix) -> dict[str, np.ndarray]:
    """The arrays of a graph, with 64-bit offsets, by the names that :meth:`MappedGraph.planned` reads."""
    columns = graph.indices.astype(np.int32, copy=False)
    return {
        f"{name}.indptr": graph.indptr.astype(np.int64),
        f"{name}.indices": columns,
        f"{name}.data": graph.data,
    }
