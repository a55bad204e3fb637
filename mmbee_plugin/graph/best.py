"""The K best scored nodes, higher scores first, equal scores by lower id."""

import numpy as np

from mmbee_plugin.kernels import kernel


@kernel()
def keep_best(
    ids: np.ndarray, scores: np.ndarray, count: int, best_ids: np.ndarray, best_scores: np.ndarray
) -> int:
    """Writes the K best of the first ``count`` candidates, best first; returns how many were kept.

    Shapes:
        - ids, scores: (at least count,) int32 and float32, in any order, with distinct ids
        - best_ids, best_scores: (K,) int32 and float32, overwritten
    """
    kept = 0
    for candidate in range(count):
        kept = push(best_ids, best_scores, kept, ids[candidate], scores[candidate])
    sort_best(best_ids, best_scores, kept)
    return kept


@kernel()
def push(best_ids: np.ndarray, best_scores: np.ndarray, kept: int, node: int, score: float) -> int:
    """Offers a node to a bounded heap with the worst node as root; returns its new size.

    Scores are compared as float32, the type they are stored in.
    """
    rounded = np.float32(score)
    if kept < len(best_ids):
        child = kept
        while child > 0:
            parent = (child - 1) // 2
            if not _worse(rounded, node, best_scores[parent], best_ids[parent]):
                break
            best_scores[child], best_ids[child] = best_scores[parent], best_ids[parent]
            child = parent
        best_scores[child], best_ids[child] = rounded, node
        return kept + 1
    if _worse(best_scores[0], best_ids[0], rounded, node):
        _sift_down(best_ids, best_scores, kept, node, rounded)
    return kept


@kernel()
def sort_best(best_ids: np.ndarray, best_scores: np.ndarray, kept: int) -> None:
    """Sorts the heap's first ``kept`` entries in place, best first."""
    for last in range(kept - 1, 0, -1):
        node, score = best_ids[last], best_scores[last]
        best_ids[last], best_scores[last] = best_ids[0], best_scores[0]
        _sift_down(best_ids, best_scores, last, node, score)


@kernel(inline="always")
def _worse(score: np.floating, node: int, other_score: np.floating, other_node: int) -> bool:
    return score < other_score or (score == other_score and node > other_node)


@kernel()
def _sift_down(
    best_ids: np.ndarray, best_scores: np.ndarray, size: int, node: int, score: np.floating
) -> None:
    """Replaces the root of the heap of the first ``size`` entries by the given node."""
    parent = 0
    while True:
        child = 2 * parent + 1
        if child >= size:
            break
        if child + 1 < size and _worse(
            best_scores[child + 1], best_ids[child + 1], best_scores[child], best_ids[child]
        ):
            child += 1
        if not _worse(best_scores[child], best_ids[child], score, node):
            break
        best_scores[parent], best_ids[parent] = best_scores[child], best_ids[child]
        parent = child
    best_scores[parent], best_ids[parent] = score, node
