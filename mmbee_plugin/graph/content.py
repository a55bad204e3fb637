"""Content neighbours: the authors nearest to an author by features, and how the long walk uses them.

Not in the paper: graphs of gifts do not reach an author whom nobody has gifted, and content is all that is known of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix, diags

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.attributes import Attributes
from mmbee_plugin.graph.best import push, sort_best
from mmbee_plugin.graph.blocks import over_blocks
from mmbee_plugin.kernels import kernel

ContentSteps = tuple[csr_matrix, float]
"""content neighbours of authors, and the weight of a step to them"""

# Authors that a row is compared with at a time: with their vectors, what a second-level cache holds.
_TILE = 2048


@dataclass(frozen=True)
class ContentVectors:
    """What authors are compared by.

    Shapes:
        - units: (D, n_authors) float32, each modality's vectors of length 1, one modality below the other; zero where
          absent
        - present: (M, n_authors) float32, 1 where an author has the modality, else 0
    """

    units: np.ndarray
    present: np.ndarray

    @classmethod
    def of(cls, columns: Mapping[str, Attributes]) -> ContentVectors:
        """Of features (n_authors, D_m) of mean 0 and deviation 1, by modality."""
        present = np.stack([one.present for one in columns.values()]).astype(np.float32)
        return cls(np.concatenate([_unit(one) for one in columns.values()]), present)


def modalities_near(known: Sequence[str], named: tuple[str, ...] | None) -> tuple[str, ...]:
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


def content_neighbours(
    vectors: ContentVectors, top_k: int, sharpness: float, start: int = 0, stop: int | None = None
) -> csr_matrix:
    r"""Each author's nearest authors by content, weighted by :math:`\exp(s \cos)`, a row's weights summing to 1.

    The cosine is the mean over the modalities that both have; of equal ones the lower row is nearer. Every pair is
    compared, which is quadratic in authors. A row does not depend on the rows or threads that it is made beside, as it
    would with a matrix product of BLAS.

    Args:
        vectors: of all authors.
        top_k: neighbours kept, at least 1.
        sharpness: s.
        start, stop: the rows, by default all.

    Returns:
        float64 (stop - start, n_authors); empty rows for authors without content.

    Example:
        >>> columns = {"visual": Attributes(np.array([[1.0, 0], [1, 0.1], [-1, 0]]), np.ones(3, dtype=bool))}
        >>> content_neighbours(ContentVectors.of(columns), top_k=1, sharpness=5.0).indices.tolist()
        [1, 0, 1]
    """
    n_authors = vectors.units.shape[1]
    rows = np.arange(n_authors)[start:stop]
    ids = np.empty((len(rows), min(top_k, n_authors)), np.int32)
    cosines, found = np.empty(ids.shape, np.float32), np.zeros(len(rows), np.int64)
    over_blocks(_nearest, rows, vectors.units, vectors.present, _TILE, ids, cosines, found)
    kept = np.arange(ids.shape[1]) < found[:, None]
    weights = np.exp(sharpness * cosines[kept].astype(np.float64))
    indptr = np.concatenate([[0], np.cumsum(found)])
    graph = csr_matrix((weights, ids[kept], indptr), shape=(len(rows), n_authors))
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
    """(D, n) float32 vectors of length 1, zero where absent."""
    values = np.ascontiguousarray(one.filled().T)
    length = np.linalg.norm(values, axis=0)
    return values / np.where(length > 0, length, 1)


def _by_row(graph: csr_matrix) -> csr_matrix:
    total = np.asarray(graph.sum(axis=1)).ravel()
    return csr_matrix(diags(1 / np.where(total > 0, total, 1)) @ graph)


@kernel()
def _nearest(
    first: int,
    step: int,
    rows: np.ndarray,
    units: np.ndarray,
    present: np.ndarray,
    tile: int,
    best_ids: np.ndarray,
    best_cosines: np.ndarray,
    found: np.ndarray,
) -> None:
    """The best columns of each row, best first, and how many; sums are added modality by modality, number by number."""
    n_authors = units.shape[1]
    all_sums, all_both = np.empty(tile, np.float32), np.empty(tile, np.float32)
    for low in range(0, n_authors, tile):
        high = min(low + tile, n_authors)
        sums, both = all_sums[: high - low], all_both[: high - low]
        for turn in range(first, len(rows), step):
            row = rows[turn]
            sums[:], both[:] = 0, 0
            for column in range(len(units)):
                if units[column, row] != 0:
                    _add(sums, units[column, row], units[column, low:high])
            for modality in range(len(present)):
                if present[modality, row] != 0:
                    _add(both, present[modality, row], present[modality, low:high])
            if low <= row < high:
                both[row - low] = 0
            ids, cosines, kept = best_ids[turn], best_cosines[turn], found[turn]
            # Columns ascend, so one that ties with the worst kept never replaces it.
            least = -np.inf if kept < len(ids) else cosines[0]
            for place in range(len(sums)):
                cosine = sums[place] / both[place] if both[place] > 0 else -np.inf
                if cosine > least:
                    kept = push(ids, cosines, kept, low + place, cosine)
                    if kept == len(ids):
                        least = cosines[0]
            found[turn] = kept
    for turn in range(first, len(rows), step):
        sort_best(best_ids[turn], best_cosines[turn], found[turn])


@kernel()
def _add(sums: np.ndarray, weight: float, values: np.ndarray) -> None:
    """``sums += weight * values``, in vector instructions."""
    for place in range(len(sums)):
        sums[place] += weight * values[place]
