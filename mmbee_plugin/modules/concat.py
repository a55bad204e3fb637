"""Plain concatenation of the modalities: the content encoder that MFQ is compared with."""

from __future__ import annotations

import torch
from torch import nn

from mmbee_plugin.modules.batch import AuthorSide
from mmbee_plugin.modules.content import Content
from mmbee_plugin.modules.shapes import ContentSettings
from mmbee_plugin.modules.tokens import ModalityTokens, some_usable


class Concat(Content):
    r"""Averages each modality over its present segments, concatenates, and projects.

    .. math:: c = W [\bar X_v ; \bar X_s ; \bar X_t] + b

    Shapes:
        - input: :class:`AuthorSide`
        - output: :math:`(B, d)`

    Example:
        >>> encoder = Concat(ContentSettings(widths={"visual": 5}, width=8))
        >>> raw, mask = torch.randn(2, 3, 1, 5), torch.ones(2, 3, dtype=torch.bool)  # 3 segments of a frame
        >>> encoder(AuthorSide(torch.randn(2, 8), segments={"visual": raw}, segment_mask={"visual": mask})).shape
        torch.Size([2, 8])
    """

    reads = ("mfq_width", "segments", "modality_dropout")

    def __init__(self, settings: ContentSettings) -> None:
        super().__init__()
        self.tokens = ModalityTokens(settings)
        self.project = nn.Linear(len(settings.widths) * settings.width, settings.width)
        self.out_width = settings.width

    def forward(self, side: AuthorSide) -> torch.Tensor:
        tokens, mask = self.tokens(side)  # (B, M, L, d), (B, M, L)
        weight = some_usable(mask).unsqueeze(-1).to(tokens.dtype)
        mean = (tokens * weight).sum(dim=2) / weight.sum(dim=2)  # (B, M, d)
        return self.project(mean.flatten(1))
