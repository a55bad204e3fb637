"""Sums over edges: the sparse kernels against dense matrices and against PyTorch Geometric's own message passing."""

from __future__ import annotations

import pytest
import torch

from mmbee_plugin.recbole.models.bipartite import Edges, both_ways


@pytest.fixture
def pairs():
    found = torch.rand(7, 9, generator=torch.Generator().manual_seed(0)) < 0.3
    found[3], found[:, 4] = False, False
    receivers, senders = found.nonzero(as_tuple=True)
    order = torch.randperm(len(receivers))
    return receivers[order], senders[order]


def leaf(*shape):
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


def test_values_and_gradients_are_those_of_dense_matrices(pairs):
    edges = Edges(*pairs, 7, 9)
    place = (edges.receivers, edges.senders)
    weights, x, y = leaf(len(pairs[0])), leaf(9, 3), leaf(7, 3)
    dense = torch.zeros(7, 9, dtype=torch.float64).index_put(place, weights) @ x
    for found, expected, inputs in (
        (edges.sum(weights, x), dense, (weights, x)),
        (edges.dots(y, x), (y @ x.T)[place], (y, x)),
    ):
        torch.testing.assert_close(found, expected)
        gradient = torch.randn_like(found)
        ours, theirs = (torch.autograd.grad(out, inputs, gradient) for out in (found, expected))
        torch.testing.assert_close(ours, theirs)
    logits = torch.full((7, 9), -torch.inf, dtype=torch.float64).index_put(place, weights)
    torch.testing.assert_close(edges.softmax(weights), logits.softmax(dim=1)[place])


def test_the_fused_sum_is_the_message_passing_it_stands_for(pairs):
    edges = Edges(*pairs, 7, 9)
    weights, x = leaf(len(pairs[0])), leaf(9, 3)
    listed = torch.stack([edges.senders, edges.receivers])
    passing = edges._weighted_sum
    one_by_one = passing.propagate(listed, size=(9, 7), edges=edges, weights=weights, x=(x, None))
    torch.testing.assert_close(edges.sum(weights, x), one_by_one)


def test_edges_of_some_receivers(pairs):
    edges = Edges(*pairs, 7, 9)
    chosen = torch.tensor([5, 3, 0])
    row, sender = edges.of(chosen)
    expected = {
        (place, s) for place, r in enumerate(chosen.tolist()) for s in pairs[1][pairs[0] == r].tolist()
    }
    assert set(zip(row.tolist(), sender.tolist(), strict=True)) == expected


def test_both_ways_links_users_to_items_and_back():
    edges = both_ways(torch.tensor([1, 2]), torch.tensor([1, 1]), 3, 2)
    found = set(zip(edges.senders.tolist(), edges.receivers.tolist(), strict=True))
    assert found == {(4, 1), (4, 2), (1, 4), (2, 4)}
    assert edges.degree.tolist() == [0, 1, 1, 0, 2]
