"""EgoFusion: the edge-wise modulation of EgoGCN (Chen et al., MM 2022) among an author's segments."""

from __future__ import annotations

import math

import torch
from torch import nn

from mmbee_plugin.modules.attention import masked_softmax
from mmbee_plugin.modules.batch import AuthorSide
from mmbee_plugin.modules.content import Content
from mmbee_plugin.modules.shapes import ContentSettings
from mmbee_plugin.modules.tokens import ModalityTokens, some_usable


class EgoFusion(Content):
    r"""Messages between segments in each modality, each sender modulated by its own other modalities.

    .. math:: a = \mathrm{softmax}_j(X_m X_m^T / \sqrt d),\quad a' = \mathrm{softmax}_j(X_m w^T / \sqrt d),\quad
              H_m = \mathrm{LN}(X_m + a' w)

    * ``soft``: :math:`w_j = (x_{m,j} + \sum_{m'} \sigma(G_{m m'} x_{m',j} + b) \odot x_{m',j}) / (1 + n_j)` over the
      :math:`n_j` other modalities that the segment has.
    * ``hard``: on edges with :math:`a_{ij} > \theta` the mean of the segment's modalities, on the others
      :math:`x_{m,j}`.

    Then :math:`c = W [\bar H_v ; \bar H_s ; \bar H_t] + b`, a mean over the segments that have the modality. Edges join
    all segments, each to itself too: with one segment the message is the modulated token itself.

    Source: EgoGCN for the modulation. That the nodes are the sample's segments is our reading of the MMBee paper
    (section 6.2), which applies EgoGCN's fusion to the nodes' attributes.

    Shapes:
        - input: :class:`AuthorSide`
        - output: :math:`(B, d)`

    Example:
        >>> encoder = EgoFusion(ContentSettings(widths={"visual": 5}, width=8))
        >>> raw, mask = torch.randn(2, 3, 1, 5), torch.ones(2, 3, dtype=torch.bool)  # 3 segments of a frame
        >>> encoder(AuthorSide(torch.randn(2, 8), segments={"visual": raw}, segment_mask={"visual": mask})).shape
        torch.Size([2, 8])
    """

    reads = ("mfq_width", "segments", "modality_dropout", "content_dropout", "fusion")

    def __init__(self, settings: ContentSettings) -> None:
        super().__init__()
        count, width = len(settings.widths), settings.width
        self.threshold = settings.fusion_threshold
        self.tokens = ModalityTokens(settings)
        self.hard = settings.fusion == "hard"
        # The gates of a modality's tokens towards each other modality, in order.
        gated = 0 if self.hard or count == 1 else count
        self.gates = nn.ModuleList(nn.Linear(width, (count - 1) * width) for _ in range(gated))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(count))
        self.dropout = nn.Dropout(settings.content_dropout)
        self.project = nn.Linear(count * width, width)
        self.out_width = width

    def forward(self, side: AuthorSide) -> torch.Tensor:
        tokens, mask = self.tokens(side)  # (B, M, L, d), (B, M, L)
        usable = some_usable(mask)
        message = self._message(tokens, self._modulated(tokens, mask), usable.unsqueeze(2))
        heard = tokens + self.dropout(message)
        heard = torch.stack([norm(heard[:, m]) for m, norm in enumerate(self.norms)], dim=1)
        weight = usable.unsqueeze(-1).to(heard.dtype)
        return self.project(((heard * weight).sum(dim=2) / weight.sum(dim=2)).flatten(1))

    def _message(self, tokens: torch.Tensor, modulated: torch.Tensor, senders: torch.Tensor) -> torch.Tensor:
        """Messages (B, M, L, d) to each token; senders (B, M, 1, L) bool."""
        scale = 1 / math.sqrt(tokens.shape[-1])
        fit = tokens @ modulated.transpose(2, 3) * scale  # (B, M, L, L)
        if not self.hard:
            return masked_softmax(fit, senders) @ modulated
        plain_fit = tokens @ tokens.transpose(2, 3) * scale
        informative = masked_softmax(plain_fit, senders) > self.threshold
        attention = masked_softmax(torch.where(informative, fit, plain_fit), senders)
        return (attention * informative) @ modulated + (attention * ~informative) @ tokens

    def _modulated(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Tokens averaged with their segment's other modalities, gated or (hard) as they are."""
        present = mask.unsqueeze(-1).to(tokens.dtype)  # (B, M, L, 1)
        sent = tokens * present
        others = present.sum(dim=1, keepdim=True) - present
        if self.hard:
            return (tokens + sent.sum(dim=1, keepdim=True) - sent) / (1 + others)
        total = list(tokens.unbind(dim=1))
        for sender, gates in enumerate(self.gates):
            opened = torch.sigmoid(gates(tokens[:, sender])).unflatten(-1, (-1, tokens.shape[-1]))
            messages = (opened * sent[:, sender].unsqueeze(2)).unbind(dim=2)  # each (B, L, d)
            receivers = [m for m in range(len(total)) if m != sender]
            for receiver, message in zip(receivers, messages, strict=True):
                total[receiver] = total[receiver] + message
        return torch.stack(total, dim=1) / (1 + others)
