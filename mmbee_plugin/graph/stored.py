"""Sparse matrices made in one pass, such as products, and the best entries of their rows."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_matrix

from mmbee_plugin.data.ragged import ragged
from mmbee_plugin.graph.best import keep_best
from mmbee_plugin.graph.blocks import over_blocks
from mmbee_plugin.kernels import kernel

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]
"""offsets int64, columns int32 and values of a CSR matrix"""

_BLOCK = 4_000_000  # entries at most that are held apart before they move to the end of a matrix


def arrays(graph: csr_matrix) -> Arrays:
    """A matrix as the kernels read it."""
    return graph.indptr.astype(np.int64), graph.indices.astype(np.int32, copy=False), graph.data


def csr(indptr: np.ndarray, indices: np.ndarray, data: np.ndarray, n_columns: int) -> csr_matrix:
    """A CSR matrix over these arrays as they are, which may be mapped, with sorted columns.

    SciPy's constructor would copy int32 columns to int64 where the offsets need it.
    """
    graph = csr_matrix((len(indptr) - 1, n_columns), dtype=data.dtype)
    graph.indptr, graph.indices, graph.data = indptr, indices, data
    graph.has_sorted_indices = True
    return graph


def narrow(graph: csr_matrix) -> csr_matrix:
    """A matrix with offsets of the columns' type where they fit: a product by SciPy copies columns that differ."""
    return csr_matrix((graph.data, graph.indices, graph.indptr), shape=graph.shape)


def rows_between(graph: csr_matrix, start: int, stop: int) -> csr_matrix:
    """The rows from ``start`` up to ``stop``, as views."""
    indptr = graph.indptr[start : stop + 1]
    entries = slice(indptr[0], indptr[-1])
    return csr(indptr - indptr[0], graph.indices[entries], graph.data[entries], graph.shape[1])


def rows_at(graph: csr_matrix, rows: np.ndarray) -> csr_matrix:
    """A copy of some rows, in this order."""
    starts, stops = graph.indptr[rows], graph.indptr[rows + 1]
    entries = ragged(starts, stops)[1]
    indptr = np.concatenate([[0], np.cumsum(stops - starts, dtype=np.int64)])
    return csr(indptr, graph.indices[entries], graph.data[entries], graph.shape[1])


def row_work(left: csr_matrix, right: csr_matrix) -> np.ndarray:
    """(rows of left,) int64, multiply-adds of each row of the product; they bound its entries."""
    return sums_along(left, np.diff(right.indptr).astype(np.int64))


def sums_along(graph: csr_matrix, values: np.ndarray) -> np.ndarray:
    """(rows,) sums of the int64 ``values`` (columns,) over each row's columns."""
    sums = np.zeros(graph.shape[0], np.int64)
    over_blocks(_sums_along, *arrays(graph)[:2], values, sums)
    return sums


def stored_product(left: csr_matrix, right: csr_matrix) -> csr_matrix:
    """left x right, float64 with sorted columns; each sum adds its terms in the order of left's columns.

    SciPy's product leaves columns unsorted; to sort them afterwards takes longer than the product.
    """
    graphs = arrays(left), arrays(right), right.shape[1]
    return rows_in_blocks(_rows, graphs, row_work(left, right), right.shape[1], np.float64)


