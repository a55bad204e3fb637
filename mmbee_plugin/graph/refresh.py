"""Refresh: lists of the nodes that changed gifts touch, beside those of an earlier snapshot for all others.

Approximate. U2A and A2A are the day's own and exact, and so are the lists of touched nodes, the ends of an edge of U2A
that is new, gone or of another weight. An untouched node keeps the list it had, though a gift two steps away may have
changed it; who is gone drops out of it, and nobody takes the place.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_matrix

from mmbee_plugin.data.folds import BY_TIME
from mmbee_plugin.graph.content import ContentSteps
from mmbee_plugin.graph.expansion import Expansion
from mmbee_plugin.graph.lists import PackedLists
from mmbee_plugin.graph.metapaths import Metapath
from mmbee_plugin.graph.reach import packed_reach
from mmbee_plugin.graph.settings import GraphSettings, Interactions
from mmbee_plugin.graph.snapshot import Snapshot
from mmbee_plugin.kernels import kernel


@dataclass(frozen=True)
class Refresh:
    """An earlier snapshot of the same settings, whose lists are kept where nothing has changed.

    Shapes:
        - users: (n_users,) int64, each user's row in the earlier snapshot; -1 for a new one
        - authors: (n_authors,) int64, the same of the authors

    Attributes:
        until: time of the earlier snapshot's newest gift on the clock of the new gifts, seconds; None if unknown.
    """

    previous: Snapshot
    users: np.ndarray
    authors: np.ndarray
    until: float | None = None

    def on(self, u2a: csr_matrix) -> Kept:
        """The lists to keep on a graph of the new gifts, (n_users, n_authors)."""
        return Kept(self, *touched(u2a, self.previous.u2a(), self.users, self.authors))

    def without(self, seen: Interactions, whole: Interactions, settings: GraphSettings) -> Refresh | None:
        """This, for the graph of the gifts ``seen``, without a fold of the ``whole``; None if it must not keep lists.

        It may where folds are by time and the earlier snapshot has no gift as late as the first that the fold leaves
        out: lists that have seen the fold's gifts would tell of them.
        """
        if settings.fold_by not in BY_TIME or self.until is None or whole.times is None or seen.times is None:
            return None
        left_out = whole.times[whole.times > seen.times.max(initial=-np.inf)]
        return self if self.until < left_out.min(initial=np.inf) else None


@dataclass(frozen=True)
class Kept:
    """A refresh on one graph.

    Shapes:
        - users, authors: (n,) bool, the touched nodes

    Attributes:
        dropped: entries of kept lists whose node is gone, by path.
    """

    refresh: Refresh
    users: np.ndarray
    authors: np.ndarray
    dropped: dict[str, int] = field(default_factory=dict)

    def facts(self) -> dict[str, object]:
        """What is approximate about the new snapshot, as in :attr:`~mmbee_plugin.graph.snapshot.Snapshot.refreshed`."""
        previous = self.refresh.previous
        before = previous.refreshed or {"exact": previous.manifest["key"], "in_a_row": 0}
        return {
            "from": previous.manifest["key"],
            "exact": before["exact"],
            "in_a_row": before["in_a_row"] + 1,
            "users": float(self.users.mean()),
            "authors": float(self.authors.mean()),
            "dropped": self.dropped,
        }

    def lists(self, expansion: Expansion, path: Metapath, settings: GraphSettings) -> PackedLists:
        """The lists along a path, as :meth:`~mmbee_plugin.graph.expansion.Expansion.lists` gives them; all are new
        where the earlier snapshot has none along it."""
        previous = self.refresh.previous
        if path.name not in previous.settings.metapaths:
            return expansion.lists(path, settings.top_k, settings.exclude_own)
        nodes = np.flatnonzero(self.users if path.start == "u" else self.authors)
        fresh = expansion.lists(path, settings.top_k, settings.exclude_own, nodes)
        return self._beside(fresh, previous.lists(path.start).part(path.name), path, by_score=True)

    def reach(
        self,
        u2a: csr_matrix,
        settings: GraphSettings,
        expansion: Expansion,
        content: ContentSteps | None = None,
    ) -> PackedLists:
        """The long walk's lists; kept ones that hold lifts hold those of the earlier popularity."""
        fresh = packed_reach(
            u2a,
            settings.reach_top_k,
            settings.reach_inner,
            not settings.reach_own,
            settings.reach_lift,
            expansion,
            np.flatnonzero(self.users),
            content,
        )
        return self._beside(fresh, self.refresh.previous.reach_lists(), Metapath.parse("u2a"), by_score=False)

    def _beside(
        self, fresh: PackedLists, kept: PackedLists, path: Metapath, *, by_score: bool
    ) -> PackedLists:
        """Puts the lists of touched nodes and the earlier ones of all others into one.

        Args:
            fresh: of the touched nodes, in their order.
            kept: of all nodes of the earlier snapshot.
            path: its start and end are those of the lists.
            by_score: whether lists are best first, equal scores by ascending id; else by ascending id.
        """
        ids = {"u": self.refresh.users, "a": self.refresh.authors}
        new, before = (self.users if path.start == "u" else self.authors), ids[path.start]
        row = np.empty(len(new), np.int64)  # of a node's list: in fresh, or behind its rows in kept
        row[new] = np.arange(new.sum()) if fresh.rows is None else fresh.rows
        row[~new] = fresh.n_rows + (before if kept.rows is None else kept.rows[before])[~new]
        rows, chosen = None, row
        if path.start == "u":
            _, first, place = np.unique(row, return_index=True, return_inverse=True)
            order = np.argsort(first)
            chosen, rows = row[first[order]], np.argsort(order)[place]
        n_ends = {"u": self.refresh.previous.n_users, "a": self.refresh.previous.n_authors}[path.end]
        ends = _inverse(ids[path.end], n_ends)
        indptr, entries, self.dropped[fresh.paths[0]] = _gathered(
            chosen, fresh.indptr, fresh.entries, kept.indptr, kept.entries.view(np.ndarray), ends
        )
        if (np.diff(ends[ends >= 0]) < 0).any():  # rows have moved past each other, so ties and ids have
            keys: tuple[np.ndarray, ...] = (entries["id"], np.repeat(np.arange(len(chosen)), np.diff(indptr)))
            if by_score:
                keys = (keys[0], -entries["weight"], keys[1])
            entries = entries[np.lexsort(keys)]
        return PackedLists(fresh.paths, indptr, entries, rows, fresh.with_self, fresh.top_k)


