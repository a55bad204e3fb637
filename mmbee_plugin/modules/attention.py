"""Attention and feed-forward blocks, each with a residual and LayerNorm, and a softmax over what a mask leaves."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from mmbee_plugin.modules.expect import expect_width

FEW_PAIRS = 8
"""pairs of a query and a key up to which attention goes pair by pair on a CPU"""


class AttentionBlock(nn.Module):
    r"""Multi-head attention, residual, LayerNorm.

    .. math:: \mathrm{LN}(Q + \mathrm{softmax}(Q W_Q (K W_K)^T / \sqrt{d_h}) K W_V W_O)

    Source: MMBee (https://arxiv.org/abs/2407.00056), eq. 5-7, which give the attention alone; heads, residual and
    LayerNorm are our reading. W_Q and W_K get no gradient from a single key.

    Args:
        width: model width ``d``, a multiple of ``heads``.
        heads: attention heads.
        dropout: on the attention output, in training.

    Shapes:
        - query: :math:`(B, Q, d)`; key_value: :math:`(B, K, d)`; key_mask: :math:`(B, K)` bool, true = usable,
          at least one a row
        - output: :math:`(B, Q, d)`

    Example:
        >>> attend = AttentionBlock(width=8, heads=2)
        >>> attend(torch.randn(3, 4, 8), torch.randn(3, 5, 8)).shape
        torch.Size([3, 4, 8])
    """

    def __init__(self, width: int, heads: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is no multiple of heads {heads}")
        self.heads, self.width = heads, width
        self.to_query = nn.Linear(width, width)
        self.to_key_value = nn.Linear(width, 2 * width)
        self.to_output = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(
        self, query: torch.Tensor, key_value: torch.Tensor, key_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        expect_width("query", query, self.width)
        expect_width("key_value", key_value, self.width)
        if key_value.shape[1] == 1:  # its weight is 1, whatever the query: no query or key is made
            value = self.to_key_value
            mixed = F.linear(key_value, value.weight[self.width :], value.bias[self.width :])
            return self.norm(query + self.dropout(self.to_output(mixed).expand_as(query)))
        k, v = self.to_key_value(key_value).chunk(2, dim=-1)
        few = query.shape[1] * key_value.shape[1] <= FEW_PAIRS
        mix = self._mixed_pair_by_pair if few and query.device.type == "cpu" else self._mixed
        return self.norm(query + self.dropout(self.to_output(mix(self.to_query(query), k, v, key_mask))))

    def _mixed(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, key_mask: torch.Tensor | None
    ) -> torch.Tensor:
        """q (B, Q, d), k and v (B, K, d) -> the values mixed for each query (B, Q, d)."""
        mask = None if key_mask is None else key_mask[:, None, None, :]
        q, k, v = map(self._split_heads, (q, k, v))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return mixed.transpose(1, 2).flatten(2)

    def _mixed_pair_by_pair(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, key_mask: torch.Tensor | None
    ) -> torch.Tensor:
        """The same without a matrix product a row and head, which costs more than it computes for a few tokens."""
        q, k, v = (x.unflatten(-1, (self.heads, -1)) for x in (q, k, v))  # (B, tokens, heads, d / heads)
        logits = (q.unsqueeze(2) * k.unsqueeze(1)).sum(dim=-1) / math.sqrt(q.shape[-1])  # (B, Q, K, heads)
        if key_mask is not None:
            logits = logits.masked_fill(~key_mask[:, None, :, None], -math.inf)
        return (torch.softmax(logits, dim=2).unsqueeze(-1) * v.unsqueeze(1)).sum(dim=2).flatten(2)

    def weights(
        self, query: torch.Tensor, key_value: torch.Tensor, key_mask: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The softmax inside ``forward``, which does not keep it: (B, heads, Q, K), rows summing to 1."""
        q = self._split_heads(self.to_query(query))
        k = self._split_heads(self.to_key_value(key_value).chunk(2, dim=-1)[0])
        logits = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])
        if key_mask is not None:
            logits = logits.masked_fill(~key_mask[:, None, None, :], -math.inf)
        return torch.softmax(logits, dim=-1)

    def _split_heads(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, tokens, d / heads)


class FeedForwardBlock(nn.Module):
    r"""Two layers applied to every token, residual, LayerNorm.

    .. math:: \mathrm{LN}(X + W_2 \mathrm{ReLU}(W_1 X + b_1) + b_2)

    Args:
        width: model width ``d``.
        hidden: width between the layers.
        dropout: on the output of the second layer, in training.

    Shapes:
        - input, output: :math:`(..., d)`

    Example:
        >>> FeedForwardBlock(width=8, hidden=32)(torch.randn(3, 4, 8)).shape
        torch.Size([3, 4, 8])
    """

    def __init__(self, width: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x + self.dropout(self.layers(x)))


def masked_softmax(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Softmax over the last axis where mask is true; a row without any true entry is all zero.

    >>> masked_softmax(torch.zeros(2, 3), torch.tensor([[True, True, False], [False, False, False]]))
    tensor([[0.5000, 0.5000, 0.0000],
            [0.0000, 0.0000, 0.0000]])
    """
    weight = torch.softmax(logits.masked_fill(~mask, torch.finfo(logits.dtype).min), dim=-1)
    return weight * mask
