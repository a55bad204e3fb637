"""Best columns of heavy rows of a sparse product by skipping the work that cannot matter; exact to the last bit.

A heavy row sums ten thousands of columns, of which one in a hundred could be among the best. With the entries of each
right-hand row in falling order, their heads give a lower bound of the last score that is kept, and with it a value
below which an entry matters only to columns that were met already. What is left, about three times what is kept, is
summed in full, in the order of :mod:`~mmbee_plugin.graph.product`. In spirit this is the threshold algorithm (Fagin,
Lotem & Naor, 2003) for weighted sums.
"""

import numpy as np
from scipy.sparse import csr_matrix

from mmbee_plugin.graph.best import keep_best, push
from mmbee_plugin.graph.blocks import over_blocks
from mmbee_plugin.graph.stored import Arrays, arrays
from mmbee_plugin.kernels import kernel

HEAD = 64
"""entries of each right-hand row that are summed first"""
_SLACK = 0.7  # of the bound: a lower value sums more entries and leaves fewer columns to sum in full
_SHARE = 0.3  # of a row's entries at most in its heads; rows of flat values are summed whole
_LEAST = 40  # entries a row has at least, for each one of its heads that is kept
_TRIED = 64  # rows tried first; if half of them are too flat, the others are not tried
_ROOM = 1 << 22  # columns to sum in full that are collected before they are
_SHIFT = 20  # bits of a float32 dropped from its rank: sign, exponent and three bits of the fraction stay
_EXCLUDED = np.float32(-1e30)


def worth_pruning(work: np.ndarray, degrees: np.ndarray, top_k: int, n_entries: int) -> np.ndarray:
    """(n,) bool: rows of ``degrees`` entries and ``work`` multiply-adds, int64 (n,), to hand to :func:`pruned_rows`.

    None where all of them are too few to rank the ``n_entries`` of the right-hand matrix for.
    """
    heavy = work > _LEAST * top_k * degrees
    return heavy if work[heavy].sum() > 8 * n_entries else np.zeros_like(heavy)


