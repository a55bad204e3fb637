"""Checks for generic neighbour lists: alike for all nodes, or full of the most popular ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from mmbee_plugin.experiments.scoring import Trained
from mmbee_plugin.studies.findings import Finding, below

OVERLAP = 0.5
"""lists are generic from this mean overlap of two nodes' lists on"""
POPULAR = 0.5
"""lists are generic if the most listed nodes take this share of all entries"""
TOP = 0.01
"""share of the end nodes that count as the most listed"""
PAIRS = 20_000


@dataclass(frozen=True)
class Generic:
    """Similarity of the lists of one metapath.

    Attributes:
        lists: number of nodes with a list. length: mean length of a list.
        overlap: mean over pairs of nodes of the common entries, as a share of the shorter list.
        popular: share of all entries that are one of the 1 % most listed nodes.
        distinct: effective number of nodes listed: exp of the entropy of the listing frequencies.
        ends: number of nodes that can be listed.
    """

    lists: int
    length: float
    overlap: float
    popular: float
    distinct: float
    ends: int


def read_lists(trained: Trained) -> dict[str, csr_matrix]:
    """The model's lists: metapath (joined by + if pooled as a set) -> (starts, ends) 0/1 matrix without padding; empty
    for a model without a graph."""
    interest = trained.network.interest
    if interest is None:
        return {}
    train = trained.train
    sizes = {"u": train.user_num, "a": train.item_num}
    found = {}
    for name, lists in interest.lists.items():
        ids, weights = (lists.get_buffer(f"{part}_None").cpu().numpy() for part in ("ids", "weights"))
        row, column = np.nonzero(weights > 0)
        there = np.ones(len(row), dtype=np.float32)
        found[name] = csr_matrix((there, (row, ids[row, column])), (sizes[name[0]], sizes[name[-1]]))
    return found


def generic(lists: csr_matrix, seed: int = 0, pairs: int = PAIRS) -> Generic:
    """Statistics of 0/1 lists (starts, ends) over random pairs of nodes; zeros if fewer than two nodes have a list."""
    lengths = np.diff(lists.indptr)
    nodes = np.flatnonzero(lengths)
    ends = lists.shape[1] - 1  # without padding
    if len(nodes) < 2:
        return Generic(len(nodes), 0.0, 0.0, 0.0, 0.0, ends)
    rng = np.random.default_rng(seed)
    first = rng.integers(len(nodes), size=pairs)
    second = (first + rng.integers(1, len(nodes), size=pairs)) % len(nodes)  # never equal to the first
    one, other = nodes[first], nodes[second]
    both = np.asarray(lists[one].multiply(lists[other]).sum(axis=1)).ravel()
    listed: NDArray = np.sort(np.asarray(lists.sum(axis=0)).ravel())[::-1]
    shares = listed[listed > 0] / listed.sum()
    return Generic(
        len(nodes),
        float(lengths[nodes].mean()),
        float((both / np.minimum(lengths[one], lengths[other])).mean()),
        float(shares[: max(1, round(TOP * ends))].sum()),
        float(np.exp(-(shares * np.log(shares)).sum())),
        ends,
    )


def neighbour_findings(paths: dict[str, Generic]) -> Iterator[Finding]:
    """Findings on each metapath's lists."""
    for name, found in paths.items():
        if found.lists < 2:
            yield Finding(name, "nodes with a list", str(found.lists), "above 1", False)
            continue
        yield below(
            name, f"overlap of two nodes' lists, mean length {found.length:.1f}", found.overlap, OVERLAP
        )
        yield below(name, f"part of entries at the {TOP:.0%} most listed", found.popular, POPULAR)
