"""Profiles: which way a user's visits and gifts lean, in few dimensions, and how far an author lies that way.

A user's own visits say nothing of authors whom they have not met. Authors who share visitors and gifters do: the
singular vectors of both graphs put them near each other, and a user where their authors are. This is latent semantic
indexing (Deerwester et al., 1990, JASIS 41) of what users visit and gift, with a user folded in as the mean of those
authors. Not in the paper.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix, diags, vstack
from scipy.sparse.linalg import svds

_SMOOTHING = 5.0
"""added to sums of rows and columns, so that who has little weighs little"""
_GIFTS = 0.3
"""what the graph of gifts weighs beside that of visits: visits alone tell who is popular where, gifts who is liked"""
_ROUNDING = 1e-12
"""share of a mean square below which it is what rounding leaves of 0"""


class Profiles(NamedTuple):
    """Vectors of users (n_users, k) and authors (n_authors, k), float64; a pair's score is their dot product, with mean
    square 1 over all pairs that are known, and 0 for a user or an author without a visit or gift."""

    users: np.ndarray
    authors: np.ndarray


def profiles(visits: csr_matrix, gifts: csr_matrix, rank: int) -> Profiles:
    r"""Profiles in the ``rank`` strongest dimensions of visits and gifts.

    The vectors v of the authors who are known are the right singular vectors of the two graphs, one above the other,
    each scaled by its own sums,

    .. math:: \hat h_{ua} = h_{ua} / \sqrt{(h_u + 5)(h_a + 5)}

    and the gifts by .3; a user's is the mean of them over what they visited and gave, less that of all users:

    .. math:: x_u \propto \sum_a \frac{h_{ua}}{h_u + 5} (v_a - \bar v), \qquad
        y_a = v_a / \sqrt{|v_a|^2 + \operatorname{mean}_b |v_b|^2}

    where h is there the sum of both graphs.

    Args:
        visits, gifts: (n_users, n_authors) how many; the graphs are their log1p. Amounts would let a few large gifts
            speak for all.
        rank: dimensions k, at least 1; fewer where the graphs have no more, none where all users are alike.
    """
    seen, given = (graph.astype(np.float64).log1p() for graph in (visits, gifts))
    both = (seen + given).tocsr()
    met = np.flatnonzero(np.bincount(both.indices, minlength=both.shape[1]))
    known = np.count_nonzero(np.diff(both.indptr))
    stacked = vstack([_scaled(seen), _GIFTS * _scaled(given)], format="csr")[:, met]
    vectors = _directions(stacked, rank)
    of_author = np.asarray(both.sum(0)).ravel()[met]
    centred = vectors - of_author @ vectors / max(1.0, of_author.sum())
    users = diags(1 / (np.asarray(both.sum(1)).ravel() + _SMOOTHING)) @ both[:, met] @ centred
    lengths = np.square(vectors).sum(1, keepdims=True)
    authors = np.zeros((both.shape[1], vectors.shape[1]))
    authors[met] = vectors / np.sqrt(lengths + lengths.mean()) if vectors.size else 0
    square = np.sum((users.T @ users) * (authors.T @ authors)) / max(1, known * len(met))
    if square <= _ROUNDING * np.square(vectors).sum() / max(1, len(met)):
        return Profiles(np.zeros((both.shape[0], 0)), np.zeros((both.shape[1], 0)))
    return Profiles(users / np.sqrt(square), authors)


def _directions(graph: csr_matrix, rank: int) -> np.ndarray:
    """(columns, at most ``rank``) right singular vectors, without those whose values are rounding alone."""
    if min(graph.shape) <= rank + 1:
        _, values, vectors = np.linalg.svd(graph.toarray(), full_matrices=False)
        values, vectors = values[:rank], vectors[:rank]
    else:
        _, values, vectors = svds(graph, k=rank, random_state=0)
    return vectors[values > _ROUNDING**0.5 * values.max(initial=0.0)].T


def _scaled(graph: csr_matrix) -> csr_matrix:
    """A graph's weights over the square roots of both ends' smoothed sums."""
    of_users, of_authors = (np.asarray(graph.sum(axis)).ravel() + _SMOOTHING for axis in (1, 0))
    return diags(of_users**-0.5) @ graph @ diags(of_authors**-0.5)
