"""Message passing over user-item edges by sparse products, without a vector per edge.

PyTorch Geometric gathers messages (E, d) of all edges, which dominates the time on a CPU. Here its classes define a
layer (`WeightedSum.message` beside its fused form, `softmax`), and the two sums over edges that the models use run as
sparse products with explicit gradients:

* ``y_r = sum_s w_rs x_s`` is ``W x``; its gradients are ``W^T g`` and, for each edge, ``<g_r, x_s>``;
* ``a_rs = <x_r, y_s>`` at the edges alone has the gradients ``G y`` and ``G^T x``.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing
from torch_geometric.utils import softmax

# Torch warns once a process of any compressed layout; the products used here are stable.
warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")


class Edges(nn.Module):
    """Directed edges from senders to receivers, each pair once, sorted by receiver, then sender.

    Values of the edges, (E,), are in that order in all methods.

    Args:
        receivers, senders: (E,) int64 node numbers; distinct pairs in any order.
        n_receivers, n_senders: R and S.

    Attributes:
        receivers, senders: (E,) int64, sorted.
        degree: (R,) float32, number of incoming edges.
    """

    receivers: Tensor
    senders: Tensor
    start: Tensor
    back: Tensor
    back_start: Tensor
    back_receivers: Tensor
    degree: Tensor

    def __init__(self, receivers: Tensor, senders: Tensor, n_receivers: int, n_senders: int) -> None:
        super().__init__()
        order = torch.argsort(receivers * n_senders + senders)
        receivers, senders = receivers[order], senders[order]
        back = torch.argsort(senders * n_receivers + receivers)
        self.shape = (n_receivers, n_senders)
        values = {
            "receivers": receivers,
            "senders": senders,
            "start": _starts(receivers, n_receivers),
            "back": back,
            "back_start": _starts(senders[back], n_senders),
            "back_receivers": receivers[back],
            "degree": torch.bincount(receivers, minlength=n_receivers).float(),
        }
        for name, value in values.items():
            self.register_buffer(name, value, persistent=False)
        self._weighted_sum = WeightedSum()

    def sum(self, weights: Tensor, x: Tensor) -> Tensor:
        """weights (E,), x (S, d) of the senders -> (R, d), zero for a receiver without an edge."""
        return self._weighted_sum(self, weights, x)

    def dots(self, x: Tensor, y: Tensor) -> Tensor:
        """x (R, d) of the receivers, y (S, d) of the senders -> (E,) their inner products."""
        return _Dots.apply(self, x, y)

    def softmax(self, logits: Tensor) -> Tensor:
        """logits (E,) -> (E,), a softmax over the edges of each receiver."""
        return softmax(logits, self.receivers, num_nodes=self.shape[0])

    def of(self, receivers: Tensor) -> tuple[Tensor, Tensor]:
        """receivers (B,) -> (index into `receivers`, sender) of every incoming edge."""
        first = self.start[receivers]
        count = self.start[receivers + 1] - first
        row = torch.repeat_interleave(count)
        before = count.cumsum(0) - count
        edge = torch.arange(len(row), device=row.device) + (first - before)[row]
        return row, self.senders[edge]

    def matrix(self, values: Tensor) -> Tensor:
        """values (E,) -> sparse matrix (R, S) with these values at the edges."""
        return _csr(self.start, self.senders, values, self.shape)

    def transposed(self, values: Tensor) -> Tensor:
        """values (E,) -> its transpose (S, R)."""
        return _csr(self.back_start, self.back_receivers, values[self.back], self.shape[::-1])

    def sampled(self, x: Tensor, y: Tensor) -> Tensor:
        """`dots` without a gradient."""
        if x.is_cuda or torch.backends.mkl.is_available():
            pattern = self.matrix(x.new_zeros(len(self.senders)))
            return torch.sparse.sampled_addmm(pattern, x, y.T, beta=0).values()
        return (x[self.receivers] * y[self.senders]).sum(dim=1)


class WeightedSum(MessagePassing):
    """``y_r = sum_s w_rs x_s``, as messages per edge and fused into one sparse product."""

    def __init__(self) -> None:
        super().__init__(aggr="sum")

    def forward(self, edges: Edges, weights: Tensor, x: Tensor) -> Tensor:
        """weights (E,), x (S, d) -> (R, d)."""
        return self.propagate(edges.matrix(weights.detach()), edges=edges, weights=weights, x=x)

    def message(self, x_j: Tensor, weights: Tensor) -> Tensor:
        """Messages (E, d); used where edges are given as a list of pairs."""
        return weights[:, None] * x_j

    def message_and_aggregate(self, adj_t: Tensor, edges: Edges, weights: Tensor, x: Tensor) -> Tensor:
        """Sums of all messages (R, d) as one sparse product."""
        return _WeightedSum.apply(edges, weights, x)


class _WeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, edges: Edges, weights: Tensor, x: Tensor) -> Tensor:
        ctx.edges = edges
        ctx.save_for_backward(weights, x)
        return edges.matrix(weights) @ x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor | None, Tensor | None]:
        (weights, x), gradient = ctx.saved_tensors, gradients[0].contiguous()
        of_weights = ctx.edges.sampled(gradient, x) if ctx.needs_input_grad[1] else None
        of_x = ctx.edges.transposed(weights) @ gradient if ctx.needs_input_grad[2] else None
        return None, of_weights, of_x


class _Dots(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, edges: Edges, x: Tensor, y: Tensor) -> Tensor:
        ctx.edges = edges
        ctx.save_for_backward(x, y)
        return edges.sampled(x, y)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor | None, Tensor | None]:
        (x, y), gradient = ctx.saved_tensors, gradients[0].contiguous()
        of_x = ctx.edges.matrix(gradient) @ y if ctx.needs_input_grad[1] else None
        of_y = ctx.edges.transposed(gradient) @ x if ctx.needs_input_grad[2] else None
        return None, of_x, of_y


def both_ways(users: Tensor, items: Tensor, n_users: int, n_items: int) -> Edges:
    """Edges among all N = U + I nodes, users first: each pair (E,) from item to user and from user to item."""
    nodes = n_users + n_items
    return Edges(torch.cat([users, items + n_users]), torch.cat([items + n_users, users]), nodes, nodes)


def _starts(sorted_nodes: Tensor, count: int) -> Tensor:
    return torch.searchsorted(sorted_nodes, torch.arange(count + 1, device=sorted_nodes.device))


def _csr(start: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    return torch.sparse_csr_tensor(start, columns, values, shape, check_invariants=False)
