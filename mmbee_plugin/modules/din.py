"""DIN: deep interest network (Zhou et al., KDD 2018), as a backbone."""

from __future__ import annotations

import torch
from torch import nn

from mmbee_plugin.modules.backbone import Backbone, Memory
from mmbee_plugin.modules.batch import UserSide


class ActivationUnit(nn.Module):
    r"""Sum of the behaviours, each weighted by its fit to the target; the weights are not normalised.

    .. math:: o = \sum_j g_j e_j,\quad g_j = \mathrm{MLP}_{80-40-1}([e_a ; e_j ; e_a - e_j ; e_a \odot e_j])

    The first layer is split, so that a pair costs the product alone: the weights of the difference act on each side
    and are part of the two others.

    Source: DIN, section 4.3.

    Shapes:
        - behaviours: :math:`(B, H, d)`, mask: :math:`(B, H)` bool, author: :math:`(B|1, C, d)`
        - output: :math:`(B, C, d)`
    """

    def __init__(self, width: int, hidden: tuple[int, int] = (80, 40)) -> None:
        super().__init__()
        self.from_author = nn.Linear(width, hidden[0])
        self.from_behaviour = nn.Linear(width, hidden[0], bias=False)
        self.from_product = nn.Linear(width, hidden[0], bias=False)
        self.rest = nn.Sequential(
            nn.PReLU(), nn.Linear(hidden[0], hidden[1]), nn.PReLU(), nn.Linear(hidden[1], 1)
        )

    def forward(self, behaviours: torch.Tensor, mask: torch.Tensor, author: torch.Tensor) -> torch.Tensor:
        product = author.unsqueeze(2) * behaviours.unsqueeze(1)  # (B, C, H, d)
        hidden = self.from_author(author).unsqueeze(2) + self.from_behaviour(behaviours).unsqueeze(1)
        weight = self.rest(hidden + self.from_product(product)).squeeze(-1)  # (B, C, H)
        return (weight * mask.unsqueeze(1)) @ behaviours


class DIN(Backbone):
    """Target attention over the whole history (:class:`ActivationUnit`). An empty history gives a learned vector.

    Source: DIN (Zhou et al., KDD 2018), section 4.3.

    Args:
        width: model width ``d``.

    Example:
        >>> din = DIN(8)
        >>> side = UserSide(None, torch.randn(2, 5, 8), torch.ones(2, 5, dtype=torch.bool))
        >>> din.cross(din.remember(side), torch.randn(1, 7, 8)).shape  # 7 targets that both users share
        torch.Size([2, 7, 8])
    """

    reads = ("head",)
    reads_order = False

    def __init__(self, width: int) -> None:
        super().__init__()
        self.unit = ActivationUnit(width)
        self.empty = nn.Parameter(torch.randn(width) * 0.02)
        self.cross_width = width

    def remember(self, side: UserSide) -> Memory:
        return {"history": side.history, "mask": side.history_mask}

    def cross(
        self, memory: Memory, author: torch.Tensor, category: torch.Tensor | None = None
    ) -> torch.Tensor:
        interest = self.unit(memory["history"], memory["mask"], author)
        known = memory["mask"].any(dim=1)[:, None, None]
        return torch.where(known, interest, self.empty)