def approximation(snapshot: Snapshot) -> str | None:
    """One line on a snapshot whose lists are refreshed; None for an exact one."""
    facts = snapshot.refreshed
    if facts is None:
        return None
    dropped = sum(facts["dropped"].values())
    return (
        f"approximate graph: new lists for {facts['users']:.1%} of users and {facts['authors']:.1%} of authors, "
        f"others keep those of {facts['from']}, without {dropped:,} neighbours that are gone; "
        f"refresh {facts['in_a_row']} since the exact {facts['exact']}"
    )


def touched(
    u2a: csr_matrix, before: csr_matrix, users: np.ndarray, authors: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Which users and authors are new, or the end of an edge that is new, gone, or of another weight.

    Args:
        u2a: (n_users, n_authors), sorted columns.
        before: the earlier U2A.
        users, authors: (n_users,) and (n_authors,) int64, rows of the earlier one; -1 for new nodes.

    Returns:
        (n_users,) and (n_authors,) bool.

    Example:
        >>> same = np.arange(2)
        >>> now, then = csr_matrix([[1, 2], [0, 1]]), csr_matrix([[1, 1], [0, 1]])
        >>> touched(now, then, same, same)
        (array([ True, False]), array([False,  True]))
    """
    found = users < 0, authors < 0
    giver, receiver = np.repeat(np.arange(u2a.shape[0]), np.diff(u2a.indptr)), u2a.indices
    old_giver = _inverse(users, before.shape[0])[
        np.repeat(np.arange(before.shape[0]), np.diff(before.indptr))
    ]
    old_receiver = _inverse(authors, before.shape[1])[before.indices]
    edges = giver * u2a.shape[1] + receiver
    known = np.flatnonzero((old_giver >= 0) & (old_receiver >= 0))
    old_edges = old_giver[known] * u2a.shape[1] + old_receiver[known]
    place = np.searchsorted(edges, old_edges)
    there = place < len(edges)
    there[there] = (edges[place[there]] == old_edges[there]) & (
        u2a.data[place[there]] == before.data[known[there]]
    )
    changed, gone = np.ones(len(edges), bool), np.ones(before.nnz, bool)
    changed[place[there]] = False
    gone[known[there]] = False
    for nodes, now, then in zip(found, (giver, receiver), (old_giver, old_receiver), strict=True):
        nodes[now[changed]] = True
        then = then[gone]
        nodes[then[then >= 0]] = True
    return found


def _inverse(rows: np.ndarray, count: int) -> np.ndarray:
    """(count,) int64, the node of each earlier row; -1 for those that are gone."""
    found = np.full(count, -1)
    known = np.flatnonzero(rows >= 0)
    found[rows[known]] = known
    return found


@kernel()
def _gathered(
    chosen: np.ndarray,
    fresh_indptr: np.ndarray,
    fresh: np.ndarray,
    kept_indptr: np.ndarray,
    kept: np.ndarray,
    ends: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Offsets and entries of the lists in rows ``chosen``, those of kept behind those of fresh; entries of kept get the
    new ids of their ``ends``, and those of -1 are left out: the last value is how many."""
    n_fresh, size = len(fresh_indptr) - 1, 0
    for row in chosen:
        if row < n_fresh:
            size += fresh_indptr[row + 1] - fresh_indptr[row]
        else:
            size += kept_indptr[row - n_fresh + 1] - kept_indptr[row - n_fresh]
    indptr, entries = np.zeros(len(chosen) + 1, np.int64), np.empty(size, kept.dtype)
    count = 0
    for place in range(len(chosen)):
        row = chosen[place]
        if row < n_fresh:
            for entry in range(fresh_indptr[row], fresh_indptr[row + 1]):
                entries[count] = fresh[entry]
                count += 1
        else:
            for entry in range(kept_indptr[row - n_fresh], kept_indptr[row - n_fresh + 1]):
                end = ends[kept[entry].id]
                if end >= 0:
                    entries[count].id, entries[count].weight = end, kept[entry].weight
                    count += 1
        indptr[place + 1] = count
    return indptr, entries[:count], size - count
