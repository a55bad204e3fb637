"""A2A, the author-author graph: exact Swing similarity (MMBee, eq. 8; Yang et al., arXiv 2010.05525)."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.best import keep_best
from mmbee_plugin.graph.blocks import over_blocks
from mmbee_plugin.graph.hubs import capped
from mmbee_plugin.graph.plan import COSTS
from mmbee_plugin.graph.stored import buckets, rows_in_blocks, sort_ids
from mmbee_plugin.kernels import kernel


def swing(
    u2a: csr_matrix,
    *,
    alpha: float = 1.0,
    include_self: bool = True,
    top_k: int | None = None,
    max_users: int | None = None,
    seed: int = 0,
    user_beta: float = 0.0,
    user_gamma: float = 0.0,
) -> csr_matrix:
    r"""Swing similarity of all authors with a common user, from the edges alone, not their amounts.

    .. math:: s(i, j) = \sum_{u \in U_i \cap U_j} \sum_{v \in U_i \cap U_j}
              \frac{w_u w_v}{\alpha + |I_u \cap I_v|},
              \qquad w_u = (\beta + |I_u|)^{-\gamma}

    The sum over ordered pairs is twice that of implementations over unordered pairs. It is exact: for each user u, the
    authors shared with every later v are counted; weights of pairs that share two or more are added to a triangle over
    u's own authors; then every author sums the triangles of its users. Time is of the order of the sum of squared
    author degrees plus the shared author pairs; memory is 4 bytes times the sum of squared user degrees.

    Args:
        u2a: (n_users, n_authors) donation graph.
        alpha: smoothing, at least 0; 0 is safe without self pairs too, as their denominator is at least 2.
        include_self: include v = u, as the equation does; without, only users with two common authors relate them,
            and fewer authors have neighbours.
        top_k: authors kept per row, ties by lower id; ``None`` keeps all.
        max_users: users kept per author (:func:`~mmbee_plugin.graph.hubs.capped`). Results become estimates: the
            similarities of a capped author shrink by about the square of the share kept, its rank in other rows falls,
            and pairs of users who share it appear to share less, so that their weight elsewhere rises.
        seed: of the sample of a capped author's users.
        user_beta: beta of the user weight.
        user_gamma: gamma of the user weight; 0 weighs all users 1, larger values damp users with many authors.

    Returns:
        float32 (n_authors, n_authors), zero diagonal, sorted columns; symmetric unless ``top_k`` cuts it.

    Raises:
        InputError: an option out of range.

    Example:
        >>> u2a = csr_matrix([[1, 1, 0], [1, 1, 0], [0, 1, 1]])  # who gave to whom
        >>> swing(u2a, include_self=False).toarray().tolist()  # authors 0 and 1 share two users
        [[0.0, 0.6666666865348816, 0.0], [0.6666666865348816, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    for name, value, least in (
        ("alpha", alpha, 0),
        ("user_beta", user_beta, 0),
        ("user_gamma", user_gamma, 0),
    ):
        if not value >= least:
            raise InputError(f"{name}: {value} is out of range, expected at least {least}")
    if top_k is not None and top_k < 1:
        raise InputError(f"top_k: {top_k} is out of range, expected at least 1 or nothing")
    edges = SwingEdges.of(u2a, max_users, seed, user_beta, user_gamma)
    triangles = edges.triangles(alpha, include_self, 0, len(edges.by_user) - 1)
    return edges.similar(triangles, top_k, 0, u2a.shape[1])


@dataclass(frozen=True)
class SwingEdges:
    """U2A as Swing reads it: users renumbered by rising degree, so that a pair is counted at its lighter user, whose
    small triangle stays in the cache.

    Shapes:
        - by_user: (n_users + 1,) int64, offsets of each user's edges
        - authors: (n,) int32, the edges' authors, ascending within a user
        - by_author: (n_authors + 1,) int64, offsets of each author's users
        - users: (n,) int32, author by author, ascending
        - place: (n,) int64, where each edge is in ``users``
        - edge_of: (n,) int64, the edge of each place in ``users``
        - weights: (n_users,) of the users
        - triangle_of: (n_users + 1,) int64, offsets of the users' packed upper triangles
    """

    by_user: np.ndarray
    authors: np.ndarray
    by_author: np.ndarray
    users: np.ndarray
    place: np.ndarray
    edge_of: np.ndarray
    weights: np.ndarray
    triangle_of: np.ndarray

    @classmethod
    def of(cls, u2a: csr_matrix, max_users: int | None, seed: int, beta: float, gamma: float) -> "SwingEdges":
        """The edges of a graph, with at most ``max_users`` users per author; arguments as of :func:`swing`."""
        edges = _edges(u2a, max_users, seed)
        n_users, n_authors = edges.shape
        degrees = np.diff(edges.indptr).astype(np.int64)
        order = np.argsort(edges.indices, kind="stable")  # edge numbers, author by author, users ascending
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        return cls(
            by_user=edges.indptr.astype(np.int64),
            authors=edges.indices,
            by_author=np.concatenate([[0], np.cumsum(np.bincount(edges.indices, minlength=n_authors))]),
            users=np.repeat(np.arange(n_users, dtype=np.int32), degrees)[order],
            place=place,
            edge_of=order,
            # Users without authors are in no pair; clipping avoids 0 to a negative power.
            weights=(beta + np.maximum(degrees, 1)).astype(np.float64) ** -gamma,
            triangle_of=np.concatenate([[0], np.cumsum(degrees * (degrees - 1) // 2)]),
        )

    def triangles(self, alpha: float, include_self: bool, start: int, stop: int) -> np.ndarray:
        """The triangles of the users from ``start`` up to ``stop``, one after the other, float64."""
        before = self.triangle_of[start : stop + 1] - self.triangle_of[start]
        found = np.zeros(before[-1])
        graph = self.by_user, self.authors, self.by_author, self.users, self.place, self.weights
        over_blocks(_fill_triangles, start, *graph, float(alpha), include_self, before, found)
        return found

    def similar(self, triangles: np.ndarray, top_k: int | None, start: int, stop: int) -> csr_matrix:
        """Rows of A2A of the authors from ``start`` up to ``stop``, given the triangles of all users."""
        n_authors = len(self.by_author) - 1
        room = n_authors if top_k is None else min(top_k, n_authors)
        by_author = self.by_author[start : stop + 1]
        most = np.minimum(self.met(start, stop), min(room, max(n_authors - 1, 0)))
        graph = self.by_user, self.authors, by_author, self.users, self.edge_of, self.triangle_of
        arguments = (*graph, triangles, n_authors, room)
        return rows_in_blocks(_add_triangles, arguments, most, n_authors, np.float32)

    def met(self, start: int, stop: int) -> np.ndarray:
        """(stop - start,) int64, pairs of each author's users with another author of theirs."""
        by_author = self.by_author[start : stop + 1]
        users = self.users[by_author[0] : by_author[-1]]
        pairs = np.concatenate([[0], np.cumsum(np.diff(self.by_user)[users] - 1)])
        return np.diff(pairs[by_author - by_author[0]])

    def seconds_of_triangles(self) -> np.ndarray:
        """(n_users,) predicted processor seconds of each user's triangle, without the pairs that share several authors,
        which are not known ahead."""
        later = self.by_author[self.authors.astype(np.int64) + 1] - self.place - 1
        visits = np.diff(np.concatenate([[0], np.cumsum(later)])[self.by_user])
        return 1e-9 * (2 * COSTS["visit"] * visits + COSTS["gather"] * np.diff(self.triangle_of))

    def seconds_of_similar(self) -> np.ndarray:
        """(n_authors,) predicted processor seconds of each author's row of A2A."""
        met = self.met(0, len(self.by_author) - 1)
        return 1e-9 * (COSTS["gather"] * met + COSTS["light"] * np.minimum(met, len(met)))


def _edges(u2a: csr_matrix, max_users: int | None, seed: int) -> csr_matrix:
    """The graph with sorted int32 columns, users ordered by degree, and at most ``max_users`` users per author."""
    edges = csr_matrix((np.ones(u2a.nnz, np.int8), u2a.indices, u2a.indptr), shape=u2a.shape, copy=True)
    edges.sum_duplicates()
    edges = capped(edges, max_users, seed)
    edges = edges[np.argsort(np.diff(edges.indptr), kind="stable")]
    edges.indices = edges.indices.astype(np.int32, copy=False)
    return edges


@kernel()
def _fill_triangles(
    first: int,
    step: int,
    begin: int,
    by_user: np.ndarray,
    authors: np.ndarray,
    by_author: np.ndarray,
    users: np.ndarray,
    place: np.ndarray,
    user_weights: np.ndarray,
    alpha: float,
    include_self: bool,
    triangle_of: np.ndarray,
    triangles: np.ndarray,
) -> None:
    """For each user u and later user v, adds their pair weight to all pairs of authors they share.

    The sum for u's p-th and q-th author (p < q) lies in u's packed upper triangle. The users are those from ``begin``
    on, one for each offset in ``triangle_of``.
    """
    n_users = len(by_user) - 1
    shared = np.zeros(n_users, np.int32)
    end = np.zeros(n_users, np.int64)
    met = np.empty(n_users, np.int32)
    common = np.empty(1024, np.int32)
    for index in range(first, len(triangle_of) - 1, step):
        user = begin + index
        start, degree = by_user[user], by_user[user + 1] - by_user[user]
        if degree < 2:
            continue
        triangle = triangles[triangle_of[index] : triangle_of[index + 1]]
        if include_self:
            triangle += user_weights[user] * user_weights[user] / (alpha + degree)
        n_met = 0
        for edge in range(start, start + degree):
            for other in range(place[edge] + 1, by_author[authors[edge] + 1]):
                later = users[other]
                if shared[later] == 0:
                    met[n_met] = later
                    n_met += 1
                shared[later] += 1
        total = 0
        for turn in range(n_met):
            later = met[turn]
            end[later] = total
            if shared[later] > 1:
                total += shared[later]
        if total > len(common):
            common = np.empty(2 * total, np.int32)
        for p in range(degree):
            edge = start + p
            for other in range(place[edge] + 1, by_author[authors[edge] + 1]):
                later = users[other]
                if shared[later] > 1:
                    common[end[later]] = p
                    end[later] += 1
        for turn in range(n_met):
            later = met[turn]
            count = shared[later]
            shared[later] = 0
            if count > 1:
                weight = 2 * user_weights[user] * user_weights[later] / (alpha + count)
                for x in range(end[later] - count, end[later] - 1):
                    p = int(common[x])
                    row = p * (2 * degree - p - 1) // 2 - p - 1
                    for y in range(x + 1, end[later]):
                        triangle[row + common[y]] += weight


@kernel()
def _add_triangles(
    first: int,
    step: int,
    rows: np.ndarray,
    before: np.ndarray,
    columns: np.ndarray,
    values: np.ndarray,
    lengths: np.ndarray,
    by_user: np.ndarray,
    authors: np.ndarray,
    by_author: np.ndarray,
    users: np.ndarray,
    edge_of: np.ndarray,
    triangle_of: np.ndarray,
    triangles: np.ndarray,
    n_authors: int,
    room: int,
) -> None:
    """For each author, sums the triangles of its users; a kernel of ``rows_in_blocks``."""
    sums = np.zeros(n_authors)
    ids, scores = np.empty(n_authors, np.int32), np.empty(n_authors, np.float32)
    spare, places = np.empty_like(ids), buckets(n_authors)
    best_ids, best_scores = np.empty(room, np.int32), np.empty(room, np.float32)
    for author in range(rows[0] + first, rows[1], step):
        met = 0
        for entry in range(by_author[author], by_author[author + 1]):
            user = users[entry]
            start, degree = by_user[user], by_user[user + 1] - by_user[user]
            base = triangle_of[user]
            p = edge_of[entry] - start
            for q in range(degree):
                if q == p:
                    continue
                low, high = min(p, q), max(p, q)
                weight = triangles[base + low * (2 * degree - low - 1) // 2 + high - low - 1]
                if weight > 0:
                    other = authors[start + q]
                    if sums[other] == 0:
                        ids[met] = other
                        met += 1
                    sums[other] += weight
        kept = ids[:met]
        if met > room:
            for index in range(met):
                scores[index] = sums[ids[index]]
            kept = best_ids[: keep_best(ids, scores, met, best_ids, best_scores)]
        sort_ids(kept, len(kept), spare, places)
        start = before[author] - before[rows[0]]
        for index in range(len(kept)):
            columns[start + index], values[start + index] = kept[index], sums[kept[index]]
        lengths[author + 1] = len(kept)
        for index in range(met):
            sums[ids[index]] = 0
