"""MMoE: multi-gate mixture of experts (Ma et al., KDD 2018), the head for several tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import nn

from mmbee_plugin.modules.expect import expect_width
from mmbee_plugin.modules.heads import Head, HeadInputs, total_width, tower
from mmbee_plugin.modules.mean import MeanHistory
from mmbee_plugin.modules.shapes import GTRShapes


class MMoEHead(Head):
    r"""Experts shared by all tasks, mixed by a gate a task, and scored by a tower a task.

    .. math:: y_k = \mathrm{tower}_k\left(\sum_n g^k_n f_n\right),\quad f_n = \mathrm{ReLU}(W_n x + b_n),\quad
              g^k = \mathrm{softmax}(W_g^k x),\quad x = [x_u ; x_a]

    Experts and gates are linear in x before their non-linearity, so their products with either side are computed once a
    side, and a pair costs the sum and what follows.

    Source: MMoE, section 4.2; one layer an expert and gates without bias as there.

    Args:
        user_width, author_width: widths of the two inputs.
        hidden: width of an expert, and of the towers' hidden layers.
        tasks: number of tasks T, the first of them the one to rank by.
        experts: number of experts.
        dropout: on the inputs of the towers, in training.

    Shapes:
        - user: :math:`(B, D_u)`, author: :math:`(C, D_a)`
        - output of ``pair``: :math:`(B, C, T)`

    Example:
        >>> head = MMoEHead(user_width=8, author_width=6, hidden=(16, 4), tasks=2, experts=3)
        >>> user, author = head.user(torch.randn(5, 8)), head.author(torch.randn(7, 6))
        >>> head.pair(user, author.unsqueeze(0), cross=None).shape
        torch.Size([5, 7, 2])
    """

    several_tasks = True
    per_pair = True

    @classmethod
    def from_settings(cls, settings: GTRShapes, inputs: HeadInputs) -> Self:
        widths = total_width(inputs.user), total_width(inputs.author)
        return cls(*widths, settings.hidden, len(settings.tasks), settings.experts, settings.dropout)

    def __init__(
        self,
        user_width: int,
        author_width: int,
        hidden: Sequence[int] = (200, 80),
        tasks: int = 1,
        experts: int = 8,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.tasks = tasks
        self.breadth = experts
        self.width = hidden[0]
        self.expert_user = nn.Linear(user_width, experts * self.width)
        self.expert_author = nn.Linear(author_width, experts * self.width, bias=False)
        self.gate_user = nn.Linear(user_width, tasks * experts, bias=False)
        self.gate_author = nn.Linear(author_width, tasks * experts, bias=False)
        self.towers = nn.ModuleList(nn.Sequential(*tower(hidden, dropout)) for _ in range(tasks))

    def user(self, x: torch.Tensor) -> torch.Tensor:
        expect_width("user vectors", x, self.expert_user.in_features)
        return torch.cat([self.expert_user(x), self.gate_user(x)], dim=-1)

    def author(self, x: torch.Tensor) -> torch.Tensor:
        expect_width("author vectors", x, self.expert_author.in_features)
        return torch.cat([self.expert_author(x), self.gate_author(x)], dim=-1)

    def pair(
        self, user: torch.Tensor, author: torch.Tensor, cross: torch.Tensor | None, tasks: int | None = None
    ) -> torch.Tensor:
        both = user.unsqueeze(1) + author  # (B, C, experts (width + T))
        experts, gates = both.split([self.breadth * self.width, self.breadth * self.tasks], dim=-1)
        experts = torch.relu(experts).unflatten(-1, (self.breadth, self.width))
        gates = gates.unflatten(-1, (self.tasks, self.breadth))[:, :, :tasks]
        mixed = torch.softmax(gates, dim=-1) @ experts  # (B, C, T, width)
        return torch.cat([self.towers[k](mixed[:, :, k]) for k in range(mixed.shape[2])], dim=-1)


class MMoE(MeanHistory):
    """The mean of the history under a head of its own: the backbone for several tasks.

    Args:
        width: model width ``d``.
    """

    reads = ("hidden", "experts")
    head = MMoEHead
