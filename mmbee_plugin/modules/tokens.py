"""Tokens of an author's segments, one a segment and modality; shared by all content encoders."""

from __future__ import annotations

import torch
from torch import nn

from mmbee_plugin.modules.batch import AuthorSide
from mmbee_plugin.modules.expect import expect_width
from mmbee_plugin.modules.named import ModalityModules
from mmbee_plugin.modules.shapes import ContentSettings

WORD_WIDTH = 64
"""Width of the learned word vectors of a modality given as a bag of words."""
PAST = 0.5
"""Standard deviation of the age vectors of all segments but the newest: about that of a token, so that attention tells
the newest segment from older ones from the first step. At .02, the newest's, five segments did worse than one."""


def some_usable(mask: torch.Tensor) -> torch.Tensor:
    """The mask (..., L), with rows that are all false turned all true, so that attention to placeholders is defined."""
    return mask | ~mask.any(dim=-1, keepdim=True)


class ModalityTokens(nn.Module):
    r"""Projects each modality's frames to one token a segment, and masks missing ones.

    A segment's frames are averaged after the projection (our reading). Modality and segment-age embeddings are
    added. A missing modality gives a learned placeholder, and false in the mask.

    Shapes:
        - input: :class:`AuthorSide` with ``segments[m]`` :math:`(B, L, F, D_m)`
        - output: tokens :math:`(B, M, L, d)`, mask :math:`(B, M, L)` bool

    Raises:
        ValueError: a modality that is not among the segments, or has features of another width.

    Example:
        >>> tokens = ModalityTokens(ContentSettings(widths={"visual": 5, "text": 3}, width=8))
        >>> mask = {name: torch.ones(2, 4, dtype=torch.bool) for name in ("visual", "text")}
        >>> raw = {"visual": torch.randn(2, 4, 3, 5), "text": torch.randn(2, 4, 1, 3)}  # 3 frames and 1
        >>> [found.shape for found in tokens(AuthorSide(torch.randn(2, 8), segments=raw, segment_mask=mask))]
        [torch.Size([2, 2, 4, 8]), torch.Size([2, 2, 4])]
    """

    def __init__(self, settings: ContentSettings) -> None:
        super().__init__()
        self.modalities, self.widths = tuple(settings.widths), dict(settings.widths)
        self.drop_rate = settings.modality_dropout
        self.project = ModalityModules(
            {name: nn.Linear(raw, settings.width) for name, raw in settings.widths.items()}
        )
        self.placeholder = nn.Parameter(torch.randn(len(self.modalities), settings.width) * 0.02)
        self.modality = nn.Parameter(torch.randn(len(self.modalities), settings.width) * 0.02)
        self.age = nn.Embedding(settings.max_segments, settings.width)
        nn.init.normal_(self.age.weight, std=0.02)
        with torch.no_grad():
            self.age.weight[1:] *= PAST / 0.02

    def forward(self, side: AuthorSide) -> tuple[torch.Tensor, torch.Tensor]:
        for name, width in self.widths.items():
            if name not in side.segments:
                raise ValueError(
                    f"modality {name!r}: missing, segments have {', '.join(side.segments) or 'none'}"
                )
            expect_width(f"modality {name!r}", side.segments[name], width)
        projected = [self.project[m](side.segments[m]).mean(dim=2) for m in self.modalities]
        tokens = torch.stack(projected, dim=1)  # (B, M, L, d)
        mask = torch.stack([side.segment_mask[m] for m in self.modalities], dim=1)  # (B, M, L)
        if self.training and self.drop_rate > 0:
            mask = self._drop_modalities(mask)
        tokens = torch.where(mask.unsqueeze(-1), tokens, self.placeholder[:, None, :])
        length = tokens.shape[2]
        ages = self.age(torch.arange(length - 1, -1, -1, device=tokens.device))  # newest segment: age 0
        return tokens + self.modality[:, None, :] + ages, mask

    def _drop_modalities(self, mask: torch.Tensor) -> torch.Tensor:
        present = mask.any(dim=2)  # (B, M)
        draw = torch.rand(present.shape, device=mask.device)
        keep = draw >= self.drop_rate
        # The modality with the largest draw always stays, so no author loses its last one.
        best = torch.where(present, draw, -1.0).argmax(dim=1, keepdim=True)
        return mask & keep.scatter(1, best, True).unsqueeze(-1)
