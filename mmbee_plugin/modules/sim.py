"""SIM: search-based interest model (Pi et al., CIKM 2020), as a backbone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from mmbee_plugin.modules import losses
from mmbee_plugin.modules.backbone import Backbone, Memory, masked_softmax
from mmbee_plugin.modules.batch import UserSide
from mmbee_plugin.modules.din import ActivationUnit

GAP_BUCKETS = 1 + math.ceil(math.log2(1 + 10 * 365 * 86400))
"""buckets of floor(log2(1 + seconds)), up to ten years."""


def gap_buckets(times: torch.Tensor) -> torch.Tensor:
    """times (B, H) in seconds, 0 where there is no behaviour -> (B, H) int64, bucket of the gap to the newest."""
    elapsed = (times.amax(dim=1, keepdim=True) - times).clamp(min=0)
    return torch.log2(1 + elapsed).long()


@dataclass(frozen=True)
class SIMSettings:
    """Shape of the search and of the two attention units."""

    width: int = 64
    """model width d."""
    heads: int = 2
    """attention heads of the exact search unit; each sees the whole behaviour vector."""
    searched: int = 20
    """behaviours K that the general search unit keeps of a history; a shorter history is not searched."""
    short: int = 0
    """newest behaviours S that a DIN unit sees and the search leaves out; 0 for data without an order."""
    gaps: int = 0
    """buckets of the time gap; 0 for data without time."""


class SIM(Backbone):
    r"""Searches a long history for what fits the target, then attends to what it found.

    General search unit (soft): :math:`r_j = \langle W_b e_j, W_a e_a \rangle / \sqrt{d}`, the K largest are kept. The
    selection has no gradient: W_a and W_b learn from the auxiliary task
    :math:`p_{gsu} = \sigma(\mathrm{MLP}([\sum_j \mathrm{softmax}(r)_j e_j ; e_a ; e_u]))`,
    e_u zero for a user without a vector.
    Exact search unit: per head i
    :math:`o_i = \sum_j \mathrm{softmax}_j(\langle W_b^i z_j, W_a^i e_a \rangle) z_j` over the kept ones,
    :math:`z_j = e_j + t_j` with t the embedded gap. An empty history gives a learned vector.

    Source: SIM, section 3; scaling, the softmax in the auxiliary sum and the sum in z (there: concatenation)
    are our reading.
    """

    def __init__(self, settings: SIMSettings) -> None:
        super().__init__()
        self.settings = settings
        width, heads = settings.width, settings.heads
        self.search_behaviour = nn.Linear(width, width, bias=False)
        self.search_author = nn.Linear(width, width, bias=False)
        self.auxiliary = nn.Sequential(nn.Linear(3 * width, width), nn.PReLU(), nn.Linear(width, 1))
        self.key = nn.Linear(width, heads * width, bias=False)
        self.query = nn.Linear(width, heads * width, bias=False)
        self.gap = nn.Embedding(settings.gaps, width) if settings.gaps else None
        self.short_unit = ActivationUnit(width) if settings.short else None
        self.empty = nn.Parameter(torch.randn(heads * width) * 0.02)
        self.cross_width = heads * width + (width if settings.short else 0)

    def remember(self, side: UserSide) -> Memory:
        history, mask, short = side.history, side.history_mask, self.settings.short
        behaviours = history
        if self.gap is not None and side.history_gap is not None:
            behaviours = history + self.gap(side.history_gap.clamp(max=self.settings.gaps - 1))
        memory = {"behaviours": behaviours}
        if side.user is not None:
            memory["user"] = side.user
        if self.short_unit is not None:
            # Histories are right-padded: the newest behaviours are the last valid ones.
            rank_from_end = mask.sum(dim=1, keepdim=True) - torch.arange(mask.shape[1], device=mask.device)
            memory["short_mask"] = mask & (rank_from_end <= short)
            memory["history"] = history
            mask = mask & (rank_from_end > short)
        memory["mask"] = mask
        memory["search_key"] = self.search_behaviour(history)  # (B, H, d)
        memory["key"] = self.key(behaviours).unflatten(-1, (self.settings.heads, -1))  # (B, H, heads, d)
        return memory

    def cross(self, memory: Memory, author: torch.Tensor) -> torch.Tensor:
        mask = memory["mask"].unsqueeze(1).expand(-1, author.shape[1], -1)  # (B, C, H)
        if mask.shape[2] > self.settings.searched:
            with torch.no_grad():
                relevance = self._relevance(memory, author).masked_fill(~mask, -math.inf)
                best = relevance.topk(self.settings.searched, dim=2).indices
                mask = mask & torch.zeros_like(mask).scatter(2, best, True)
        query = self.query(author).unflatten(-1, (self.settings.heads, -1))  # (B|1, C, heads, d)
        query = query.expand(mask.shape[0], -1, -1, -1)
        logits = torch.einsum("bche,bjhe->bhcj", query, memory["key"]) / math.sqrt(self.settings.width)
        weight = masked_softmax(logits, mask.unsqueeze(1))
        found = torch.einsum("bhcj,bje->bche", weight, memory["behaviours"]).flatten(2)
        found = torch.where(mask.any(dim=2, keepdim=True), found, self.empty)
        if self.short_unit is None:
            return found
        recent = self.short_unit(memory["history"], memory["short_mask"], author)
        return torch.cat([found, recent], dim=2)

    def auxiliary_loss(
        self,
        memory: Memory,
        author: torch.Tensor,
        labels: torch.Tensor,
        weights: torch.Tensor | None = None,
    ) -> torch.Tensor | None:
        """Logistic loss () of the search unit's task; None when every history is short enough to go unsearched."""
        if memory["mask"].shape[1] <= self.settings.searched:
            return None
        weight = masked_softmax(self._relevance(memory, author), memory["mask"].unsqueeze(1))
        interest = weight @ memory["behaviours"]  # (B, C, d)
        user = memory["user"].unsqueeze(1) if "user" in memory else torch.zeros_like(interest)
        logits = self.auxiliary(
            torch.cat([interest, author.expand_as(interest), user.expand_as(interest)], dim=2)
        ).squeeze(-1)
        return losses.binary_cross_entropy(logits.float(), labels, weights=weights)

    def _relevance(self, memory: Memory, author: torch.Tensor) -> torch.Tensor:
        key = memory["search_key"]
        return self.search_author(author) @ key.transpose(1, 2) / math.sqrt(key.shape[2])  # (B, C, H)
