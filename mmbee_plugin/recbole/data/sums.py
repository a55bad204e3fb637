"""Weighted sums of table rows, with a backward pass that is cheap on a CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from mmbee_plugin.kernels import kernel


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
    if table.device.type != "cpu" or table.dtype not in (torch.float32, torch.float64):
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
        ids, weights = ctx.saved_tensors
        given = gradients[0].contiguous()
        gradient = given.new_zeros(ctx.rows, given.shape[1])
        _add_weighted(ids.numpy(), weights.numpy(), given.numpy(), gradient.numpy())
        return None, None, gradient


@kernel(fastmath={"contract"})
def _add_weighted(ids: np.ndarray, weights: np.ndarray, sums: np.ndarray, table: np.ndarray) -> None:
    """Adds to rows ``ids`` (B, K) of a table (n, d) the weights (B, K) times the row of sums (B, d)."""
    for row in range(len(ids)):
        for place in range(ids.shape[1]):
            weight = weights[row, place]
            if weight != 0:
                at = ids[row, place]
                for column in range(sums.shape[1]):
                    table[at, column] += weight * sums[row, column]