def by_rank(right: csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Columns int32 and values float32 of a matrix, those of each row by falling rank of their values."""
    ids, values = np.empty(len(right.indices), np.int32), np.empty(len(right.indices), np.float32)
    over_blocks(_rank, *arrays(right), ids, values)
    return ids, values


def pruned_rows(
    rows: np.ndarray,
    left: Arrays,
    right: Arrays,
    excluded: tuple[np.ndarray, np.ndarray],
    best: Arrays,
    n_columns: int,
    ranked: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Writes the best entries of ``rows`` (r,) of left x right; returns those rows whose values are too flat to prune.

    Args:
        rows: int64 rows of left.
        left: weights above zero, sorted columns.
        right: values above zero, sorted columns.
        excluded: offsets and columns of entries to leave out.
        best: ids (n, K), scores (n, K) and numbers found (n,), by row of left, to write to.
        n_columns: of right.
        ranked: of :func:`by_rank`.
    """
    graphs = left, right, (right[0], *ranked), excluded
    flat: list[np.ndarray] = []
    tried = np.arange(len(rows)) % -(-len(rows) // _TRIED) == 0
    for part in (rows[tried], rows[~tried]):
        done = np.zeros(len(part), np.bool_)
        if not flat or len(flat[0]) < len(rows[tried]) / 2:
            over_blocks(_prune, part, *graphs, n_columns, best, done)
        flat.append(part[~done])
    return np.concatenate(flat)


@kernel()
def _rank(
    first: int,
    step: int,
    indptr: np.ndarray,
    columns: np.ndarray,
    data: np.ndarray,
    ids: np.ndarray,
    values: np.ndarray,
) -> None:
    """Sorts the entries of each row by falling rank of their values (counting sort)."""
    place = np.zeros((1 << (32 - _SHIFT)) + 1, np.int64)
    for row in range(first, len(indptr) - 1, step):
        start, end = indptr[row], indptr[row + 1]
        if start == end:
            continue
        low, high = place.size, 0
        for entry in range(start, end):
            rank = _rank_of(np.float32(data[entry]))
            place[rank] += 1
            low, high = min(low, rank), max(high, rank)
        before = start
        for rank in range(high, low - 1, -1):
            place[rank], before = before, before + place[rank]
        for entry in range(start, end):
            value = np.float32(data[entry])
            rank = _rank_of(value)
            ids[place[rank]], values[place[rank]] = columns[entry], value
            place[rank] += 1
        place[low : high + 1] = 0


@kernel(inline="always")
def _rank_of(value: np.float32) -> int:
    return int(np.float32(value).view(np.int32)) >> _SHIFT


@kernel()
def _prune(
    first: int,
    step: int,
    rows: np.ndarray,
    left: Arrays,
    right: Arrays,
    ranked: Arrays,
    excluded: tuple[np.ndarray, np.ndarray],
    n_columns: int,
    best: Arrays,
    done: np.ndarray,
) -> None:
    mine = rows[first::step]
    sums = np.zeros((n_columns, 2), np.float32)
    met = np.empty(n_columns + 1, np.int32)
    top = np.empty(best[0].shape[1], np.int32), np.empty(best[0].shape[1], np.float32)
    kept, offsets = np.empty(_ROOM + n_columns + 1, np.int32), np.zeros(len(mine) + 1, np.int64)
    turn = 0
    while turn < len(mine):
        begin, offsets[turn] = turn, 0
        while turn < len(mine) and offsets[turn] < _ROOM:
            count = _candidates(mine[turn], left, ranked, excluded, sums, met, top, kept[offsets[turn] :])
            done[first + turn * step] = count > 0
            offsets[turn + 1] = offsets[turn] + count
            turn += 1
        exact = _summed(mine[begin:turn], offsets[begin : turn + 1], kept, left, right, n_columns)
        for one in range(begin, turn):
            row, part = mine[one], slice(offsets[one], offsets[one + 1])
            if part.stop > part.start:
                scores = exact[part].astype(np.float32)
                best[2][row] = keep_best(kept[part], scores, len(scores), best[0][row], best[1][row])


@kernel()
def _candidates(
    row: int,
    left: Arrays,
    ranked: Arrays,
    excluded: tuple[np.ndarray, np.ndarray],
    sums: np.ndarray,
    met: np.ndarray,
    top: tuple[np.ndarray, np.ndarray],
    kept: np.ndarray,
) -> int:
    """Writes the columns that may be among a row's best; returns how many, 0 if pruning would not pay.

    ``sums`` (n_columns, 2) holds partial sums and beside them the weights of the lists that they are of; zero before
    and after.
    """
    start, end = left[0][row], left[0][row + 1]
    for entry in range(excluded[0][row], excluded[0][row + 1]):
        sums[excluded[1][entry], 0] = _EXCLUDED
    count, total, work = 0, 0.0, 0
    for entry in range(start, end):
        node, weight = left[1][entry], np.float32(left[2][entry])
        low, high = ranked[0][node], ranked[0][node + 1]
        count = _add(ranked, low, min(low + HEAD, high), weight, sums, met, count)
        total += left[2][entry]
        work += high - low
    least = _least(sums, met, count, top, 0)
    found = 0
    if least > 1e-30:
        bound = np.float32(_SLACK * least / total)
        rank = _rank_of(bound)
        longer = 0
        for entry in range(start, end):
            node = left[1][entry]
            longer += _end(ranked, node, rank) - ranked[0][node]
        if longer < _SHARE * work:
            for entry in range(start, end):
                node, weight = left[1][entry], np.float32(left[2][entry])
                low = min(ranked[0][node] + HEAD, ranked[0][node + 1])
                count = _add(ranked, low, _end(ranked, node, rank), weight, sums, met, count)
            # float32 rounds each product and each sum by at most 2^-24 of it.
            least = _least(sums, met, count, top, least) * (1 - 1e-6 - 2e-7 * (end - start))
            for index in range(count):
                column = met[index]
                kept[found] = column
                found += sums[column, 0] + bound * (total - sums[column, 1]) >= least
    for index in range(count):
        sums[met[index], 0] = 0
        sums[met[index], 1] = 0
    for entry in range(excluded[0][row], excluded[0][row + 1]):
        sums[excluded[1][entry], 0] = 0
        sums[excluded[1][entry], 1] = 0
    return found


@kernel(inline="always")
def _add(
    ranked: Arrays,
    low: int,
    high: int,
    weight: np.float32,
    sums: np.ndarray,
    met: np.ndarray,
    count: int,
) -> int:
    """Adds entries of a list to the partial sums; returns the number of columns met."""
    for place in range(low, high):
        column = ranked[1][place]
        met[count] = column
        count += sums[column, 0] == 0  # without a branch that nothing predicts
        sums[column, 0] += weight * ranked[2][place]
        sums[column, 1] += weight
    return count


@kernel()
def _least(
    sums: np.ndarray, met: np.ndarray, count: int, top: tuple[np.ndarray, np.ndarray], known: float
) -> float:
    """The last of the K largest partial sums; 0 if there are fewer. ``known``: it is at least this."""
    held, least = 0, np.float32(known)
    for index in range(count):
        value = sums[met[index], 0]
        if value > least or (held < len(top[0]) and value == least and value > 0):
            held = push(top[0], top[1], held, met[index], value)
            if held == len(top[0]):
                least = top[1][0]
    return float(least) if held == len(top[0]) else 0.0


@kernel(inline="always")
def _end(ranked: Arrays, node: int, rank: int) -> int:
    """End of a list's entries of this rank or above."""
    low, high = ranked[0][node], ranked[0][node + 1]
    while low < high:
        middle = (low + high) // 2
        if _rank_of(ranked[2][middle]) >= rank:
            low = middle + 1
        else:
            high = middle
    return low


@kernel()
def _summed(
    rows: np.ndarray, offsets: np.ndarray, kept: np.ndarray, left: Arrays, right: Arrays, n_columns: int
) -> np.ndarray:
    """Full sums of the kept columns of each row; a right-hand row is spread out once for all that hold it.

    The terms of a sum are added in the order of left's columns.
    """
    holders = np.zeros(len(right[0]), np.int64)
    for turn in range(len(rows)):
        for entry in range(left[0][rows[turn]], left[0][rows[turn] + 1]):
            holders[left[1][entry] + 1] += offsets[turn + 1] > offsets[turn]
    holders = np.cumsum(holders)
    turns, weights = np.empty(holders[-1], np.int64), np.empty(holders[-1])
    place = holders[:-1].copy()
    for turn in range(len(rows)):
        if offsets[turn + 1] > offsets[turn]:
            for entry in range(left[0][rows[turn]], left[0][rows[turn] + 1]):
                node = left[1][entry]
                turns[place[node]], weights[place[node]] = turn, left[2][entry]
                place[node] += 1
    exact, spread = np.zeros(offsets[-1]), np.zeros(n_columns)
    for node in range(len(right[0]) - 1):
        if holders[node] == holders[node + 1]:
            continue
        for entry in range(right[0][node], right[0][node + 1]):
            spread[right[1][entry]] = right[2][entry]
        for holder in range(holders[node], holders[node + 1]):
            turn, weight = turns[holder], weights[holder]
            for index in range(offsets[turn], offsets[turn + 1]):
                exact[index] += weight * spread[kept[index]]
        for entry in range(right[0][node], right[0][node + 1]):
            spread[right[1][entry]] = 0
    return exact
