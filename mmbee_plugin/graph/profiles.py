"""Profiles: which way a user's visits and gifts lean, in few dimensions, and how far an author lies that way.

A user's own visits say nothing of authors whom he has not met. Authors who share visitors and gifters do: the singular
vectors of both graphs put them near each other, and a user where his authors are. This is latent semantic indexing
(Deerwester et al., 1990, JASIS 41) of what users visit and gift, with a user folded in as the mean of his authors. Not
in the paper.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix, diags, vstack
from scipy.sparse.linalg import svds

_SMOOTHING = 5.0
"""added to sums of rows and columns, so that who has little weighs little"""
_GIFTS = 0.3
"""what the graph of gifts weighs beside that of visits: visits alone tell who is popular where, gifts who is liked"""


class Profiles(NamedTuple):
    """Vectors of users (n_users, k) and authors (n_authors, k), float64; a pair's score is their dot product, with mean
    square 1 over all pairs of users who have a profile. Without any visit k is 0."""

    users: np.ndarray
    authors: np.ndarray


def profiles(visits: csr_matrix, gifts: csr_matrix, rank: int) -> Profiles:
    r"""Profiles in the ``rank`` strongest dimensions of visits and gifts.

    The authors' vectors v are the right singular vectors of the two graphs, one above the other, each scaled by

    .. math:: \hat h_{ua} = h_{ua} / \sqrt{(h_u + 5)(h_a + 5)}

    and the gifts by .3; a user's is the mean of them over what he visited and gave, less that of all users:

    .. math:: x_u = \sum_a \frac{h_{ua}}{h_u + 5} (v_a - \bar v), \qquad
        y_a = v_a / \sqrt{|v_a|^2 + \operatorname{median}_b |v_b|^2}

    where h is there the sum of both graphs.

    Args:
        visits, gifts: (n_users, n_authors) how many; the graphs are their log1p. Amounts would let a few large gifts
            speak for all.
        rank: dimensions, at least 1; fewer where the graphs have no more.
    """
    seen, given = (graph.astype(np.float64).log1p() for graph in (visits, gifts))
    both = (seen + given).tocsr()
    rank = min(rank, min(seen.shape) - 1)
    if rank < 1 or not seen.nnz:
        return Profiles(np.zeros((seen.shape[0], 0)), np.zeros((seen.shape[1], 0)))
    stacked = vstack([_scaled(seen), _GIFTS * _scaled(given)], format="csr")
    vectors = svds(stacked, k=rank, random_state=0)[2].T
    lengths = np.square(vectors).sum(1)
    authors = vectors / np.sqrt(lengths + np.median(lengths))[:, None].clip(np.finfo(np.float64).tiny)
    of_author = np.asarray(both.sum(0)).ravel()
    centred = vectors - of_author @ vectors / of_author.sum()
    users = diags(1 / (np.asarray(both.sum(1)).ravel() + _SMOOTHING)) @ both @ centred
    known = np.count_nonzero(np.diff(both.indptr))
    square = np.sum((users.T @ users) * (authors.T @ authors)) / (known * len(authors))
    return Profiles(users / np.sqrt(square) if square else users, authors)


def _scaled(graph: csr_matrix) -> csr_matrix:
    """A graph's weights over the square roots of both ends' smoothed sums."""
    of_users, of_authors = (np.asarray(graph.sum(axis)).ravel() + _SMOOTHING for axis in (1, 0))
    return diags(of_users**-0.5) @ graph @ diags(of_authors**-0.5)
