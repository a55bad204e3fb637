"""Content neighbours: the authors nearest to an author by features, and how the long walk uses them.

Not in the paper: graphs of gifts do not reach an author whom nobody has gifted, and content is all that is known of it.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.sparse import csr_matrix, diags

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.attributes import Attributes

ContentSteps = tuple[csr_matrix, float]
"""content neighbours of authors, and the weight of a step to them"""
ROWS_AT_ONCE = 1024
"""authors compared with all others at a time"""


def chosen_modalities(known: Sequence[str], named: tuple[str, ...] | None) -> tuple[str, ...]:
    """The modalities that say who is near: those that are named, or all.

    Args:
        known: modalities with vectors.

    Raises:
        InputError: there is none, or none of a name.
    """
    if not known:
        raise InputError("graph.content_top_k: authors have no vectors of content here; set it to 0")
    if unknown := [name for name in named or () if name not in known]:
        raise InputError(f"graph.content_modalities: unknown {unknown[0]!r}; known: {', '.join(known)}")
    return tuple(known) if named is None else named


def content_neighbours(columns: Mapping[str, Attributes], top_k: int, sharpness: float) -> csr_matrix:
    r"""Each author's nearest authors by content, weighted by :math:`\exp(s \cos)`, a row's weights summing to 1.

    The cosine is the mean over the modalities that both have. Every pair is compared, which is quadratic in authors.

    Args:
        columns: features (n_authors, D_m) of mean 0 and deviation 1, by modality.
        top_k: neighbours kept, at least 1.
        sharpness: s.

    Returns:
        float64 (n_authors, n_authors); empty rows for authors without content.

    Example:
        >>> columns = {"visual": Attributes(np.array([[1.0, 0], [1, 0.1], [-1, 0]]), np.ones(3, dtype=bool))}
        >>> content_neighbours(columns, top_k=1, sharpness=5.0).indices.tolist()
        [1, 0, 1]
    """
    units = [_unit(one) for one in columns.values()]
    present = np.stack([one.present for one in columns.values()], axis=1).astype(np.float32)  # (n, M)
    n, kept = len(present), min(top_k, len(present) - 1)
    ids, weights = np.zeros((n, kept), np.int32), np.zeros((n, kept))
    for begin in range(0, n, ROWS_AT_ONCE):
        rows = slice(begin, begin + ROWS_AT_ONCE)
        both = present[rows] @ present.T
        cosine = sum(unit[rows] @ unit.T for unit in units) / np.maximum(both, 1)
        cosine[both == 0] = -np.inf
        within = np.arange(len(cosine))
        cosine[within, begin + within] = -np.inf
        ids[rows] = np.argpartition(-cosine, kept - 1, axis=1)[:, :kept] if kept else 0
        found = np.take_along_axis(cosine, ids[rows], axis=1)
        weights[rows] = np.exp(sharpness * found.astype(np.float64))
    graph = csr_matrix((weights.ravel(), ids.ravel(), np.arange(n + 1) * kept), shape=(n, n))
    graph.eliminate_zeros()
    graph.sort_indices()
    return _by_row(graph)


def reached_by_content(
    around: csr_matrix, content: csr_matrix, gifted: np.ndarray, share: float, scale: np.ndarray
) -> csr_matrix:
    """Steps around authors, with those to authors that are near by content.

    A step from an author leads also to the gifted authors nearest by content, with ``share`` of weight. One whom nobody
    has gifted is reached as the gifted authors nearest to it are on average.

    Args:
        around: (n_authors, n_authors) steps by gifts.
        content: of :func:`content_neighbours`.
        gifted: (n_authors,) bool, authors with a gift.
        share: weight of the steps by content beside those by gifts, which have 1.
        scale: (n_authors,) factor of the steps that end at a gifted author.

    Returns:
        float64 (n_authors, n_authors), sorted columns.
    """
    chosen = diags(gifted.astype(np.float64))
    nearest = _by_row((content @ chosen).tocsr())
    steps = (around + share * (chosen @ nearest)) @ diags(scale)
    unmet = diags((~gifted).astype(np.float64)) @ nearest
    found = csr_matrix(steps + steps @ unmet.T)
    found.eliminate_zeros()
    found.sort_indices()
    return found


def _unit(one: Attributes) -> np.ndarray:
    """(n, D) float32 vectors of length 1, zero where absent."""
    values = one.filled()
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.where(length > 0, length, 1)


def _by_row(graph: csr_matrix) -> csr_matrix:
    total = np.asarray(graph.sum(axis=1)).ravel()
    return csr_matrix(diags(1 / np.where(total > 0, total, 1)) @ graph)
