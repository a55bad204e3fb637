"""Reach: probability that a walk of five hops, u-a-u-a-u-a, from a user ends at an author; one list per user.

Lists of three hops do not separate authors whom nobody near the user has gifted. Joining lists of two metapaths gives
the longer walk.
"""

import numpy as np
from scipy.sparse import csr_matrix

from mmbee_plugin.data.ragged import NOBODY
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.content import ContentSteps, reached_by_content
from mmbee_plugin.graph.expansion import Expansion
from mmbee_plugin.graph.lists import ENTRY, PackedLists, listed
from mmbee_plugin.graph.metapaths import Metapath, Neighbours
from mmbee_plugin.graph.product import best_of_product
from mmbee_plugin.graph.stored import rows_at

_AT_ONCE = 4096
"""lists that are sorted together: the order of all would take as much memory again as the lists"""


def reach(
    u2a: csr_matrix,
    top_k: int,
    inner: int = 200,
    exclude_own: bool = True,
    lift: bool = False,
    content: ContentSteps | None = None,
) -> Neighbours:
    """The lists of :func:`packed_reach`, one per user, by ascending author."""
    return packed_reach(u2a, top_k, inner, exclude_own, lift, content=content).along("reach").all()


def packed_reach(
    u2a: csr_matrix,
    top_k: int,
    inner: int = 200,
    exclude_own: bool = True,
    lift: bool = False,
    expansion: Expansion | None = None,
    nodes: np.ndarray | None = None,
    content: ContentSteps | None = None,
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
        nodes: (b,) users; the lists are theirs alone, in this order. All by default.
        content: content neighbours of authors and the share of steps to them, see
            :func:`~mmbee_plugin.graph.content.reached_by_content`; None: by gifts alone.

    Returns:
        lists by ascending author, under the path "reach".

    Raises:
        InputError: ``top_k`` or ``inner`` below 1.
    """
    if top_k < 1:
        raise InputError(f"top_k: {top_k} is out of range, expected at least 1")
    expansion = expansion or Expansion(u2a, None)
    near = expansion.lists(Metapath.parse("u2a2u2a"), inner, False, nodes)
    of_authors = expansion.lists(Metapath.parse("a2u2a"), inner, exclude_own=False)
    around = around_authors(of_authors, u2a, lift, content)
    starts = near.first if nodes is None else nodes[near.first]
    own = rows_at(u2a.tocsr(), starts) if exclude_own else None
    indptr, entries = joined(near.indptr, near.entries, around, own, top_k)
    return PackedLists(("reach",), indptr, entries, near.rows, (False,), top_k)


def around_authors(
    lists: PackedLists, u2a: csr_matrix, lift: bool, content: ContentSteps | None = None
) -> csr_matrix:
    """float64 (n_authors, n_authors) a2u2a lists as a matrix, divided by the ends' popularity for ``lift``; with
    ``content`` as in :func:`packed_reach`."""
    around = _matrix(lists.indptr, lists.entries, u2a.shape[1])
    scale = 1 / popularity(u2a.astype(np.float64)) if lift else np.ones(u2a.shape[1])
    if content is None:
        around.data *= scale[around.indices]
        return around
    neighbours, share = content
    gifted = np.asarray(u2a.sum(axis=0)).ravel() > 0
    return reached_by_content(around, neighbours, gifted, share, scale)


def joined(
    indptr: np.ndarray,
    entries: np.ndarray,
    around: csr_matrix,
    own: csr_matrix | None,
    top_k: int,
    ranked: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Offsets and entries, by ascending author, of the best ends of u2a2u2a lists joined with those around authors.

    Args:
        indptr, entries: the lists (n).
        around: of :func:`around_authors`.
        own: (n, n_authors) authors to leave out.
        top_k: authors kept.
        ranked: see ``product.best_of_product``.
    """
    near = _matrix(indptr, entries, around.shape[1])
    excluded = csr_matrix(near.shape) if own is None else own
    ids, weights, found = best_of_product(near, around, excluded, top_k, ranked)
    kept = np.concatenate([[0], np.cumsum(found)])
    ascending = np.empty(kept[-1], ENTRY)
    for start in range(0, len(found), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        beyond = np.arange(ids.shape[1]) >= found[rows, None]
        order = np.argsort(np.where(beyond, NOBODY, ids[rows]), axis=1, kind="stable")
        own = np.take_along_axis(ids[rows], order, 1), np.take_along_axis(weights[rows], order, 1)
        ascending[kept[start] : kept[min(rows.stop, len(found))]] = listed(*own, found[rows])
    return kept, ascending


def _matrix(indptr: np.ndarray, entries: np.ndarray, n_authors: int) -> csr_matrix:
    """float64 (rows of the lists, n_authors), sorted columns."""
    ids, weights = (np.ascontiguousarray(entries[name]) for name in ("id", "weight"))
    matrix = csr_matrix((weights, ids, indptr), shape=(len(indptr) - 1, n_authors))
    matrix.sort_indices()
    return matrix.astype(np.float64)


def popularity(u2a: csr_matrix) -> np.ndarray:
    """(n_authors,) share of each author in all weights, smoothed by adding the average author's to each."""
    gifts = np.asarray(u2a.sum(axis=0)).ravel()
    smoothed = gifts + max(gifts.mean(), np.finfo(np.float64).tiny)
    return smoothed / smoothed.sum()
