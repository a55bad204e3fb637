"""The interface of a content encoder: the part of GTRModel that reads an author's live segments."""

from __future__ import annotations

from typing import Self

import torch
from torch import nn

from mmbee_plugin.modules.batch import AuthorSide
from mmbee_plugin.modules.shapes import ContentSettings


class Content(nn.Module):
    r"""Base of the content encoders.

    A subclass is built from :class:`ContentSettings`, sets ``out_width``, implements ``forward``, and is one row of
    :data:`~mmbee_plugin.modules.parts.CONTENTS`.

    Shapes:
        - input: :class:`AuthorSide` with ``segments`` and ``segment_mask`` of every modality
        - output: :math:`(B, \mathrm{out\_width})`

    Example:
        >>> class HowMany(Content):
        ...     '''The number of segments with each modality.'''
        ...
        ...     def __init__(self, settings):
        ...         super().__init__()
        ...         self.out_width = len(settings.widths)
        ...
        ...     def forward(self, side):
        ...         return torch.stack([mask.sum(dim=1) for mask in side.segment_mask.values()], dim=1).float()
        >>> HowMany.from_settings(ContentSettings(widths={"visual": 5, "text": 3})).out_width
        2
    """

    reads: tuple[str, ...] | None = None
    """Those of the settings marked `ReadBy` that it reads; None: perhaps any."""
    reads_modalities: bool = True
    """Whether the model needs the modalities' features."""
    reads_queries: bool = False
    """Whether every author owns query tokens, where ``use_queries`` is set."""
    has_heads: bool = False
    """Whether the width is split into attention heads, so that it must be a multiple of their number."""
    unused_in_one_segment: bool = False
    """Whether parameters get no gradient where authors have a single segment."""

    out_width: int
    gain: float = 0.0
    """Gain at which the output starts in a dot head's tower."""

    @classmethod
    def from_settings(cls, settings: ContentSettings) -> Self | None:
        """The encoder, or None where there is no modality to read."""
        return cls(settings) if cls.reads_modalities and settings.widths else None

    def forward(self, side: AuthorSide) -> torch.Tensor:
        """Content vectors of ``B`` authors."""
        raise NotImplementedError


class NoContent(Content):
    """The empty slot: authors are known by id and neighbours."""

    reads = ()
    reads_modalities = False
