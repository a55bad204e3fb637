"""The plainest backbone: the mean of the history, the same for every target."""

from __future__ import annotations

import torch
from torch import nn

from mmbee_plugin.modules.backbone import Backbone
from mmbee_plugin.modules.batch import UserSide


class MeanHistory(Backbone):
    """Mean of the behaviours' vectors as part of the user vector; a pair costs nothing.

    The base model of the DIN paper, and the choice for histories too short to be searched. An empty history gives a
    learned vector.

    Args:
        width: model width ``d``.

    Example:
        >>> side = UserSide(None, torch.randn(2, 5, 8), torch.ones(2, 5, dtype=torch.bool))
        >>> MeanHistory(8).summary(side).shape
        torch.Size([2, 8])
    """

    reads: tuple[str, ...] | None = ("head",)
    reads_order = False
    reads_mean = True
    title = "mean of the history"

    def __init__(self, width: int) -> None:
        super().__init__()
        self.empty = nn.Parameter(torch.randn(width) * 0.02)
        self.user_width = width

    def summary(self, side: UserSide) -> torch.Tensor | None:
        mask = side.history_mask.unsqueeze(1).to(side.history.dtype)
        count = side.history_mask.sum(dim=1, keepdim=True)
        mean = (mask @ side.history).squeeze(1) / count.clamp(min=1)
        return torch.where(count > 0, mean, self.empty)
