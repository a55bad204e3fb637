"""Weighted sums of table rows, with a backward pass that is cheap on a CPU."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F


def weighted_sums(ids: torch.Tensor, weights: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Sums of a table's rows, each row times its weight; padding has weight 0.

    The sums are those of ``torch.nn.functional.embedding_bag``, whose backward pass sorts the ids of a batch first. On
    a CPU this one adds row by row, in the order of the batch, so it is as reproducible.

    Shapes:
        - ids: :math:`(B, K)` int32 or int64; weights: :math:`(B, K)`, which get no gradient
        - table: :math:`(n, d)`
        - output: :math:`(B, d)`

    Example:
        >>> weighted_sums(torch.tensor([[1, 2, 0]]), torch.tensor([[0.5, 2.0, 0.0]]), torch.eye(3))
        tensor([[0.0000, 0.5000, 2.0000]])
    """
    if table.device.type != "cpu":
        return F.embedding_bag(ids, table, per_sample_weights=weights, mode="sum")
    found: torch.Tensor = _WeightedSums.apply(ids, weights, table)
    return found


class _WeightedSums(torch.autograd.Function):
    """A sparse matrix of weights, a row for each sum, times the table; backward, its transpose times the gradient."""

    @staticmethod
    def forward(ctx: Any, ids: torch.Tensor, weights: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(ids, weights)
        ctx.rows = len(table)
        return F.embedding_bag(ids, table, per_sample_weights=weights, mode="sum")

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[None, None, torch.Tensor]:
        (gradient,) = gradients
        ids, weights = ctx.saved_tensors
        sums = torch.arange(len(ids)).repeat_interleave(ids.shape[1])
        transposed = torch.sparse_coo_tensor(
            torch.stack([ids.flatten().long(), sums]),
            weights.flatten(),
            (ctx.rows, len(ids)),
            check_invariants=False,
        )
        return None, None, torch.sparse.mm(transposed, gradient)
