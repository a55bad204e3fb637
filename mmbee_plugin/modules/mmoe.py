"""MMoE: multi-gate mixture of experts (Ma et al., KDD 2018), the head for several tasks at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import nn

from mmbee_plugin.modules.heads import Head, HeadInputs, total_width, tower
from mmbee_plugin.modules.mean import MeanHistory
from mmbee_plugin.modules.shapes import GTRSettings


class MMoEHead(Head):
    r"""Experts that all tasks share, a gate a task that mixes them, and a tower a task that scores.

    .. math:: y_k = \mathrm{tower}_k\Big(\sum_n g^k_n f_n\Big),\quad f_n = \mathrm{ReLU}(W_n x + b_n),\quad
              g^k = \mathrm{softmax}(W_g^k x),\quad x = [x_u ; x_a]

    Experts and gates are linear in x before their non-linearity, so both sides' parts are computed once and a pair
    pays from the sum on.

    Source: MMoE, section 4.2; one layer an expert and gates without bias as there.

    Args:
        user_width, author_width: widths of the two inputs.
        hidden: width of an expert, and of the towers' hidden layers.
        tasks: how many, the first of them the one to rank by.
        experts: how many.
        dropout: on what the towers get, in training.

    Shapes:
        - user: :math:`(B, D_u)`, author: :math:`(C, D_a)`
        - output of ``pair``: :math:`(B, C, T)`
    """

    several_tasks = True
    per_pair = True

    @classmethod
    def from_settings(cls, settings: GTRSettings, inputs: HeadInputs) -> Self:
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
        return torch.cat([self.expert_user(x), self.gate_user(x)], dim=-1)

    def author(self, x: torch.Tensor) -> torch.Tensor:
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

    head = MMoEHead
    title = "MMoE"
