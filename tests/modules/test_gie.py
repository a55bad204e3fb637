"""GIE: pooling, empty lists, attributes."""

import pytest
import torch

from mmbee_plugin.modules import GIE


def test_concat_keeps_one_vector_a_metapath():
    gie = GIE(("a2a", "a2u2a"), width=4)
    neighbours = torch.randn(3, 2, 4)
    out = gie(neighbours, torch.tensor([[1.0, 2.0], [0.0, 3.0], [0.0, 0.0]]))
    assert out.shape == (3, gie.out_width) == (3, 8)
    assert torch.equal(out[0], neighbours[0].flatten())
    assert torch.equal(out[1, :4], gie.empty[0])
    assert torch.equal(out[2], gie.empty.flatten())


def test_a_set_is_one_vector_whatever_the_metapaths():
    gie = GIE(("a2a", "a2u2a"), width=4, pooling="set")
    neighbours = torch.randn(2, 1, 4)
    out = gie(neighbours, torch.tensor([[5.0], [0.0]]))
    assert out.shape == (2, gie.out_width) == (2, 4)
    assert torch.equal(out[0], neighbours[0, 0]) and torch.equal(out[1], gie.empty[0])


def test_attributes_equal_the_mean_over_neighbours_one_by_one():
    """mean(theta + W x) over neighbours, of which one has no attribute, from the pooled rows alone."""
    gie = GIE(("a2a",), width=4, attribute_width=3)
    theta, x, has = torch.randn(5, 4), torch.randn(5, 3), torch.tensor([1.0, 1.0, 0.0, 1.0, 1.0])
    weights = torch.rand(5)
    weights = weights / weights.sum()
    one_by_one = sum(weights[i] * (theta[i] + has[i] * gie.attribute(x[i])) for i in range(5))
    mean_attribute = ((weights * has)[:, None] * x).sum(dim=0)
    pooled = (weights[:, None] * theta).sum(dim=0)
    out = gie(pooled[None, None], torch.full((1, 1), 5.0), mean_attribute[None, None])
    assert torch.allclose(out[0], one_by_one, atol=1e-6)


def test_unknown_pooling_is_refused():
    with pytest.raises(ValueError, match="concat, set"):
        GIE(("a2a",), width=4, pooling="max")


def test_it_learns_where_the_graph_decides():
    """Planted: a user likes its neighbours' kind of author, and nothing else is known of the user.

    The users tested have no row of their own that was trained; their neighbours' rows were.
    """
    torch.manual_seed(0)
    kinds, width, n_authors = 4, 8, 40
    neighbour_table = torch.nn.Embedding(80, width)  # neighbour i is of kind i % 4
    author_table = torch.nn.Embedding(n_authors, width)  # author j likewise
    gie = GIE(("u2a2u",), width)
    optimiser = torch.optim.Adam(
        [*neighbour_table.parameters(), *author_table.parameters(), *gie.parameters()], lr=0.05
    )

    def batch(rows):
        kind = torch.randint(0, kinds, (rows, 1))
        neighbours = torch.randint(0, 20, (rows, 5)) * kinds + kind
        pooled = neighbour_table(neighbours).mean(dim=1, keepdim=True)
        scores = gie(pooled, torch.full((rows, 1), 5.0)) @ author_table.weight.T
        return scores, (torch.arange(n_authors) % kinds == kind).float()

    for _ in range(80):
        scores, labels = batch(64)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    scores, labels = batch(500)
    hits = labels.gather(1, scores.topk(10, dim=1).indices).mean()
    assert hits > 0.9  # chance is 0.25
