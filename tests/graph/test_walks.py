"""Walks against products of dense matrices."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.metapaths import Metapath
from mmbee_plugin.graph.walks import Walk


def test_a_walk_is_a_product_of_row_normalised_graphs():
    rng = np.random.default_rng(0)
    u2a = rng.integers(0, 3, (9, 6)) * 1.0
    u2a[4] = 0  # a user without gifts
    a2a = np.triu(rng.random((6, 6)) + 0.1, 1)
    a2a += a2a.T

    def rows(graph):
        return graph / np.maximum(graph.sum(axis=1, keepdims=True), 1e-30)

    users = np.array([0, 4, 8, 8])
    forth, back, similar = rows(u2a), rows(u2a.T), rows(a2a)
    for nodes, expected in (
        ("uaua", forth @ back @ forth),
        ("uauaua", forth @ back @ forth @ back @ forth),
        ("uaa", forth @ similar),
    ):
        walk = Walk(Metapath(nodes), csr_matrix(u2a), csr_matrix(a2a))
        assert walk(users) == pytest.approx(expected[users], abs=1e-6)
        assert walk(users).sum(axis=1) == pytest.approx([1, 0, 1, 1], abs=1e-6)
    with pytest.raises(InputError, match="there is no A2A graph"):
        Walk(Metapath("uaa"), csr_matrix(u2a))
