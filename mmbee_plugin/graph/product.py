"""Best columns of every row of a sparse product, without storing it: Gustavson's method, in two variants."""

import numpy as np
from scipy.sparse import csr_matrix

from mmbee_plugin.graph.best import keep_best, push, sort_best
from mmbee_plugin.graph.blocks import over_blocks
from mmbee_plugin.graph.pruned import by_rank, pruned_rows, worth_pruning
from mmbee_plugin.graph.stored import Arrays, arrays, row_work, rows_at
from mmbee_plugin.kernels import kernel

# Columns summed at a time for heavy rows: 128 KB of sums fit a second-level cache. Smaller tiles would cut the rows of
# `right` into pieces of a few entries.
_TILE = 16_384


def best_of_product(
    left: csr_matrix,
    right: csr_matrix,
    excluded: csr_matrix,
    top_k: int,
    ranked: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The ``top_k`` best entries of each row of left x right, summed in float64 and compared as float32.

    Light rows gather the columns they reach. Heavy rows, with more multiply-adds than a quarter of the columns, sum all
    columns tile by tile, which keeps the sums in the cache. Rows are pruned only where left's columns ascend, since the
    sums of what is left add their terms in this order. Library top-K products leave the order of equal scores undefined
    (see ``best.py``).

    Args:
        left: (n, m) float64, weights above zero.
        right: (m, e) float64, weights above zero, sorted columns.
        excluded: (n, e) entries to leave out, of any value.
        top_k: entries kept per row, at least 1.
        ranked: right's entries by falling value (:func:`~mmbee_plugin.graph.pruned.by_rank`), if they are there.

    Returns:
        ids (n, K) int32 and scores (n, K) float32, best first, with K = min(top_k, e); and the number of filled
        entries of each row, (n,) int64.
    """
    n, n_columns = left.shape[0], right.shape[1]
    ids = np.empty((n, min(top_k, n_columns)), np.int32)
    scores = np.empty(ids.shape, np.float32)
    found = np.zeros(n, np.int64)
    work = row_work(left, right)
    graphs = (arrays(left), arrays(right), arrays(excluded)[:2])
    pruned = worth_pruning(work, np.diff(left.indptr), ids.shape[1], right.nnz if ranked is None else 0)
    pruned &= left.has_sorted_indices
    rows = np.flatnonzero(~pruned)
    if pruned.any():
        ranked = by_rank(right) if ranked is None else ranked
        flat = pruned_rows(np.flatnonzero(pruned), *graphs, (ids, scores, found), n_columns, ranked)
        rows = np.sort(np.concatenate([rows, flat]))
    heavy = is_heavy(work[rows], n_columns)
    over_blocks(_light_rows, rows[~heavy], *graphs, n_columns, ids, scores, found)
    if heavy.any():
        held = np.zeros(len(graphs[1][0]) - 1, np.bool_)
        held[rows_at(left, rows[heavy]).indices] = True
        nodes = np.flatnonzero(held)
        over_blocks(_heavy_rows, rows[heavy], nodes, *graphs, n_columns, _TILE, ids, scores, found)
    return ids, scores, found


def is_heavy(work: np.ndarray, n_columns: int) -> np.ndarray:
    """Whether rows of this work (n,), in multiply-adds, sum all columns tile by tile."""
    return work > n_columns // 4


@kernel()
def _light_rows(
    first: int,
    step: int,
    rows: np.ndarray,
    left: Arrays,
    right: Arrays,
    excluded: tuple[np.ndarray, np.ndarray],
    n_columns: int,
    best_ids: np.ndarray,
    best_scores: np.ndarray,
    found: np.ndarray,
) -> None:
    sums = np.zeros(n_columns)
    ids = np.empty(n_columns, np.int32)
    scores = np.empty(n_columns, np.float32)
    for turn in range(first, len(rows), step):
        row = rows[turn]
        met = 0
        for entry in range(left[0][row], left[0][row + 1]):
            node, weight = left[1][entry], left[2][entry]
            for other in range(right[0][node], right[0][node + 1]):
                column = right[1][other]
                if sums[column] == 0:
                    ids[met] = column
                    met += 1
                sums[column] += weight * right[2][other]
        for entry in range(excluded[0][row], excluded[0][row + 1]):
            sums[excluded[1][entry]] = 0
        kept = 0
        for index in range(met):
            column = ids[index]
            if sums[column] > 0:
                ids[kept], scores[kept] = column, sums[column]
                kept += 1
                sums[column] = 0
        found[row] = keep_best(ids, scores, kept, best_ids[row], best_scores[row])


@kernel()
def _heavy_rows(
    first: int,
    step: int,
    rows: np.ndarray,
    nodes: np.ndarray,
    left: Arrays,
    right: Arrays,
    excluded: tuple[np.ndarray, np.ndarray],
    n_columns: int,
    tile: int,
    best_ids: np.ndarray,
    best_scores: np.ndarray,
    found: np.ndarray,
) -> None:
    """``nodes``: those that ``rows`` of left hold."""
    sums = np.zeros(tile)
    begin, end = right[0][:-1].copy(), np.empty(len(right[0]) - 1, np.int64)
    for low in range(0, n_columns, tile):
        high = min(low + tile, n_columns)
        for node in nodes:
            last = begin[node]
            while last < right[0][node + 1] and right[1][last] < high:
                last += 1
            end[node] = last
        for turn in range(first, len(rows), step):
            row = rows[turn]
            sums[:] = 0
            for entry in range(left[0][row], left[0][row + 1]):
                node, weight = left[1][entry], left[2][entry]
                for other in range(begin[node], end[node]):
                    sums[right[1][other] - low] += weight * right[2][other]
            for entry in range(excluded[0][row], excluded[0][row + 1]):
                column = excluded[1][entry] - low
                if 0 <= column < tile:
                    sums[column] = 0
            ids, scores, kept = best_ids[row], best_scores[row], found[row]
            # Columns ascend, so one that ties with the worst kept never replaces it.
            least = 0.0 if kept < len(ids) else scores[0] * (1 - 1e-6)
            for column in range(high - low):
                if sums[column] > least:
                    kept = push(ids, scores, kept, low + column, sums[column])
                    if kept == len(ids):
                        least = scores[0] * (1 - 1e-6)
            found[row] = kept
        for node in nodes:
            begin[node] = end[node]
    for turn in range(first, len(rows), step):
        row = rows[turn]
        sort_best(best_ids[row], best_scores[row], found[row])
