"""Users with equal histories: one row of lists serves them all."""

import numpy as np
from scipy.sparse import csr_matrix

from mmbee_plugin.kernels import kernel


def shared_rows(first_step: csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Numbers the distinct rows of a graph, in order of first appearance.

    Every walk from a node starts with its row of ``first_step``, so nodes whose rows are equal to the last bit have
    equal scores to the last bit. In live gifting most givers have one author: normalised by row, all of an author's are
    equal.

    Args:
        first_step: (n, m) float64 normalised graph of the paths' first step, sorted columns.

    Returns:
        (n,) int64, the number of each node's row, and (n_rows,) int64, the first node of each.

    Example:
        >>> shared_rows(csr_matrix([[0.5, 0.5], [0, 1], [0.5, 0.5], [0, 0]]))
        (array([0, 1, 0, 2]), array([0, 1, 3]))
    """
    rows = np.empty(first_step.shape[0], np.int64)
    first = np.empty(first_step.shape[0], np.int64)
    bits = first_step.data.astype(np.float64).view(np.int64)
    size = 1 << (2 * max(1, len(rows))).bit_length()
    count = _number(
        first_step.indptr.astype(np.int64), first_step.indices, bits, np.full(size, -1), rows, first
    )
    return rows, first[:count].copy()


@kernel()
def _number(
    indptr: np.ndarray,
    indices: np.ndarray,
    bits: np.ndarray,
    table: np.ndarray,
    rows: np.ndarray,
    first: np.ndarray,
) -> int:
    """Fills ``rows`` and ``first`` by open addressing in ``table``, a power of two of -1; returns how many rows."""
    count = 0
    for node in range(len(rows)):
        start, length = indptr[node], indptr[node + 1] - indptr[node]
        mixed = np.uint64(length)
        for entry in range(start, start + length):
            for word in (np.uint64(indices[entry]), np.uint64(bits[entry])):
                mixed = (mixed ^ word) * np.uint64(0x9E3779B97F4A7C15)
                mixed ^= mixed >> np.uint64(29)
        slot = np.int64(mixed & np.uint64(len(table) - 1))
        while table[slot] >= 0:
            other = indptr[first[table[slot]]]
            same = indptr[first[table[slot]] + 1] - other == length
            for offset in range(length):
                if not same:
                    break
                same = (
                    indices[other + offset] == indices[start + offset]
                    and bits[other + offset] == bits[start + offset]
                )
            if same:
                break
            slot = (slot + 1) & (len(table) - 1)
        if table[slot] < 0:
            table[slot] = count
            first[count] = node
            count += 1
        rows[node] = table[slot]
    return count
