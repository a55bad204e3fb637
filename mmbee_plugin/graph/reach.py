"""Reach: probability that a walk of five hops, u-a-u-a-u-a, from a user ends at an author; one list per user.

Lists of three hops do not separate authors whom nobody near the user has gifted. Joining lists of two metapaths gives
the longer walk.
"""

import numpy as np
from scipy.sparse import csr_matrix, diags_array

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.expansion import Expansion
from mmbee_plugin.graph.lists import PackedLists, listed
from mmbee_plugin.graph.metapaths import Metapath, Neighbours
from mmbee_plugin.graph.product import best_of_product

NOBODY = int(np.iinfo(np.int32).max)
"""id of no author; pads ascending lists"""


def reach(
    u2a: csr_matrix, top_k: int, inner: int = 200, exclude_own: bool = True, lift: bool = False
) -> Neighbours:
    """The lists of :func:`packed_reach`, one per user, by ascending author."""
    return packed_reach(u2a, top_k, inner, exclude_own, lift).along("reach").all()


def packed_reach(
    u2a: csr_matrix,
    top_k: int,
    inner: int = 200,
    exclude_own: bool = True,
    lift: bool = False,
    expansion: Expansion | None = None,
) -> PackedLists:
    """The ``top_k`` most likely end authors of a random walk u-a-u-a-u-a from each user.

    The walk joins the user's u2a2u2a list with the authors' a2u2a lists, each cut to its ``inner`` best; it may return
    to nodes it has visited.

    Args:
        u2a: (n_users, n_authors) weighted donation graph.
        top_k: authors kept per user, at least 1.
        inner: neighbours kept in the two lists joined, at least 1.
        exclude_own: leave out authors whom the user has gifted, for data in which they are not ranked.
        lift: score by lift, the probability divided by the author's share of all gifts; the average author's gifts
            are added to each author's for smoothing.
        expansion: of this U2A, normalised by row, if there is one.

    Returns:
        lists by ascending author, under the path "reach".

    Raises:
        InputError: ``top_k`` or ``inner`` below 1.
    """
    if top_k < 1:
        raise InputError(f"top_k: {top_k} is out of range, expected at least 1")
    expansion = expansion or Expansion(u2a, None)
    packed = [
        expansion.lists(Metapath.parse(name), inner, exclude_own=False) for name in ("u2a2u2a", "a2u2a")
    ]
    near, around = (_matrix(lists, u2a.shape[1]) for lists in packed)
    own = u2a.tocsr().astype(np.float64)
    if lift:
        around = csr_matrix(around @ diags_array(1 / _popularity(own)))
    excluded = own[packed[0].first] if exclude_own else csr_matrix(near.shape)
    ids, weights, found = best_of_product(near, around, excluded, top_k)
    beyond = np.arange(ids.shape[1]) >= found[:, None]
    order = np.argsort(np.where(beyond, NOBODY, ids), axis=1, kind="stable")
    entries = listed(np.take_along_axis(ids, order, 1), np.take_along_axis(weights, order, 1), found)
    indptr = np.concatenate([[0], np.cumsum(found)])
    return PackedLists(("reach",), indptr, entries, packed[0].rows, (False,), top_k)


def _matrix(lists: PackedLists, n_authors: int) -> csr_matrix:
    """float64 (rows of the lists, n_authors), sorted columns."""
    ids, weights = (np.ascontiguousarray(lists.entries[name]) for name in ("id", "weight"))
    matrix = csr_matrix((weights, ids, lists.indptr), shape=(lists.n_rows, n_authors))
    matrix.sort_indices()
    return matrix.astype(np.float64)


def _popularity(u2a: csr_matrix) -> np.ndarray:
    """(n_authors,) share of each author in all gifts, smoothed by adding the average author's gifts to each."""
    gifts = np.asarray(u2a.sum(axis=0)).ravel()
    smoothed = gifts + max(gifts.mean(), np.finfo(np.float64).tiny)
    return smoothed / smoothed.sum()
