"""Weighted sums of table rows, by which a batch's neighbours and mean histories are made."""

import torch
import torch.nn.functional as F

from mmbee_plugin.recbole.data.sums import weighted_sums


def test_sums_and_gradients_are_those_of_an_embedding_bag():
    torch.manual_seed(0)
    table = torch.randn(9, 4, dtype=torch.float64, requires_grad=True)
    ids = torch.randint(0, 9, (5, 7), dtype=torch.int32)  # rows repeat within a sum and between sums
    weights = torch.rand(5, 7, dtype=torch.float64) * (ids > 0)
    upstream = torch.randn(5, 4, dtype=torch.float64)
    ours = weighted_sums(ids, weights, table)
    stock = F.embedding_bag(ids, table, per_sample_weights=weights, mode="sum", padding_idx=0)
    assert torch.allclose(ours, stock)
    gradients = [torch.autograd.grad(found, table, upstream)[0] for found in (ours, stock)]
    assert torch.allclose(*gradients)
    assert not gradients[0][0].any()  # padding
