"""Visits in the long walk's lists: whom a user went to see, more than others did, before any gift.

Gifts are rare and visits are not: of a user without a gift the walk knows nothing, while every log has their visits.
The lists of :mod:`~mmbee_plugin.graph.reach` are pooled with them and with :mod:`~mmbee_plugin.graph.profiles`, author
by author, by a logarithmic opinion pool (Genest and Zidek, 1986, Statistical Science 1, which multiplies powers of
opinions). Not in the paper.
"""

import numpy as np
from scipy.sparse import csr_matrix

from mmbee_plugin.data.folds import BY_TIME
from mmbee_plugin.data.visits import Visits
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.best import push
from mmbee_plugin.graph.donations import donation_graph
from mmbee_plugin.graph.lists import ENTRY, PackedLists
from mmbee_plugin.graph.profiles import profiles
from mmbee_plugin.graph.reach import popularity
from mmbee_plugin.graph.settings import GraphStage, Interactions
from mmbee_plugin.kernels import kernel

_AT_ONCE = 4096
"""users whose lists are pooled together"""
_LOGARITHMS = -12.0, 40.0
"""bounds of an entry's logarithm: further down float32 would keep the floor alone, whose logarithm is infinite"""
_SCORES = 1 << 24
"""scores of pairs that are held together"""


def check_visits(visits: Visits | None, interactions: Interactions, settings: GraphStage) -> None:
    """Raises InputError if the settings ask for visits and cannot have them."""
    if not settings.pools_visits:
        return
    name = "graph.visits" if settings.visits else "graph.visits_profile"
    if visits is None:
        raise InputError(
            f"{name}: no visits here; a log's samples have them with mmbee data samples LOGS DST --visits"
        )
    if interactions.times is None:
        raise InputError(f"{name}: the data have no time, which tells what visits a graph knows; set it to 0")
    if settings.folds and settings.fold_by not in BY_TIME:
        raise InputError(
            f"{name}: with folds, which visits a graph knows is told by time, not with graph.fold_by {settings.fold_by}"
        )


def pairs_counted(events: Visits | Interactions, among: Interactions) -> csr_matrix:
    """How often each user came, or gave, to each author: float64 (n_users, n_authors), sorted columns."""
    counted = donation_graph(events.users, events.authors, None, among.n_users, among.n_authors)
    return counted.astype(np.float64)


def lift_of_visits(counts: csr_matrix, prior: float) -> csr_matrix:
    r"""How much more of a user's visits go to an author than of all visits do.

    .. math:: q_{ua} = \frac{n_{ua}}{(n_u + \text{prior})\, p_a}

    where p is the author's smoothed share of all visits, :func:`~mmbee_plugin.graph.reach.popularity`.

    Args:
        counts: of visits, by :func:`pairs_counted`.

    Returns:
        float64 (n_users, n_authors), sorted columns; 0 for who was never visited.
    """
    lifts = counts.copy()
    of_user, share = np.asarray(lifts.sum(1)).ravel(), popularity(lifts)
    users = np.repeat(np.arange(lifts.shape[0]), np.diff(lifts.indptr))
    lifts.data /= (of_user[users] + prior) * share[lifts.indices]
    return lifts


def with_visits(lists: PackedLists, seen: Interactions, visits: Visits, settings: GraphStage) -> PackedLists:
    r"""The long walk's lists pooled with the visits that ended by the newest gift of a graph.

    .. math:: c\,\left(\max\{(1 + p_{ua} / c)\,(1 + q_{ua})^{w}\,e^{w' s_{ua}},\, e^{-12}\} - 1\right)

    where p is the walk's entry, 0 where it has none, q as in :func:`lift_of_visits`, w ``settings.visits``, s the score
    of both :func:`~mmbee_plugin.graph.profiles.profiles`, w' ``settings.visits_profile`` and c
    ``settings.visits_floor``. With c as the model's ``reach_floor`` its logit is the sum of the logarithms; an entry is
    negative where they speak against an author. A profile of fewer visits tells less, so in a fold's graph w' is
    smaller, by the cube root of the share of all visits that it knows. The ``reach_top_k`` of a user whose logarithm is
    furthest from 0 stay, ties by lower author.

    Args:
        lists: of the graph's users, under the path "reach".
        seen: the gifts that the graph is of.

    Returns:
        lists by ascending author, one row a user: users with equal gifts differ in their visits.
    """
    newest = -np.inf if seen.times is None or not len(seen.times) else float(seen.times.max())
    known = visits.until(newest)
    counts = pairs_counted(known, seen)
    lifts = lift_of_visits(counts, settings.visits_prior)
    lifts.data = settings.visits * np.log1p(lifts.data)
    lean = (
        profiles(counts, pairs_counted(seen, seen), settings.visits_rank) if settings.visits_profile else None
    )
    leaning = settings.visits_profile * np.cbrt(len(known) / max(1, len(visits)))
    indptr, pieces = [np.zeros(1, np.int64)], [np.empty(0, ENTRY)]
    at_once = _AT_ONCE if lean is None else max(1, min(_AT_ONCE, _SCORES // max(1, seen.n_authors)))
    for start in range(0, seen.n_users, at_once):
        users = np.arange(start, min(start + at_once, seen.n_users))
        walked = lists.along("reach").take(users).matrix(seen.n_authors).astype(np.float64)
        walked.data = np.log1p(walked.data / settings.visits_floor)
        pooled = (walked + lifts[users]).tocsr()
        if lean is not None:
            pooled = csr_matrix(pooled + leaning * (lean.users[users] @ lean.authors.T))
        lengths, entries = _furthest(pooled, settings.reach_top_k)
        entries["weight"] = settings.visits_floor * np.expm1(entries["weight"].clip(*_LOGARITHMS))
        indptr.append(indptr[-1][-1] + np.cumsum(lengths))
        pieces.append(entries)
    rows = np.arange(seen.n_users, dtype=np.int64)
    packed = np.concatenate(indptr), np.concatenate(pieces)
    return PackedLists(("reach",), *packed, rows, (False,), settings.reach_top_k)


def _furthest(graph: csr_matrix, top_k: int) -> tuple[np.ndarray, np.ndarray]:
    """Lengths and entries of each row's ``top_k`` values furthest from 0, by ascending column."""
    kept = _kept(graph.indptr, graph.indices, graph.data, top_k)
    row = np.repeat(np.arange(graph.shape[0]), np.diff(graph.indptr))
    entries = np.empty(np.count_nonzero(kept), ENTRY)
    entries["id"], entries["weight"] = graph.indices[kept], graph.data[kept]
    return np.bincount(row[kept], minlength=graph.shape[0]), entries


@kernel()
def _kept(indptr: np.ndarray, ids: np.ndarray, values: np.ndarray, top_k: int) -> np.ndarray:
    """(n,) whether a value is among the ``top_k`` of its row that are furthest from 0."""
    kept = np.empty(len(values), np.bool_)
    best, sizes = np.empty(top_k, np.int32), np.empty(top_k, np.float32)
    for row in range(len(indptr) - 1):
        count = 0
        for entry in range(indptr[row], indptr[row + 1]):
            count = push(best, sizes, count, ids[entry], abs(values[entry]))
        for entry in range(indptr[row], indptr[row + 1]):
            size = np.float32(abs(values[entry]))
            behind = size < sizes[0] or (size == sizes[0] and ids[entry] > best[0])
            kept[entry] = count < top_k or not behind
    return kept
