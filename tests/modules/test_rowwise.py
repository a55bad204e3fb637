"""Row-wise Adagrad: a row's arithmetic by hand, rows that are not looked up, and fbgemm's own result."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from mmbee_plugin.modules.rowwise import RowwiseAdagrad


def test_one_row_by_hand():
    table = nn.Parameter(torch.tensor([[1.0, 2.0], [5.0, 5.0]]))
    optimizer = RowwiseAdagrad([table], lr=0.1)
    for gradient in ([3.0, 4.0], [0.0, 2.0]):
        table.grad = torch.tensor([gradient, [0.0, 0.0]])
        optimizer.step()
    first, second = 12.5**0.5, 14.5**0.5  # mean of 9 and 16; then the mean of 0 and 4 on top
    expected = [1 - 0.1 * 3 / first, 2 - 0.1 * 4 / first - 0.1 * 2 / second]
    torch.testing.assert_close(table.data[0], torch.tensor(expected))
    assert table.data[1].tolist() == [5, 5]
    assert optimizer.state[table]["sum"].tolist() == [14.5, 0]


def test_state_survives_a_copy():
    table = nn.Parameter(torch.randn(4, 3))
    optimizer = RowwiseAdagrad([table], lr=0.1)
    other = nn.Parameter(table.detach().clone())
    again = RowwiseAdagrad([other], lr=0.1)
    for step in range(3):
        table.grad = torch.full((4, 3), step + 1.0)
        optimizer.step()
    other.data.copy_(table.data)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for parameter, update in ((table, optimizer), (other, again)):
        parameter.grad = torch.ones(4, 3)
        update.step()
    assert torch.equal(table, other)


def test_equal_to_fbgemm():
    split = pytest.importorskip("fbgemm_gpu.split_table_batched_embeddings_ops_training")
    common = pytest.importorskip("fbgemm_gpu.split_table_batched_embeddings_ops_common")
    from fbgemm_gpu.split_embedding_configs import EmbOptimType

    rows, width = 20, 8
    fused = split.SplitTableBatchedEmbeddingBagsCodegen(
        [(rows, width, common.EmbeddingLocation.HOST, split.ComputeDevice.CPU)],
        optimizer=EmbOptimType.EXACT_ROWWISE_ADAGRAD,
        learning_rate=0.1,
        eps=1e-8,
    )
    weight = fused.split_embedding_weights()[0]
    torch.manual_seed(0)
    weight.copy_(torch.randn(rows, width))
    table = nn.EmbeddingBag.from_pretrained(weight.detach().clone(), freeze=False, mode="sum")
    optimizer = RowwiseAdagrad(table.parameters(), lr=0.1)
    for _ in range(10):
        ids, target = torch.randint(rows - 2, (30,)), torch.randn(10, width)  # rows repeat in a batch
        offsets = torch.arange(0, 31, 3)
        ((fused(ids, offsets) - target) ** 2).sum().backward()
        optimizer.zero_grad()
        ((table(ids, offsets[:-1]) - target) ** 2).sum().backward()
        optimizer.step()
    torch.testing.assert_close(table.weight.data, weight, atol=2e-6, rtol=1e-5)
    sums = fused.split_optimizer_states()[0][0]
    torch.testing.assert_close(optimizer.state[table.weight]["sum"], sums.flatten(), atol=1e-5, rtol=1e-5)
