"""DIEN: deep interest evolution network (Zhou et al., AAAI 2019), as a backbone."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from mmbee_plugin.modules import losses
from mmbee_plugin.modules.attention import masked_softmax
from mmbee_plugin.modules.backbone import Backbone, Memory
from mmbee_plugin.modules.batch import UserSide


class AUGRU(nn.Module):
    r"""A GRU whose update gate is scaled by each step's relevance to the target.

    .. math::
        u &= \sigma(W_u h_t + V_u s_{t-1} + b_u),\quad r = \sigma(W_r h_t + V_r s_{t-1} + b_r) \\
        c &= \tanh(W_c h_t + b_c + r \odot V_c s_{t-1}),\quad
        s_t = (1 - a_t u) \odot s_{t-1} + a_t u \odot c

    from :math:`s_0 = 0`. A step of relevance 0, such as padding, keeps the state. Products with h are computed once
    for all targets; the recurrence runs for every pair, H steps of :math:`6 d^2` operations.

    Source: DIEN, eq. 4 with the gate of eq. 9-10.

    Shapes:
        - inputs: :math:`(B, H, 3d)` from ``prepare``; relevance: :math:`(B, C, H)`
        - output: :math:`(B, C, d)`, the last state
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.from_input = nn.Linear(width, 3 * width)
        self.from_state = nn.Linear(width, 3 * width, bias=False)

    def prepare(self, hidden: torch.Tensor) -> torch.Tensor:
        """Terms (B, H, 3d) of the hidden states (B, H, d) in the two gates and the candidate."""
        return self.from_input(hidden)

    def forward(self, inputs: torch.Tensor, relevance: torch.Tensor) -> torch.Tensor:
        state = inputs.new_zeros(*relevance.shape[:2], inputs.shape[2] // 3)
        steps = zip(inputs.unsqueeze(1).unbind(dim=2), relevance.unsqueeze(-1).unbind(dim=2), strict=True)
        for from_input, relevant in steps:  # (B, 1, 3d), (B, C, 1)
            update, reset, candidate = from_input.chunk(3, dim=-1)
            to_update, to_reset, to_candidate = self.from_state(state).chunk(3, dim=-1)  # (B, C, d)
            candidate = torch.tanh(candidate + torch.sigmoid(reset + to_reset) * to_candidate)
            share = relevant * torch.sigmoid(update + to_update)
            state = state + share * (candidate - state)
        return state


class DIEN(Backbone):
    r"""Extracts interests with a GRU over the history, then lets them evolve towards the target.

    Extraction: :math:`h_t = \mathrm{GRU}(e_t, h_{t-1})`, once a user. Its states learn from the auxiliary task, too:
    :math:`h_t` predicts the next behaviour against one drawn at random,
    :math:`-\ln \sigma(\langle h_t, e_{t+1} \rangle) - \ln(1 - \sigma(\langle h_t, e^-_{t+1} \rangle))`.
    Evolution: :class:`AUGRU` with the relevance :math:`a_t = \mathrm{softmax}_t(h_t^T W e_a)`. An empty history
    gives a learned vector (our reading).

    Source: DIEN, section 4.

    Args:
        width: model width ``d``.

    Example:
        >>> dien = DIEN(8)
        >>> memory = dien.remember(UserSide(None, torch.randn(2, 5, 8), torch.ones(2, 5, dtype=torch.bool)))
        >>> dien.cross(memory, torch.randn(1, 7, 8)).shape  # 7 targets that both users share
        torch.Size([2, 7, 8])
        >>> dien.auxiliary_loss(memory, torch.randn(2, 3, 8), torch.zeros(2, 3)).shape
        torch.Size([])
    """

    reads = ("head",)

    def __init__(self, width: int) -> None:
        super().__init__()
        self.extract = nn.GRU(width, width, batch_first=True)
        self.relevance = nn.Linear(width, width, bias=False)
        self.evolve = AUGRU(width)
        self.empty = nn.Parameter(torch.randn(width) * 0.02)
        self.cross_width = width

    def remember(self, side: UserSide) -> Memory:
        # Histories are right-padded: no behaviour comes after padding.
        hidden, _ = self.extract(side.history)
        return {
            "history": side.history,
            "mask": side.history_mask,
            "hidden": hidden,
            "key": self.relevance(hidden),
            "inputs": self.evolve.prepare(hidden),
        }

    def cross(
        self, memory: Memory, author: torch.Tensor, category: torch.Tensor | None = None
    ) -> torch.Tensor:
        mask = memory["mask"]
        relevance = masked_softmax(author @ memory["key"].transpose(1, 2), mask.unsqueeze(1))  # (B, C, H)
        interest = self.evolve(memory["inputs"], relevance)
        return torch.where(mask.any(dim=1)[:, None, None], interest, self.empty)

    def auxiliary_loss(
        self,
        memory: Memory,
        author: torch.Tensor,
        labels: torch.Tensor,
        weights: torch.Tensor | None = None,
    ) -> torch.Tensor | None:
        """Loss () of predicting each next behaviour: a mean over a row's steps, then over the rows.

        The random behaviour is that of another row, a random distance further in the batch and the same for all rows,
        at the same step modulo its length. A row with fewer than two behaviours, or whose other row has none, counts
        zero.
        """
        history, mask, hidden = memory["history"], memory["mask"], memory["hidden"][:, :-1]
        own = torch.arange(len(history), device=history.device)
        distance = torch.randint(1, max(2, len(own)), (1,), device=own.device)
        other = (own + distance) % len(own)
        length = mask.sum(dim=1)[other]
        step = torch.arange(1, mask.shape[1], device=own.device) % length.clamp(min=1).unsqueeze(1)
        drawn = history[other.unsqueeze(1), step]  # (B, H - 1, d)
        usable = mask[:, 1:] & ((length > 0) & (other != own)).unsqueeze(1)
        near, far = (hidden * history[:, 1:]).sum(dim=2).float(), (hidden * drawn).sum(dim=2).float()
        loss = (F.softplus(-near) + F.softplus(far)) * usable
        return losses.over_rows(loss.sum(dim=1) / usable.sum(dim=1).clamp(min=1), weights)
