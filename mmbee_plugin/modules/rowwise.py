"""Row-wise Adagrad on dense gradients: unsharded tables get the same updates as sharded ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

EPS = 1e-8


class RowwiseAdagrad(torch.optim.Optimizer):
    r"""Adagrad with one sum of squares per row, as fbgemm's ``EXACT_ROWWISE_ADAGRAD``.

    .. math:: s_r \leftarrow s_r + \tfrac{1}{d} \sum_k g_{rk}^2, \qquad
              w_r \leftarrow w_r - \eta\, g_r / (\sqrt{s_r} + \epsilon)

    Rows with zero gradient keep their values and sums, so dense gradients give the same tables as fbgemm's sparse ones.

    Args:
        tables: parameters (n, d).
        lr: learning rate :math:`\eta`.
        eps: :math:`\epsilon`, added to the root.

    Example:
        >>> table = torch.nn.Parameter(torch.zeros(2, 4))
        >>> optimiser = RowwiseAdagrad([table], lr=0.5)
        >>> table[0].sum().backward()
        >>> _ = optimiser.step()
        >>> table.tolist()
        [[-0.5, -0.5, -0.5, -0.5], [0.0, 0.0, 0.0, 0.0]]
    """

    def __init__(self, tables: Iterable[torch.nn.Parameter], lr: float = 0.05, eps: float = EPS) -> None:
        super().__init__(tables, {"lr": lr, "eps": eps})
        for group in self.param_groups:
            for table in group["params"]:
                self.state[table]["sum"] = table.new_zeros(len(table))

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Updates every table that has a gradient; ``closure``, if any, is evaluated before and its value returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is None:
                    continue
                scale = -group["lr"] / added_roots(self.state[table]["sum"], table.grad, group["eps"])
                table.addcmul_(table.grad, scale.unsqueeze(1))
        return loss


def added_roots(sums: torch.Tensor, gradients: torch.Tensor, eps: float = EPS) -> torch.Tensor:
    """Adds each row's mean squared gradient to its sum (n,), in place, and returns the divisors (n,) of the steps.

    Args:
        gradients: (n, d).
    """
    sums.add_(gradients.square().mean(dim=1))
    return sums.sqrt() + eps
