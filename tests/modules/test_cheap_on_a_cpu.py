"""Attention pair by pair and dropout by uniform draws are what PyTorch's own are."""

import pytest
import torch

from mmbee_plugin.modules import attention
from mmbee_plugin.modules.attention import AttentionBlock
from mmbee_plugin.modules.dropout import Dropout


@pytest.mark.parametrize("keys", [2, 3])
def test_few_tokens_attend_as_many_do(keys, monkeypatch):
    block = AttentionBlock(16, heads=4).double()
    query, others = torch.randn(5, 2, 16).double(), torch.randn(5, keys, 16).double()
    mask = torch.rand(5, keys) < 0.5
    mask[:, 0] = True

    def output_and_gradients():
        tokens = [query.clone().requires_grad_(), others.clone().requires_grad_()]
        output = block(*tokens, mask)
        return output.detach(), *torch.autograd.grad(output.pow(3).sum(), tokens)

    pair_by_pair = output_and_gradients()
    monkeypatch.setattr(attention, "FEW_PAIRS", 0)
    for one, other in zip(pair_by_pair, output_and_gradients(), strict=True):
        assert torch.allclose(one, other)


def test_dropout_drops_the_share_and_scales_the_rest():
    torch.manual_seed(0)
    x = torch.full((400, 500), 3.0, requires_grad=True)
    dropped = Dropout(0.8)(x)
    kept = dropped != 0
    assert kept.float().mean() == pytest.approx(0.2, abs=0.004)
    assert torch.allclose(dropped[kept], torch.tensor(15.0))
    dropped.sum().backward()
    assert torch.allclose(x.grad, kept * 5.0)
    assert torch.equal(Dropout(0.8).eval()(x), x) and torch.equal(Dropout(0.0)(x), x)
