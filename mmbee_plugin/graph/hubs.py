"""Samples of hubs' users: Swing and walks from authors to users cost the sum of squared degrees, which hubs make up."""

import numpy as np
from scipy.sparse import csr_matrix

from mmbee_plugin.data.folds import fold_of
from mmbee_plugin.errors import InputError


def capped(u2a: csr_matrix, max_users: int | None, seed: int = 0) -> csr_matrix:
    """U2A with at most ``max_users`` users an author, those with the lowest seeded hashes of user and author.

    A uniform sample without replacement that depends on the edge and the seed alone: it is the same in any order of
    the gifts and on any number of machines, that of a smaller cap is a part of that of a larger one, and a new gift
    displaces at most one other.

    Args:
        u2a: (n_users, n_authors).
        max_users: users kept an author; None keeps all, and ``u2a`` itself is returned.
        seed: of the hash.

    Raises:
        InputError: ``max_users`` below 1.

    Example:
        >>> hub = csr_matrix([[2.0, 1.0], [3.0, 0.0], [4.0, 0.0]])
        >>> capped(hub, 1).toarray().tolist()
        [[2.0, 1.0], [0.0, 0.0], [0.0, 0.0]]
    """
    if max_users is None:
        return u2a
    if max_users < 1:
        raise InputError(f"max_users: {max_users} is out of range, expected at least 1 or nothing")
    degrees = np.bincount(u2a.indices, minlength=u2a.shape[1])
    edge = np.flatnonzero(degrees[u2a.indices] > max_users)
    authors = u2a.indices[edge]
    users = np.searchsorted(u2a.indptr, edge, side="right") - 1
    order = np.lexsort((users, fold_of(users, authors, 2**63 - 1, seed), authors))
    first = np.flatnonzero(np.diff(authors[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(first, np.diff(first, append=len(order)))
    kept = np.ones(u2a.nnz, dtype=bool)
    kept[edge[order[rank >= max_users]]] = False
    indptr = np.concatenate([[0], np.cumsum(kept)])[u2a.indptr]
    sample = csr_matrix((u2a.data[kept], u2a.indices[kept], indptr), shape=u2a.shape)
    sample.has_sorted_indices = u2a.has_sorted_indices
    return sample
