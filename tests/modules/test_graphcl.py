import math

import pytest
import torch

from mmbee_plugin.modules.graphcl import GraphCLLoss


def brute_force(nodes, positives, negatives, mask, nce_weight, temperature, normalise):
    def score(one, other):
        if normalise:
            one, other = one / one.norm(), other / other.norm()
        return float(one @ other) / temperature

    total = 0.0
    for t, node in enumerate(nodes):
        own = negatives if negatives.dim() == 2 else negatives[t]
        near = [score(node, row) for row in positives[t]]
        far = [score(node, row) for row, counts in zip(own, mask[t], strict=True) if counts]
        logistic = sum(math.log1p(math.exp(-s)) for s in near) / len(near)
        if far:
            logistic += sum(math.log1p(math.exp(s)) for s in far) / len(far)
        others = sum(math.exp(s) for s in far)
        contrastive = sum(-math.log(math.exp(s) / (math.exp(s) + others)) for s in near) / len(near)
        total += logistic + nce_weight * contrastive
    return total / len(nodes)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(
    ("nce_weight", "temperature", "normalise"), [(1.0, 1.0, False), (0.0, 1.0, False), (0.3, 0.2, True)]
)
def test_equals_equation_9(shared, nce_weight, temperature, normalise):
    generator = torch.Generator().manual_seed(0)
    nodes, positives = (
        torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((6, 4), (6, 3, 4))
    )
    negatives = torch.randn(*((5, 4) if shared else (6, 5, 4)), generator=generator, dtype=torch.float64)
    mask = torch.rand(6, 5, generator=generator) < 0.7
    mask[2] = False  # a node that no negative is left for
    loss = GraphCLLoss(nce_weight, temperature, normalise)(nodes, positives, negatives, mask)
    expected = brute_force(nodes, positives, negatives, mask, nce_weight, temperature, normalise)
    assert loss.item() == pytest.approx(expected, rel=1e-9)


def test_gradients_are_finite_and_masked_negatives_get_none():
    nodes, positives, negatives = (
        torch.randn(*shape, requires_grad=True) for shape in ((3, 4), (3, 2, 4), (5, 4))
    )
    mask = torch.ones(3, 5, dtype=torch.bool)
    mask[:, 1] = False
    mask[0] = False
    GraphCLLoss()(nodes, positives, negatives, mask).backward()
    for rows in (nodes, positives, negatives):
        assert rows.grad.isfinite().all()
    assert (negatives.grad[1] == 0).all()
    assert (negatives.grad[[0, 2, 3, 4]].abs().sum(1) > 0).all()


def test_large_scores_do_not_overflow():
    nodes = torch.full((1, 4), 100.0)
    loss = GraphCLLoss()(nodes, nodes[:, None], nodes, torch.ones(1, 1, dtype=torch.bool))
    assert loss.isfinite()
