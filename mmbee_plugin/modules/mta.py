"""MTA: stacked joint representations of the modalities, without queries (Xi et al., IP&M 2023)."""

from __future__ import annotations

import torch
from torch import nn

from mmbee_plugin.modules.attention import AttentionBlock, FeedForwardBlock
from mmbee_plugin.modules.batch import AuthorSide
from mmbee_plugin.modules.content import Content
from mmbee_plugin.modules.mfq import OrthogonalProjection
from mmbee_plugin.modules.shapes import ContentSettings
from mmbee_plugin.modules.tokens import ModalityTokens, some_usable


class JointLayer(nn.Module):
    r"""Attention of each modality to its orthogonal projection, then a feed-forward block.

    .. math:: Z_m = \mathrm{LN}(X_m + \mathrm{MHA}(X_m, Y_m, Y_m)),\quad X_m' = \mathrm{LN}(Z_m + \mathrm{FFN}(Z_m))

    with Y from :class:`OrthogonalProjection`, read feature by feature.

    Shapes:
        - tokens: :math:`(B, M, L, d)`; mask: :math:`(B, M, L)` bool
        - output: :math:`(B, M, L, d)`
    """

    def __init__(self, settings: ContentSettings) -> None:
        super().__init__()
        width, dropout = settings.width, settings.content_dropout
        self.project = OrthogonalProjection("elementwise")
        self.hear = nn.ModuleList(AttentionBlock(width, settings.heads, dropout) for _ in settings.widths)
        self.feed = nn.ModuleList(FeedForwardBlock(width, 2 * width, dropout) for _ in settings.widths)

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        others = self.project(tokens, mask)
        usable = some_usable(mask)
        heard = [
            feed(hear(tokens[:, m], others[:, m], usable[:, m]))
            for m, (hear, feed) in enumerate(zip(self.hear, self.feed, strict=True))
        ]
        return torch.stack(heard, dim=1)


class MTA(Content):
    r"""Stacked :class:`JointLayer`, a residual from the first to the last, and a GRU over the segments.

    .. math:: J = [X^n_v + X^0_v ; X^n_s + X^0_s ; X^n_t + X^0_t],\quad c = W \mathrm{GRU}(J) + b

    The GRU skips segments without any modality. With one segment there is nothing to run over:
    :math:`c = W J + b`, and the GRU gets no gradient. The abstract of MTA gives the orthogonal projection, the stacking
    and the residuals; the rest is our reading.

    Shapes:
        - input: :class:`AuthorSide`
        - output: :math:`(B, d)`

    Example:
        >>> encoder = MTA(ContentSettings(widths={"visual": 5}, width=8))
        >>> raw, mask = torch.randn(2, 3, 1, 5), torch.ones(2, 3, dtype=torch.bool)  # 3 segments of a frame
        >>> encoder(AuthorSide(torch.randn(2, 8), segments={"visual": raw}, segment_mask={"visual": mask})).shape
        torch.Size([2, 8])
    """

    reads = ("mfq_width", "segments", "modality_dropout", "content_dropout", "heads", "joint_layers")
    has_heads = True
    unused_in_one_segment = True  # the GRU's

    def __init__(self, settings: ContentSettings) -> None:
        super().__init__()
        joint = len(settings.widths) * settings.width
        self.tokens = ModalityTokens(settings)
        self.layers = nn.ModuleList(JointLayer(settings) for _ in range(settings.joint_layers))
        self.over_time = nn.GRUCell(joint, joint)
        self.project = nn.Linear(joint, settings.width)
        self.out_width = settings.width

    def forward(self, side: AuthorSide) -> torch.Tensor:
        first, mask = self.tokens(side)  # (B, M, L, d), (B, M, L)
        tokens = first
        for layer in self.layers:
            tokens = layer(tokens, mask)
        joint = (tokens + first).transpose(1, 2).flatten(2)  # (B, L, M d)
        if joint.shape[1] == 1:
            return self.project(joint[:, 0])
        known = some_usable(mask.any(dim=1)).unsqueeze(2)  # (B, L, 1)
        state = torch.zeros_like(joint[:, 0])
        for segment, has in zip(joint.unbind(dim=1), known.unbind(dim=1), strict=True):
            state = torch.where(has, self.over_time(segment, state), state)
        return self.project(state)
