"""SASRec: self-attention over the history (Kang and McAuley, ICDM 2018), as a backbone."""

from __future__ import annotations

from typing import Self

import torch
from torch import nn

from mmbee_plugin.modules.attention import AttentionBlock, FeedForwardBlock
from mmbee_plugin.modules.backbone import Backbone
from mmbee_plugin.modules.batch import UserSide
from mmbee_plugin.modules.shapes import GTRShapes, SIMSettings

POSITIONS = 50
"""Positions, counted from the newest behaviour; older behaviours share the last."""


class SASRec(Backbone):
    r"""One block of SASRec with one head, at the newest behaviour, as part of the user vector; a pair costs nothing.

    .. math:: x_j = \mathrm{LN}(e_j + p_{n - j}), \quad \mathrm{summary} = \mathrm{FFN}(\mathrm{Attention}(x_n, X))

    both with residual and LayerNorm. Positions count back from the newest behaviour, so that they mean the same in
    short and long histories. A history holds nothing after the target (``reads_order``), so no causal mask is needed,
    and the block is computed at the newest behaviour only. An empty history gives a learned vector. The output has
    norm sqrt(d), far above that of a fresh id vector beside it.

    Args:
        width: model width ``d``.
        dropout: on the behaviours' vectors and on the output of both layers, in training.

    Example:
        >>> side = UserSide(None, torch.randn(2, 5, 8), torch.ones(2, 5, dtype=torch.bool))
        >>> SASRec(8).summary(side).shape
        torch.Size([2, 8])
    """

    reads = ("head", "history_dropout")

    @classmethod
    def from_settings(cls, settings: GTRShapes, sim: SIMSettings) -> Self:
        return cls(settings.width, settings.history_dropout)

    def __init__(self, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.position = nn.Embedding(POSITIONS, width)
        nn.init.normal_(self.position.weight, std=0.02)
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)
        self.attend = AttentionBlock(width, 1, dropout)
        self.digest = FeedForwardBlock(width, 4 * width, dropout)
        self.empty = nn.Parameter(torch.randn(width) * 0.02)
        self.user_width = width

    def summary(self, side: UserSide) -> torch.Tensor | None:
        mask = side.history_mask
        age = mask.flip(1).cumsum(dim=1).flip(1) - 1  # 0 at the newest
        position = self.position(age.clamp(0, POSITIONS - 1))
        behaviours = self.dropout(self.norm(side.history + position))
        newest = (mask & (age == 0)).int().argmax(dim=1)
        query = behaviours[torch.arange(len(newest), device=newest.device), newest]
        known = mask.any(dim=1, keepdim=True)
        found = self.attend(query.unsqueeze(1), behaviours, mask | ~known)
        return torch.where(known, self.digest(found).squeeze(1), self.empty)
