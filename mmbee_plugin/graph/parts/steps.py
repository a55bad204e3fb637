"""The steps of the graph stage that is made in parts: what each reads, plans and makes of a block of rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from mmbee_plugin.graph import reach
from mmbee_plugin.graph.build import stage_suffix
from mmbee_plugin.graph.content import content_neighbours
from mmbee_plugin.graph.hubs import capped
from mmbee_plugin.graph.lists import PackedLists, pack
from mmbee_plugin.graph.making import gifts_graph
from mmbee_plugin.graph.metapaths import Metapath, Normalisation, normalised
from mmbee_plugin.graph.parts.mapped import JOINED, PLAN, MappedGraph, named, step_name
from mmbee_plugin.graph.plan import COSTS
from mmbee_plugin.graph.pruned import by_rank
from mmbee_plugin.graph.routes import Route, joins
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.graph.sharing import shared_rows
from mmbee_plugin.graph.stages import Stages
from mmbee_plugin.graph.stored import row_work, rows_at, rows_between, stored_product
from mmbee_plugin.graph.swing import SwingEdges

BlockArrays = dict[str, np.ndarray]
"""arrays of a block by name; ``lengths`` of its rows become offsets ``indptr`` when blocks are joined, the others are
put one after the other"""


@dataclass(frozen=True)
class Planned:
    """What one process makes ahead of a step's blocks.

    Attributes:
        arrays: that the blocks read.
        seconds: (n_rows,) predicted processor seconds of each row.
        facts: for the plan's facts.
    """

    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    seconds: np.ndarray = field(default_factory=lambda: np.zeros(0))
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Step(ABC):
    """A step of one graph.

    Attributes:
        fold: the fold that the graph lacks; None for the whole one.
        kind: its name within the graph.
        needs: kinds of the steps that it reads, which are of the same graph, or shared by all.
    """

    fold: int | None
    kind: str
    needs: tuple[str, ...]

    @property
    def name(self) -> str:
        return step_name(self.fold, self.kind)

    def stage(self, name: str) -> str:
        """A stage's name in a snapshot's manifest."""
        return name + stage_suffix(self.fold)

    @abstractmethod
    def plan(self, graph: MappedGraph, stages: Stages) -> Planned:
        """Plans the step, in one process."""

    def block(self, graph: MappedGraph, start: int, stop: int, stages: Stages) -> BlockArrays:
        """Makes the rows from ``start`` up to ``stop``. Only steps that planned rows have blocks."""
        raise NotImplementedError


class Gifts(Step):
    """U2A both ways, normalised; U2A as Swing reads it; the users that share rows of lists. All in the plan."""

    def plan(self, graph: MappedGraph, stages: Stages) -> Planned:
        settings = graph.settings
        with stages.stage(self.stage("U2A")):
            u2a = gifts_graph(graph.seen, settings)
            walked = capped(u2a, settings.walk_max_users, settings.hub_seed).T.tocsr()
            made = named("u2a", u2a) | named("a2u", walked)
            if walked.nnz < u2a.nnz:
                made |= named("given", u2a.T.tocsr())
            for normalisation in normalisations(settings):
                first = normalised(u2a, normalisation)
                made[f"u2a.{normalisation}"] = first.data
                made[f"a2u.{normalisation}"] = normalised(walked, normalisation).data
                made[f"rows.{normalisation}"], made[f"starts.{normalisation}"] = shared_rows(first)
        with stages.stage(self.stage("A2A")):
            edges = SwingEdges.of(
                u2a,
                settings.swing_max_users,
                settings.hub_seed,
                settings.swing_user_beta,
                settings.swing_user_gamma,
            )
            made |= {f"swing.{name}": array for name, array in vars(edges).items()}
        return Planned(made)


class Triangles(Step):
    """Swing's sums over pairs of users, by user."""

    def plan(self, graph: MappedGraph, stages: Stages) -> Planned:
        return Planned(seconds=graph.edges.seconds_of_triangles())

    def block(self, graph: MappedGraph, start: int, stop: int, stages: Stages) -> BlockArrays:
        with stages.stage(self.stage("A2A")):
            chosen = graph.settings.swing_alpha, graph.settings.swing_include_self
            return {"sums": graph.edges.triangles(*chosen, start, stop)}


class Similar(Step):
    """A2A, by author."""

    def plan(self, graph: MappedGraph, stages: Stages) -> Planned:
        return Planned(seconds=graph.edges.seconds_of_similar())

    def block(self, graph: MappedGraph, start: int, stop: int, stages: Stages) -> BlockArrays:
        with stages.stage(self.stage("A2A")):
            sums = graph.state("triangles", JOINED).array("sums")
            return _rows(graph.edges.similar(sums, graph.settings.swing_top_k, start, stop))


class Weights(Step):
    """A2A's normalised weights. All in the plan."""

    def plan(self, graph: MappedGraph, stages: Stages) -> Planned:
        with stages.stage(self.stage("A2A")):
            chosen = graph.settings.normalisation
            return Planned({chosen: normalised(graph.a2a, chosen).data})


@dataclass(frozen=True)
class Product(Step):
    """The product of the last two steps of walks of three, by row, where it is cheaper to store it.

    Attributes:
        normalisation: of the steps.
        steps: the two.
        paths: the metapaths of three steps that end with them.
    """

    normalisation: Normalisation
    steps: tuple[str, ...]
    paths: tuple[str, ...]

    def plan(self, graph: MappedGraph, stages: Stages) -> Planned:
        pair = [graph.step(self.normalisation, step) for step in self.steps]
        joined = []
        for name in self.paths:
            first = graph.step(self.normalisation, Metapath.parse(name).steps[0])
            joined += [name] if joins([first, *pair]) else []
        seconds = 1e-9 * COSTS["store"] * row_work(*pair) if joined else np.zeros(0)
        return Planned(seconds=seconds, facts={"joins": joined})

    def block(self, graph: MappedGraph, start: int, stop: int, stages: Stages) -> BlockArrays:
        with stages.stage(self.stage(self.paths[0])):
            left, right = (graph.step(self.normalisation, step) for step in self.steps)
            return _rows(stored_product(rows_between(left, start, stop), right))