def rows_in_blocks(
    kernel: Callable[..., None],
    arguments: tuple[object, ...],
    most: np.ndarray,
    n_columns: int,
    kind: type[np.floating],
) -> csr_matrix:
    """A matrix whose rows a kernel makes in one pass, before their lengths are known.

    Memory is that of the matrix: what is reserved beyond, by the bound, is never touched.

    Args:
        kernel: called as ``kernel(first, step, rows, before, columns, values, lengths, *arguments)`` for the rows
            ``rows[0] + first``, then every step-th before ``rows[1]``. It writes row r from place
            ``before[r] - before[rows[0]]`` on, with sorted columns, and its length to ``lengths[r + 1]``.
        arguments: the kernel's others.
        most: (n,) int64 bounds of the rows' lengths.
        n_columns: of the matrix.
        kind: of its values.
    """
    before = np.concatenate([[0], np.cumsum(most)])
    edges = [0, *(np.flatnonzero(np.diff(before[:-1] // _BLOCK)) + 1), len(most)]
    room = max((before[end] - before[start] for start, end in pairwise(edges)), default=0)
    scratch = np.empty(room, np.int32), np.empty(room, kind)
    columns, values = np.empty(before[-1], np.int32), np.empty(before[-1], kind)
    indptr = np.zeros(len(most) + 1, np.int64)
    for start, end in pairwise(edges):
        rows = np.array([start, end])
        over_blocks(kernel, rows, before, *scratch, indptr, *arguments)
        _move(rows, before, *scratch, indptr, columns, values)
    made = csr_matrix((values[: indptr[-1]], columns[: indptr[-1]], indptr), shape=(len(most), n_columns))
    made.has_sorted_indices = True
    return made


def best_of_rows(
    matrix: csr_matrix, excluded: csr_matrix, top_k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ``top_k`` best entries of each row of a float64 matrix; returns what
    :func:`~mmbee_plugin.graph.product.best_of_product` does."""
    n, n_columns = matrix.shape
    ids = np.empty((n, min(top_k, n_columns)), np.int32)
    scores, found = np.empty(ids.shape, np.float32), np.zeros(n, np.int64)
    over_blocks(_best, arrays(matrix), arrays(excluded)[:2], n_columns, ids, scores, found)
    return ids, scores, found


@kernel()
def _sums_along(
    first: int, step: int, indptr: np.ndarray, columns: np.ndarray, values: np.ndarray, sums: np.ndarray
) -> None:
    for row in range(first, len(sums), step):
        for entry in range(indptr[row], indptr[row + 1]):
            sums[row] += values[columns[entry]]


@kernel()
def buckets(n_ids: int) -> np.ndarray:
    """Room for :func:`sort_ids` to count ids below ``n_ids`` in two halves of their bits."""
    bits = 1
    while n_ids >> (2 * bits) > 0:
        bits += 1
    return np.zeros(1 << bits, np.int64)


@kernel()
def sort_ids(ids: np.ndarray, count: int, spare: np.ndarray, places: np.ndarray) -> None:
    """Sorts the first ``count`` ids in place, by two counting sorts where there are enough of them.

    Args:
        ids, spare: (at least count,) int32; spare is overwritten.
        places: of :func:`buckets`.
    """
    if 4 * count < len(places):
        ids[:count].sort()
        return
    bits = 0
    while 1 << bits < len(places):
        bits += 1
    source, target = ids, spare
    for shift in (0, bits):
        places[:] = 0
        for index in range(count):
            places[(source[index] >> shift) & (len(places) - 1)] += 1
        before = 0
        for bucket in range(len(places)):
            places[bucket], before = before, before + places[bucket]
        for index in range(count):
            bucket = (source[index] >> shift) & (len(places) - 1)
            target[places[bucket]] = source[index]
            places[bucket] += 1
        source, target = target, source


@kernel()
def _rows(
    first: int,
    step: int,
    rows: np.ndarray,
    before: np.ndarray,
    columns: np.ndarray,
    values: np.ndarray,
    lengths: np.ndarray,
    left: Arrays,
    right: Arrays,
    n_columns: int,
) -> None:
    sums, met = np.zeros(n_columns), np.empty(n_columns + 1, np.int32)
    spare, places = np.empty_like(met), buckets(n_columns)
    for row in range(rows[0] + first, rows[1], step):
        count = 0
        for entry in range(left[0][row], left[0][row + 1]):
            node, weight = left[1][entry], left[2][entry]
            for other in range(right[0][node], right[0][node + 1]):
                column = right[1][other]
                met[count] = column
                count += sums[column] == 0  # without a branch that nothing predicts
                sums[column] += weight * right[2][other]
        sort_ids(met, count, spare, places)
        start = before[row] - before[rows[0]]
        for place in range(count):
            columns[start + place] = met[place]
            values[start + place] = sums[met[place]]
            sums[met[place]] = 0
        lengths[row + 1] = count


@kernel()
def _move(
    rows: np.ndarray,
    before: np.ndarray,
    columns: np.ndarray,
    values: np.ndarray,
    indptr: np.ndarray,
    all_columns: np.ndarray,
    all_values: np.ndarray,
) -> None:
    for row in range(rows[0], rows[1]):
        start = before[row] - before[rows[0]]
        for place in range(indptr[row + 1]):
            all_columns[indptr[row] + place] = columns[start + place]
            all_values[indptr[row] + place] = values[start + place]
        indptr[row + 1] += indptr[row]


@kernel()
def _best(
    first: int,
    step: int,
    matrix: Arrays,
    excluded: tuple[np.ndarray, np.ndarray],
    n_columns: int,
    best_ids: np.ndarray,
    best_scores: np.ndarray,
    found: np.ndarray,
) -> None:
    ids, scores = np.empty(n_columns + 1, np.int32), np.empty(n_columns + 1, np.float32)
    barred = np.full(n_columns, -1)
    for row in range(first, len(found), step):
        for entry in range(excluded[0][row], excluded[0][row + 1]):
            barred[excluded[1][entry]] = row
        count = 0
        for entry in range(matrix[0][row], matrix[0][row + 1]):
            column = matrix[1][entry]
            ids[count], scores[count] = column, matrix[2][entry]
            count += barred[column] != row
        found[row] = keep_best(ids, scores, count, best_ids[row], best_scores[row])
