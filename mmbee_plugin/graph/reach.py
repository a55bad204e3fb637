"""Reach: how likely a long walk from a user ends at an author, stored as one list a user.

A metapath's lists of three hops are short of what separates authors that nobody near the user has gifted. Two
of them in a row make a walk of five hops, u-a-u-a-u-a, and its best authors per user are again one stored
list.
"""

import numpy as np
from scipy.sparse import csr_matrix, diags_array

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.metapaths import Metapath, Neighbours, expand
from mmbee_plugin.graph.product import best_of_product

NOBODY = int(np.iinfo(np.int32).max)
"""an id that no author has: it fills up ascending lists"""


def reach(
    u2a: csr_matrix, top_k: int, inner: int = 200, exclude_own: bool = True, lift: bool = False
) -> Neighbours:
    """The ``top_k`` authors that a random walk u-a-u-a-u-a from each user most likely ends at.

    The walk is joined from the user's u2a2u2a list and the authors' a2u2a lists, each cut to its ``inner`` best,
    with the walk free to come back to where it was.

    Args:
        u2a: (n_users, n_authors) weighted donation graph.
        top_k: authors kept a user, at least 1.
        inner: neighbours kept in the two lists that are joined, at least 1.
        exclude_own: leave out the authors that the user has gifted: right where those are not to be ranked.
        lift: rank and store by how many times likelier than by popularity alone the end is: the chance over the
            author's share of all gifts, to each of which an average author's are added.

    Returns:
        lists over all users, by ascending author.

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
    """(n_authors,) each author's share of all gifts, with an average author's added to everyone's."""
    gifts = np.asarray(u2a.sum(axis=0)).ravel()
    smoothed = gifts + max(gifts.mean(), np.finfo(np.float64).tiny)
    return smoothed / smoothed.sum()
