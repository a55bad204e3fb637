"""Reach: probability that a walk of five hops, u-a-u-a-u-a, from a user ends at an author; one list per user.

Lists of three hops do not separate authors whom nobody near the user has gifted. Joining lists of two metapaths gives
the longer walk.
"""

import numpy as np
from scipy.sparse import csr_matrix, diags_array

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.metapaths import Metapath, Neighbours, expand
from mmbee_plugin.graph.product import best_of_product

NOBODY = int(np.iinfo(np.int32).max)
"""id of no author; pads ascending lists"""


def reach(
    u2a: csr_matrix, top_k: int, inner: int = 200, exclude_own: bool = True, lift: bool = False
) -> Neighbours:
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

    Returns:
        one list per user, by ascending author.

    Raises:
        InputError: ``top_k`` or ``inner`` below 1.
    """
    if top_k < 1:
        raise InputError(f"top_k: {top_k} is out of range, expected at least 1")
    near, around = (
        expand(Metapath.parse(name), u2a, None, top_k=inner, exclude_own=False).matrix(u2a.shape[1])
        for name in ("u2a2u2a", "a2u2a")
    )
    for lists in (near, around):
        lists.sort_indices()
    own = u2a.tocsr().astype(np.float64)
    around = around.astype(np.float64)
    if lift:
        around = csr_matrix(around @ diags_array(1 / _popularity(own)))
    excluded = own if exclude_own else csr_matrix(own.shape)
    ids, weights, found = best_of_product(near.astype(np.float64), around, excluded, top_k)
    filled = np.arange(ids.shape[1]) < found[:, None]
    ascending = csr_matrix(
        (weights[filled], ids[filled], np.concatenate([[0], np.cumsum(found)])), shape=u2a.shape
    )
    ascending.sort_indices()
    return Neighbours(ascending.indptr.astype(np.int64), ascending.indices.astype(np.int32), ascending.data)


def _popularity(u2a: csr_matrix) -> np.ndarray:
    """(n_authors,) share of each author in all gifts, smoothed by adding the average author's gifts to each."""
    gifts = np.asarray(u2a.sum(axis=0)).ravel()
    smoothed = gifts + max(gifts.mean(), np.finfo(np.float64).tiny)
    return smoothed / smoothed.sum()
