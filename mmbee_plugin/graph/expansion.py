"""Each node's top-K neighbours along a metapath (MMBee, section 5.3)."""

from itertools import pairwise

import numpy as np
from scipy.sparse import csr_matrix, identity

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.lists import PackedLists, keeps_self, listed
from mmbee_plugin.graph.metapaths import Metapath, Neighbours, Normalisation, step_graphs
from mmbee_plugin.graph.product import best_of_product
from mmbee_plugin.graph.sharing import shared_rows

# Multiply-adds per stored part of the product of two steps; each yields at most one entry of 12 bytes.
_CHUNK = 50_000_000


def expand(
    path: Metapath,
    u2a: csr_matrix,
    a2a: csr_matrix | None,
    *,
    top_k: int,
    normalisation: Normalisation = "row",
    exclude_own: bool = True,
    sample: csr_matrix | None = None,
) -> Neighbours:
    """Finds the ``top_k`` best neighbours of every start node along a metapath.

    A neighbour's score is the sum, over all walks to it, of the product of the normalised edge weights. No list is cut
    between hops, so scores are exact: summed in double precision, compared and stored as float32, ties by lower id.

    Args:
        path: the metapath.
        u2a: (n_users, n_authors) weighted donation graph.
        a2a: (n_authors, n_authors) similarity graph; may be ``None`` for a path without a2a steps.
        top_k: neighbours kept per node, at least 1.
        normalisation: ``row`` divides an edge's weight by the sum of its start's edges; ``symmetric`` by the square
            root of the product of the sums of its start's and its end's edges.
        exclude_own: leave out the node itself on paths that end at their start type, and the pairs of U2A on longer
            paths between users and authors.
        sample: (n_users, n_authors) U2A with capped hubs, which steps a2u follow; U2A itself by default.

    Raises:
        InputError: an option out of range, an a2a step without A2A, graphs that do not fit each other.

    Example:
        >>> u2a = csr_matrix([[1.0, 1.0], [0.0, 2.0], [4.0, 0.0]])  # amounts of 3 users to 2 authors
        >>> found = expand(Metapath.parse("u2a2u"), u2a, None, top_k=1)
        >>> found.of(0)  # the user who gave most to the authors of user 0
        (array([2], dtype=int32), array([0.4], dtype=float32))
    """
    lists = packed_lists(
        path, u2a, a2a, top_k=top_k, normalisation=normalisation, exclude_own=exclude_own, sample=sample
    )
    return lists.along(path.name).all()


def packed_lists(
    path: Metapath,
    u2a: csr_matrix,
    a2a: csr_matrix | None,
    *,
    top_k: int,
    normalisation: Normalisation = "row",
    exclude_own: bool = True,
    sample: csr_matrix | None = None,
) -> PackedLists:
    """The lists of :func:`expand` as they are stored; users with equal histories share a row."""
    if top_k < 1:
        raise InputError(f"top_k: {top_k} is out of range, expected at least 1")
    steps = step_graphs(path, u2a, a2a, normalisation, sample)
    # Decided on all rows, whichever share one: another order of products would round otherwise.
    last_two = path.hops == 3 and _work(steps[1], steps[2]).sum() <= min(
        _work(steps[0], steps[1]).sum(), _CHUNK
    )
    rows, with_self = None, False
    own = csr_matrix((steps[0].shape[0], steps[-1].shape[1]))
    if path.start == "u":
        rows, first = shared_rows(steps[0])
        steps[0], own, with_self = steps[0][first], own[first], keeps_self(path, exclude_own)
        if exclude_own and path.end == "a" and path.hops > 1:
            own = u2a[first]
    elif exclude_own and path.end == "a":
        own = identity(steps[0].shape[0], format="csr")
    elif exclude_own and path.hops > 1:
        own = u2a.T.tocsr()
    if path.hops == 1:
        steps = [identity(steps[0].shape[0], format="csr"), *steps]
    elif last_two:
        # Transposing the product of the transposes sorts its columns.
        steps = [steps[0], (steps[2].T.tocsr() @ steps[1].T.tocsr()).T.tocsr()]
    chunks = [slice(0, steps[0].shape[0])]
    if len(steps) == 3:
        chunk_of = np.cumsum(_work(steps[0], steps[1])) // _CHUNK
        edges = [0, *(np.flatnonzero(np.diff(chunk_of)) + 1), len(chunk_of)]
        chunks = [slice(start, end) for start, end in pairwise(edges)]
    entries, counts = [], []
    for chunk in chunks:
        left = steps[0][chunk] if len(steps) == 2 else steps[0][chunk] @ steps[1]
        best_ids, scores, found = best_of_product(left, steps[-1], own[chunk], top_k + with_self)
        entries.append(listed(best_ids, scores, found))
        counts.append(found)
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
    return PackedLists((path.name,), indptr, np.concatenate(entries), rows, (with_self,), top_k)


def _work(left: csr_matrix, right: csr_matrix) -> np.ndarray:
    """(rows of left,) int64, multiply-adds of each row of the product; they bound its entries."""
    work = np.concatenate([[0], np.cumsum(np.diff(right.indptr).astype(np.int64)[left.indices])])
    return np.diff(work[left.indptr])
