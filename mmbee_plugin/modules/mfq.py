"""MFQ: multi-modal fusion with learnable queries (MMBee, section 4, eq. 3-7)."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import nn

from mmbee_plugin.errors import InputError
from mmbee_plugin.modules.attention import AttentionBlock, masked_softmax
from mmbee_plugin.modules.batch import AuthorSide
from mmbee_plugin.modules.content import Content
from mmbee_plugin.modules.expect import expect_given
from mmbee_plugin.modules.shapes import ContentSettings, Projection
from mmbee_plugin.modules.tokens import ModalityTokens, some_usable


class OrthogonalProjection(nn.Module):
    r"""Adds to each modality's tokens the parts of the others that are not correlated with them (eq. 3-4).

    .. math:: Y_m = X_m + \sum_{m' \neq m} X_{m'} (1 - \mathrm{Corr}_{m m'})

    It has no parameters. The paper leaves open along which axis the softmax in Corr runs:

    * ``elementwise``: :math:`\mathrm{softmax}_d(X_m \odot X_{m'})`, one weight a feature. Its mean is 1/d, so at d = 64
      the result is close to ``sum``.
    * ``token``: :math:`\mathrm{softmax}` over the other modality's tokens of :math:`X_m X_{m'}^T / \sqrt d`, and
      :math:`1 - \mathrm{Corr}` mixes those tokens. With one token it is zero, so :math:`Y_m = X_m`.
    * ``sum``: Corr = 0.

    A missing modality adds nothing.

    Source: MMBee (https://arxiv.org/abs/2407.00056), eq. 3-4.

    Args:
        reading: of the equation, one of the three above.

    Shapes:
        - tokens: :math:`(B, M, L, d)`; mask: :math:`(B, M, L)` bool
        - output: :math:`(B, M, L, d)`

    Example:
        >>> tokens, mask = torch.ones(1, 3, 1, 2), torch.tensor([[[True], [True], [False]]])
        >>> OrthogonalProjection("sum")(tokens, mask)[0, :, 0].tolist()  # the third modality is missing
        [[2.0, 2.0], [2.0, 2.0], [3.0, 3.0]]
    """

    READINGS = get_args(Projection)

    def __init__(self, reading: str = "sum") -> None:
        super().__init__()
        if reading not in self.READINGS:
            raise ValueError(f"unknown projection {reading!r}; known: {', '.join(self.READINGS)}")
        self.reading = reading

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        usable = tokens * mask.unsqueeze(-1)
        outputs = []
        for m in range(tokens.shape[1]):
            total = tokens[:, m]
            for other in range(tokens.shape[1]):
                if other != m:
                    total = total + self._unshared(tokens[:, m], usable[:, other], mask[:, other])
            outputs.append(total)
        return torch.stack(outputs, dim=1)

    def _unshared(self, target: torch.Tensor, other: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        if self.reading == "sum":
            return other
        if self.reading == "elementwise":
            return other * (1 - torch.softmax(target * other, dim=-1))
        logits = target @ other.transpose(1, 2) / math.sqrt(target.shape[-1])  # (B, L, L)
        corr = masked_softmax(logits, mask[:, None, :])
        return (1 - corr) @ other  # rows of missing tokens are zero


QueryStart = Literal["random", "author"]
OWN_GAIN = 5.0
"""Offsets from the shared queries are stored as offset / OWN_GAIN, so one Adam step moves an offset OWN_GAIN times
further; rarely seen authors need this. Without shared queries an author's tokens are stored as they are."""
QUERY_STD = 0.02
"""Spread of stored offsets at the start: the offsets themselves start at .02 x OWN_GAIN = .1. Shared queries, and
authors' queries where none are shared, start at 1, the spread of the normed tokens that they are compared with."""
AUTHOR_NOISE = 0.1
"""Noise added to each of an author's N tokens that start from its id vector, as a share of the vector's spread."""


def initial_queries(drawn: torch.Tensor, shared: bool, authors: torch.Tensor | None = None) -> torch.Tensor:
    """Rows (A, N d) of the query table at the start.

    In the paper tokens start at random (section 4), on public data from the item's embedding (section 6.4).

    Args:
        drawn: (A, N d) standard normal numbers.
        shared: whether the rows are offsets from shared queries.
        authors: (A, d) id vectors to start from; None for a random start.
    """
    if authors is None:
        return drawn * (QUERY_STD if shared else 1.0)
    spread = authors.square().mean(dim=1, keepdim=True).sqrt()
    tokens = authors.repeat(1, drawn.shape[1] // authors.shape[1]) + AUTHOR_NOISE * spread * drawn
    return tokens / OWN_GAIN if shared else tokens


def chosen_start(start: QueryStart | None, live: bool, width: int, id_width: int) -> QueryStart:
    """Start of authors' tokens: ``random``, or ``author`` for their id vectors; None as in the paper, random for live
    data and author for other data.

    Args:
        width: of a token; id_width: of an id vector.

    Raises:
        InputError: start from id vectors of another width.
    """
    start = start or ("random" if live else "author")
    if start == "author" and width != id_width:
        raise InputError(
            f"query_start author: id vectors have width {id_width}, query tokens mfq_width {width}; "
            "set query_start to random"
        )
    return start


class MFQ(Content):
    r"""Multi-modal fusion of a segment's modalities, read by the author's query tokens (eq. 3-7).

    1. ``Y = OrthogonalProjection(X)``, then per modality cross-attention from X to Y (eq. 5). With one segment there is
       one key: attention is 1 and the query and key weights of this block get no gradient.
    2. Self-attention over all modalities' tokens (eq. 5).
    3. Cross-attention from the author's N queries to them (eq. 6), self-attention among the queries (eq. 7).
    4. Match, not in the paper: each query times the newest segment, :math:`q_n \odot g_n(c)`, where c are that
       segment's tokens of step 2 side by side and g has one hidden layer. The weights of attention always sum to 1, so
       step 3 tells where a query looks; the product tells how much it finds there.

    In the paper each author owns N query tokens (``shared_queries`` off). With ``shared_queries``, our addition, the
    queries are N shared ones plus the author's offsets. The shared ones start far apart, so that they read different
    tokens from the first step, and authors with few rows read as all others do.

    Authors never seen in training read with the default queries: the shared ones alone, or, where none are shared,
    N tokens of a random start. These learn from ``default_query_rate`` of the authors in training, whose own queries
    they replace.

    Source: MMBee (https://arxiv.org/abs/2407.00056), section 4, eq. 3-7.

    Args:
        settings: shapes and rates.

    Shapes:
        - input: :class:`AuthorSide` with ``queries`` :math:`(B, N, d)`
        - output: :math:`(B, 2 N d)`, :math:`(B, N d)` without match, or :math:`(B, d)` without queries

    Raises:
        ValueError: a missing modality, features or queries of another shape.

    Example:
        >>> mfq = MFQ(ContentSettings(widths={"visual": 5, "text": 3}, width=8, num_queries=2))
        >>> side = AuthorSide(
        ...     author=torch.randn(4, 8),
        ...     queries=torch.randn(4, 2, 8),
        ...     segments={"visual": torch.randn(4, 3, 1, 5), "text": torch.randn(4, 3, 1, 3)},
        ...     segment_mask={name: torch.ones(4, 3, dtype=torch.bool) for name in ("visual", "text")},
        ... )
        >>> mfq(side).shape, mfq.attention(side).shape  # 2 queries and 2 matches; 2 modalities of 3 segments
        (torch.Size([4, 32]), torch.Size([4, 2, 2, 3]))
    """

    reads = (
        *("mfq_width", "segments", "modality_dropout", "content_dropout", "heads"),
        *("projection", "use_queries"),
    )
    reads_queries = True
    has_heads = True
    unused_in_one_segment = True  # of attention within a modality
    default_queries: torch.Tensor

    def __init__(self, settings: ContentSettings) -> None:
        super().__init__()
        self.settings = settings
        self.tokens = ModalityTokens(settings)
        self.project = OrthogonalProjection(settings.projection)
        width, heads, dropout = settings.width, settings.heads, settings.content_dropout
        self.per_modality = nn.ModuleList(AttentionBlock(width, heads, dropout) for _ in settings.widths)
        self.fuse = AttentionBlock(width, heads, dropout)
        blocks = 1
        if settings.use_queries:
            blocks = settings.num_queries
            default = torch.randn(blocks, width)
            if settings.shared_queries or settings.default_query_rate > 0:
                self.default_queries = nn.Parameter(default)
            else:  # not read in training; as a parameter, weight decay alone would move it
                self.register_buffer("default_queries", default)
            self.read = AttentionBlock(width, heads, dropout)
            self.mix = AttentionBlock(width, heads, dropout)
            if settings.match:
                now = len(settings.widths) * width
                self.held_against = nn.Sequential(  # g; checkpoints have this name
                    nn.Linear(now, 2 * width), nn.ReLU(), nn.Linear(2 * width, blocks * width)
                )
                blocks *= 2
        self.out_width = width * blocks

    def forward(self, side: AuthorSide) -> torch.Tensor:
        fused, mask = self._fused(side)
        if not self.settings.use_queries:
            weight = mask.unsqueeze(-1).to(fused.dtype)
            return (fused * weight).sum(dim=1) / weight.sum(dim=1)
        queries = self._queries(side)
        found = self.read(queries, fused, mask)
        found = self.mix(found, found)
        if self.settings.match:
            found = torch.cat([found, queries * self._now(fused, mask)], dim=1)
        return found.flatten(1)

    def attention(self, side: AuthorSide) -> torch.Tensor:
        """Attention (B, N, M, L) of each query to the tokens (eq. 6), the mean over the heads; a query's sum to 1.

        Self-attention (eq. 5) has mixed the tokens before they are read, so each contains parts of the others. Missing
        tokens get 0, unless all are missing: then the placeholders are read.
        """
        fused, mask = self._fused(side)
        found = self.read.weights(self._queries(side), fused, mask).mean(dim=1)  # (B, N, M L)
        return found.unflatten(2, (len(self.per_modality), -1))

    def queries(self, own: torch.Tensor) -> torch.Tensor:
        """Queries (B, N, d) of authors, from their rows (B, N, d) of the query table."""
        return self.default_queries + OWN_GAIN * own if self.settings.shared_queries else own

    def _fused(self, side: AuthorSide) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens of all modalities after eq. 3-5 (B, M L, d), modality by modality, and their mask (B, M L)."""
        tokens, mask = self.tokens(side)
        # An author without any content keeps its placeholders as keys, so that attention is defined.
        mask = mask | ~mask.flatten(1).any(dim=1)[:, None, None]
        others = self.project(tokens, mask)
        heard = [
            block(tokens[:, m], others[:, m], some_usable(mask[:, m]))
            for m, block in enumerate(self.per_modality)
        ]
        fused_mask = mask.flatten(1)  # (B, M L)
        fused_tokens = torch.cat(heard, dim=1)  # (B, M L, d)
        return self.fuse(fused_tokens, fused_tokens, fused_mask), fused_mask

    def _now(self, fused: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Factors (B, N, d) of the queries in the match: g of the newest segment, missing modalities being zero."""
        tokens = (fused * mask.unsqueeze(-1)).unflatten(1, (len(self.per_modality), -1))  # (B, M, L, d)
        return self.held_against(tokens[:, :, -1].flatten(1)).unflatten(1, (self.settings.num_queries, -1))

    def _queries(self, side: AuthorSide) -> torch.Tensor:
        own = expect_given("queries", side.queries)  # (B, N, d)
        if own.shape[1:] != self.default_queries.shape:
            found, expected = tuple(own.shape[1:]), tuple(self.default_queries.shape)
            raise ValueError(f"queries: tokens of shape {found}, expected {expected}")
        replace = torch.zeros(own.shape[0], dtype=torch.bool, device=own.device)
        if side.seen is not None:
            replace = ~side.seen
        if self.training and self.settings.default_query_rate > 0:
            replace = replace | (
                torch.rand(own.shape[0], device=own.device) < self.settings.default_query_rate
            )
        return torch.where(replace[:, None, None], self.default_queries, self.queries(own))
