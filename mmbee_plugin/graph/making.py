"""Makes the arrays of one graph in one process."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.sparse import csr_matrix

from mmbee_plugin.graph.content import ContentSteps
from mmbee_plugin.graph.donations import donation_graph, weigh
from mmbee_plugin.graph.expansion import Expansion
from mmbee_plugin.graph.hubs import capped
from mmbee_plugin.graph.lists import PackedLists, pack
from mmbee_plugin.graph.metapaths import POSITIVES, Metapath, Neighbours, step_graphs
from mmbee_plugin.graph.reach import packed_reach
from mmbee_plugin.graph.settings import GraphSettings, GraphStage, Interactions
from mmbee_plugin.graph.stored import stored_product
from mmbee_plugin.graph.swing import swing


class Made(Protocol):
    """What a snapshot stores of one graph; each is made when first asked for."""

    @property
    def u2a(self) -> csr_matrix: ...

    @property
    def a2a(self) -> csr_matrix: ...

    @property
    def content(self) -> ContentSteps | None:
        """The long walk's steps by content, which all graphs share."""

    @property
    def reach(self) -> PackedLists: ...

    def lists(self, name: str) -> PackedLists:
        """Lists along a metapath, perhaps among others."""

    def packed(self, names: Sequence[str]) -> PackedLists:
        """Lists along metapaths from one type of node, side by side."""


class InProcess:
    """Makes one graph's arrays from the gifts that it is of.

    Args:
        seen: the gifts.
        settings: of the stage.
        content: gives the long walk's steps by content.
    """

    def __init__(
        self,
        seen: Interactions,
        settings: GraphSettings,
        content: Callable[[], ContentSteps | None] = lambda: None,
    ) -> None:
        self.seen, self.settings, self._content = seen, settings, content
        self._found: dict[str, PackedLists] = {}

    @cached_property
    def u2a(self) -> csr_matrix:
        return gifts_graph(self.seen, self.settings)

    @cached_property
    def a2a(self) -> csr_matrix:
        return author_graph(self.u2a, self.settings)

    @property
    def content(self) -> ContentSteps | None:
        return self._content()

    @property
    def reach(self) -> PackedLists:
        settings = self.settings
        return packed_reach(
            self.u2a,
            settings.reach_top_k,
            settings.reach_inner,
            exclude_own=not settings.reach_own,
            lift=settings.reach_lift,
            expansion=self.by_row,
            content=self.content,
        )

    def lists(self, name: str) -> PackedLists:
        if name not in self._found:
            chosen = self.settings.top_k, self.settings.exclude_own
            self._found[name] = self.expansion.lists(Metapath.parse(name), *chosen)
        return self._found[name]

    def packed(self, names: Sequence[str]) -> PackedLists:
        return pack([self.lists(name) for name in names])

    @cached_property
    def expansion(self) -> Expansion:
        """Of the graph, as its lists are normalised."""
        settings = self.settings
        sample = capped(self.u2a, settings.walk_max_users, settings.hub_seed)
        return Expansion(self.u2a, self.a2a, settings.normalisation, sample)

    @property
    def by_row(self) -> Expansion:
        """Of the graph, normalised by row, as the long walk is."""
        own = self.expansion
        return own if self.settings.normalisation == "row" else Expansion(self.u2a, None, sample=own.sample)


def gifts_graph(seen: Interactions, settings: GraphStage) -> csr_matrix:
    """U2A of interactions, weighted as a stage's settings say."""
    gifts = donation_graph(seen.users, seen.authors, seen.amounts, seen.n_users, seen.n_authors)
    return weigh(gifts, settings.amount)


def uncut_positives(u2a: csr_matrix, settings: GraphStage) -> list[Neighbours]:
    """All neighbours of users along u2a2u and of authors along a2u2a, with the scores of the stored lists, by id.

    They take 8 bytes an entry, as many as pairs of users who share an author and of authors who share a user, and about
    four times that while they are made.
    """
    sample = capped(u2a, settings.walk_max_users, settings.hub_seed)
    found = []
    for name in POSITIVES.values():
        product = stored_product(
            *step_graphs(Metapath.parse(name), u2a, None, settings.normalisation, sample)
        )
        indptr = product.indptr.astype(np.int64)
        kept = np.ones(product.nnz, dtype=bool)
        if settings.exclude_own:
            nodes = np.arange(len(indptr) - 1, dtype=np.int32)
            kept = product.indices != np.repeat(nodes, np.diff(indptr))
            indptr[1:] -= np.bincount(product.indices[~kept], minlength=len(nodes)).cumsum()
        ids, scores = product.indices[kept].astype(np.int32), product.data[kept].astype(np.float32)
        found.append(Neighbours(indptr, ids, scores))
    return found


def author_graph(u2a: csr_matrix, settings: GraphStage) -> csr_matrix:
    """A2A, (n_authors, n_authors), by Swing with a stage's settings."""
    return swing(
        u2a,
        alpha=settings.swing_alpha,
        include_self=settings.swing_include_self,
        top_k=settings.swing_top_k,
        max_users=settings.swing_max_users,
        seed=settings.hub_seed,
        user_beta=settings.swing_user_beta,
        user_gamma=settings.swing_user_gamma,
    )
