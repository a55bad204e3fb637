import numpy as np
import pytest
import torch

from mmbee_plugin.modules.graphcl import GraphCLLoss
from mmbee_plugin.offline.contrast import contrast

SHAPES = [
    (7, 3, 5, 6),
    (3, 1, 4, 8),
    (2, 2, 1300, 5),
]  # n, P, M, d; the products' loops take four rows at a time
SETTINGS = [(1.0, 1.0, False), (0.0, 0.7, False), (0.3, 0.2, True), (2.5, 1.0, True)]


def drawn(n, p, m, d, kind=torch.float64):
    """Nodes, positives and negatives that collect gradients, and a mask with a row of nothing."""
    generator = torch.Generator().manual_seed(n * p + m)
    rows = [
        torch.randn(*shape, generator=generator, dtype=kind).requires_grad_()
        for shape in ((n, d), (n, p, d), (m, d))
    ]
    mask = torch.rand(n, m, generator=generator) < 0.7
    mask[1] = False
    return rows, mask


def compiled(rows, mask, chosen):
    return contrast(*(part.detach().numpy().copy() for part in rows), mask.numpy(), *chosen)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("chosen", SETTINGS)
def test_loss_and_gradients_are_those_of_autograd(shape, chosen):
    rows, mask = drawn(*shape)
    expected = GraphCLLoss(*chosen)(*rows, mask) * shape[0]
    expected.backward()
    loss, *gradients = compiled(rows, mask, chosen)
    assert loss == pytest.approx(expected.item(), rel=1e-10)
    for gradient, part in zip(gradients, rows, strict=True):
        np.testing.assert_allclose(gradient, part.grad.numpy(), rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("chosen", SETTINGS)
def test_single_precision_is_as_exact_as_its_rounding(chosen):
    rows, mask = drawn(40, 4, 64, 64, torch.float32)
    wide = [part.detach().double().requires_grad_() for part in rows]
    (GraphCLLoss(*chosen)(*wide, mask) * 40).backward()
    for gradient, part in zip(compiled(rows, mask, chosen)[1:], wide, strict=True):
        assert gradient.dtype == np.float32
        assert np.abs(gradient - part.grad.numpy()).max() < 2e-6 * part.grad.abs().max()


def test_large_scores_neither_overflow_nor_lose_their_gradient():
    node = np.full((1, 4), 100.0)
    loss, of_node, _, of_negatives = contrast(
        node.copy(), -node[:, None], node.copy(), np.ones((1, 1), bool), 1.0, 1.0, False
    )
    assert loss == 40_000 + 40_000 + 80_000
    np.testing.assert_array_equal(of_negatives, 2 * node)  # both terms at their steepest
    np.testing.assert_array_equal(of_node, 4 * node)


def test_a_vector_of_length_zero_is_treated_as_in_torch():
    rows, mask = drawn(7, 3, 5, 6)
    with torch.no_grad():
        rows[0][2] = 0
    (GraphCLLoss(1.0, 0.2, True)(*rows, mask) * 7).backward()
    gradients = compiled(rows, mask, (1.0, 0.2, True))[1:]
    for gradient, part in zip(gradients, rows, strict=True):
        np.testing.assert_allclose(gradient, part.grad.numpy(), rtol=1e-9, atol=1e-12)
