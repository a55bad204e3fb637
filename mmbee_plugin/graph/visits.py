"""Visits in the long walk's lists: whom a user went to see, more than others did, before any gift.

Gifts are rare and visits are not: of a user without a gift the walk knows nothing, of his visits everybody logs. The
lists of :mod:`~mmbee_plugin.graph.reach` are pooled with them, author by author, by a logarithmic opinion pool (Genest
and Zidek, 1986, Statistical Science 1, which multiplies powers of opinions). Not in the paper.
"""

import numpy as np
from scipy.sparse import csr_matrix

from mmbee_plugin.data.folds import BY_TIME
from mmbee_plugin.data.visits import Visits
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.lists import ENTRY, PackedLists
from mmbee_plugin.graph.reach import popularity
from mmbee_plugin.graph.settings import GraphStage, Interactions

_AT_ONCE = 4096
"""users whose lists are pooled together"""


def check_visits(visits: Visits | None, interactions: Interactions, settings: GraphStage) -> None:
    """Raises InputError if the settings ask for visits and cannot have them."""
    if not settings.pools_visits:
        return
    if visits is None:
        raise InputError(
            "graph.visits: no visits here; a log's samples have them with mmbee data samples LOGS DST --visits"
        )
    if interactions.times is None or (settings.folds and settings.fold_by not in BY_TIME):
        raise InputError(
            f"graph.visits: which of them a graph knows is told by time, not with fold_by {settings.fold_by}"
        )


def lift_of_visits(visits: Visits, n_users: int, n_authors: int, prior: float) -> csr_matrix:
    r"""How much more of a user's visits go to an author than of all visits do.

    .. math:: q_{ua} = \frac{n_{ua}}{(n_u + \text{prior})\, p_a}

    where p is the author's smoothed share of all visits, :func:`~mmbee_plugin.graph.reach.popularity`.

    Returns:
        float64 (n_users, n_authors), sorted columns; 0 for who was never visited.
    """
    ones = np.ones(len(visits))
    lifts = csr_matrix((ones, (visits.users, visits.authors)), shape=(n_users, n_authors))
    lifts.sum_duplicates()
    of_user, share = np.asarray(lifts.sum(1)).ravel(), popularity(lifts)
    users = np.repeat(np.arange(n_users), np.diff(lifts.indptr))
    lifts.data /= (of_user[users] + prior) * share[lifts.indices]
    return lifts


def with_visits(lists: PackedLists, seen: Interactions, visits: Visits, settings: GraphStage) -> PackedLists:
    r"""The long walk's lists pooled with the visits that ended by the newest gift of a graph.

    .. math:: c\,\left((1 + p_{ua} / c)\,(1 + q_{ua})^{w} - 1\right)

    where p is the walk's entry, 0 where it has none, q as in :func:`lift_of_visits`, w ``settings.visits`` and c
    ``settings.visits_floor``. With c as the model's ``reach_floor`` its logit is the sum of both logarithms. The
    ``reach_top_k`` best of a user stay, ties by lower author.

    Args:
        lists: of the graph's users, under the path "reach".
        seen: the gifts that the graph is of.

    Returns:
        lists by ascending author, one row a user: users with equal gifts differ in their visits.
    """
    newest = -np.inf if seen.times is None or not len(seen.times) else float(seen.times.max())
    lifts = lift_of_visits(visits.until(newest), seen.n_users, seen.n_authors, settings.visits_prior)
    lifts.data = settings.visits * np.log1p(lifts.data)
    indptr, pieces = [np.zeros(1, np.int64)], [np.empty(0, ENTRY)]
    for start in range(0, seen.n_users, _AT_ONCE):
        users = np.arange(start, min(start + _AT_ONCE, seen.n_users))
        walked = lists.along("reach").take(users).matrix(seen.n_authors).astype(np.float64)
        walked.data = np.log1p(walked.data / settings.visits_floor)
        pooled = (walked + lifts[users]).tocsr()
        lengths, entries = _best(pooled, settings.reach_top_k)
        entries["weight"] = settings.visits_floor * np.expm1(entries["weight"])
        indptr.append(indptr[-1][-1] + np.cumsum(lengths))
        pieces.append(entries)
    rows = np.arange(seen.n_users, dtype=np.int64)
    packed = np.concatenate(indptr), np.concatenate(pieces)
    return PackedLists(("reach",), *packed, rows, (False,), settings.reach_top_k)


def _best(graph: csr_matrix, top_k: int) -> tuple[np.ndarray, np.ndarray]:
    """Lengths and entries of each row's ``top_k`` largest values, by ascending column."""
    row = np.repeat(np.arange(graph.shape[0]), np.diff(graph.indptr))
    by_value = np.lexsort((graph.indices, -graph.data, row))
    rank = np.arange(len(row)) - graph.indptr[row]  # within its row, since rows stay where they are
    kept = by_value[rank < top_k]
    kept = kept[np.lexsort((graph.indices[kept], row[kept]))]
    entries = np.empty(len(kept), ENTRY)
    entries["id"], entries["weight"] = graph.indices[kept], graph.data[kept]
    return np.bincount(row[kept], minlength=graph.shape[0]), entries