@dataclass(frozen=True)
class Lists(Step):
    """Lists along metapaths from one type of node, by row, side by side.

    Attributes:
        paths: the metapaths.
        normalisation, exclude_own: as in ``expand``.
        top_k: neighbours kept.
    """

    paths: tuple[str, ...]
    normalisation: Normalisation
    exclude_own: bool
    top_k: int

    def plan(self, graph: MappedGraph, stages: Stages) -> Planned:
        made: BlockArrays = {}
        ranked: dict[str, str] = {}
        seconds = np.zeros(0)
        for name, route in self._routes(graph, {}):
            predicted = route.seconds(self.top_k)
            seconds = seconds + predicted if len(seconds) else predicted
            if route.ranks(self.top_k):
                steps = Metapath.parse(name).steps
                right = "-".join(steps[1:])
                if right not in ranked.values():
                    with stages.stage(self.stage(name)):
                        made |= _ranked(f"ranked.{right}", route.steps[-1])
                ranked[name] = right
        return Planned(made, seconds, {"ranked": ranked, "paths": self.paths})

    def block(self, graph: MappedGraph, start: int, stop: int, stages: Stages) -> BlockArrays:
        plan = graph.state(self.kind, PLAN)
        found = []
        for name, route in self._routes(graph, plan.facts["ranked"]):
            with stages.stage(self.stage(name)):
                indptr, entries = route.best(self.top_k, start, stop)
            found.append(PackedLists((name,), indptr, entries, None, (route.with_self,), self.top_k))
        packed = pack(found)
        return {"lengths": np.diff(packed.indptr), "entries": packed.entries}

    def _routes(self, graph: MappedGraph, ranked: Mapping[str, str]) -> Iterator[tuple[str, Route]]:
        for name in self.paths:
            ranks = graph.ranked(self.kind, f"ranked.{ranked[name]}") if name in ranked else None
            yield name, graph.route(Metapath.parse(name), self.normalisation, self.exclude_own, ranks)


class Content(Step):
    """The authors' nearest by content, by author, for all graphs."""

    def plan(self, graph: MappedGraph, stages: Stages) -> Planned:
        vectors = graph.near
        assert vectors is not None
        numbers = np.count_nonzero(vectors.units, axis=0)
        nanoseconds = graph.n_authors * (COSTS["likeness"] + COSTS["feature"] * numbers)
        return Planned(seconds=1e-9 * nanoseconds)

    def block(self, graph: MappedGraph, start: int, stop: int, stages: Stages) -> BlockArrays:
        settings, vectors = graph.settings, graph.near
        assert vectors is not None
        with stages.stage(self.stage("content")):
            chosen = settings.content_top_k, settings.content_sharpness
            return _rows(content_neighbours(vectors, *chosen, start, stop))


class Reach(Step):
    """The users' long walk, by row: their u2a2u2a lists joined with those around authors."""

    def plan(self, graph: MappedGraph, stages: Stages) -> Planned:
        settings = graph.settings
        with stages.stage(self.stage("reach")):
            indptr, entries = graph.arrays("around", JOINED, ("indptr", "entries"))
            lists = PackedLists(("a2u2a",), indptr, entries, None, (False,), settings.reach_inner)
            around = reach.around_authors(lists, graph.u2a, settings.reach_lift, graph.content)
            made = named("around", around) | _ranked("ranked", around)
        route = self._route(graph)
        seconds = route.seconds(settings.reach_inner)
        seconds = seconds + 1e-9 * COSTS["light"] * settings.reach_inner * np.minimum(
            route.work(), settings.reach_inner
        )
        return Planned(made, seconds)

    def block(self, graph: MappedGraph, start: int, stop: int, stages: Stages) -> BlockArrays:
        settings = graph.settings
        with stages.stage(self.stage("reach")):
            route = self._route(graph)
            indptr, entries = route.best(settings.reach_inner, start, stop)
            around = graph.planned("reach", "around.", "data", graph.n_authors)
            users = graph.starts("row")[start:stop]
            own = None if settings.reach_own else rows_at(graph.u2a, users)
            ranked = graph.ranked("reach", "ranked")
            indptr, entries = reach.joined(indptr, entries, around, own, settings.reach_top_k, ranked)
            return {"lengths": np.diff(indptr), "entries": entries}

    def _route(self, graph: MappedGraph) -> Route:
        return graph.route(Metapath.parse("u2a2u2a"), "row", False)


def normalisations(settings: GraphSettings) -> tuple[Normalisation, ...]:
    """Of the walks: that of the settings, and by row for the long walk."""
    chosen: tuple[Normalisation, ...] = (settings.normalisation,)
    return chosen if "row" in chosen or not settings.reach_top_k else (*chosen, "row")


def _ranked(name: str, graph: csr_matrix) -> BlockArrays:
    ids, values = by_rank(graph)
    return {f"{name}.ids": ids, f"{name}.values": values}


def _rows(graph: csr_matrix) -> BlockArrays:
    """A block of rows of a graph."""
    columns = graph.indices.astype(np.int32, copy=False)
    return {"lengths": np.diff(graph.indptr).astype(np.int64), "indices": columns, "data": graph.data}
