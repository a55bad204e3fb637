"""SIM: search-based interest model (Pi et al., CIKM 2020), as a backbone."""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import nn

from mmbee_plugin.errors import InputError
from mmbee_plugin.modules import losses
from mmbee_plugin.modules.attention import masked_softmax
from mmbee_plugin.modules.backbone import Backbone, Memory
from mmbee_plugin.modules.batch import UserSide
from mmbee_plugin.modules.din import ActivationUnit
from mmbee_plugin.modules.expect import expect_given
from mmbee_plugin.modules.shapes import GTRShapes, Search, SIMSettings

GAP_BUCKETS = 1 + math.ceil(math.log2(1 + 10 * 365 * 86400))
"""Buckets of floor(log2(1 + seconds)), up to ten years."""


def gap_buckets(times: torch.Tensor, moments: torch.Tensor) -> torch.Tensor:
    """Buckets floor(log2(1 + seconds)) of the time between each behaviour and the request.

    Args:
        times: (B, H) seconds. moments: (B,) of the requests, counted from the same start; both float64, as float32
            seconds from a start years ago tell short gaps no longer.

    Shapes:
        - output: (B, H) int64; 0 for behaviours that are not before the request, in histories other than prefixes

    Example:
        >>> gap_buckets(torch.tensor([[0.0, 60.0, 200.0]]).double(), torch.tensor([100.0]).double())
        tensor([[6, 5, 0]])
    """
    elapsed = (moments.unsqueeze(1) - times).clamp(min=0)
    return torch.log2(1 + elapsed).long()


def chosen_search(asked: Search | None, categories: bool) -> Search:
    """``hard`` or ``soft``, as asked, or (None) hard where the data have categories.

    Raises:
        InputError: hard search in data without categories.
    """
    if asked == "hard" and not categories:
        raise InputError(
            "search hard: the data have no categories; name a column of .item by category_field, or set search to soft"
        )
    return asked or ("hard" if categories else "soft")


class SIM(Backbone):
    r"""Searches a long history for what fits the target, then attends to what it found.

    General search unit: keeps the K behaviours of the largest relevance :math:`r_j`.

    * Hard: :math:`r_j = 1[c_j = c_a]`, c the authors' categories; an unknown category equals none. Behaviours with
      :math:`r_j = 1` are kept, the newest K of more than K. It has no weights and no auxiliary task.
    * Soft: :math:`r_j = \langle W_b e_j, W_a e_a \rangle / \sqrt{d}`; up to K behaviours are all kept. The
      selection has no gradient: W_a and W_b learn from the auxiliary task
      :math:`p_{gsu} = \sigma(\mathrm{MLP}([\sum_j \mathrm{softmax}(r)_j e_j ; e_a ; e_u]))`
      of every row, e_u zero for a user without a vector.

    Exact search unit: per head i
    :math:`o_i = \sum_j \mathrm{softmax}_j(\langle W_b^i z_j, W_a^i e_a \rangle) z_j` over those kept,
    :math:`z_j = e_j + t_j` with t the embedded gap between behaviour and request; a learned vector where none is kept.

    Source: SIM, section 3.2 (general search, hard and soft) and section 3.3 (exact search, time intervals, the loss:
    that of soft search weighs 1, hard search has none); scaling, the softmax in the auxiliary sum and the sum in z
    (there: concatenation) are our reading.

    Args:
        settings: shapes, and the kind of search.

    Example:
        >>> sim = SIM(SIMSettings(width=8, search_heads=2, searched=3))
        >>> side = UserSide(torch.randn(2, 8), torch.randn(2, 5, 8), torch.ones(2, 5, dtype=torch.bool))
        >>> memory = sim.remember(side)
        >>> sim.cross(memory, torch.randn(1, 7, 8)).shape  # 7 targets that both users share, 2 heads of 8
        torch.Size([2, 7, 16])
        >>> sim.auxiliary_loss(memory, torch.randn(2, 4, 8), torch.zeros(2, 4)).shape
        torch.Size([])
    """

    reads = ("head", "search_heads", "search", "searched", "short_length")
    reads_order = False
    reads_newest = True
    searches = True

    @classmethod
    def from_settings(cls, settings: GTRShapes, sim: SIMSettings) -> Self:
        return cls(sim)

    def __init__(self, settings: SIMSettings) -> None:
        super().__init__()
        self.settings = settings
        width, heads = settings.width, settings.search_heads
        if settings.search == "soft":
            self.search_behaviour = nn.Linear(width, width, bias=False)
            self.search_author = nn.Linear(width, width, bias=False)
            self.auxiliary = nn.Sequential(nn.Linear(3 * width, width), nn.PReLU(), nn.Linear(width, 1))
        self.key = nn.Linear(width, heads * width, bias=False)
        self.query = nn.Linear(width, heads * width, bias=False)
        self.gap = nn.Embedding(settings.gaps, width) if settings.gaps else None
        self.short_unit = ActivationUnit(width) if settings.short_length else None
        self.empty = nn.Parameter(torch.randn(heads * width) * 0.02)
        self.cross_width = heads * width + (width if settings.short_length else 0)

    def idle(self, longest: int) -> str | None:
        return self.settings.idle(longest)

    def remember(self, side: UserSide) -> Memory:
        history, mask, short = side.history, side.history_mask, self.settings.short_length
        behaviours = history
        if self.gap is not None and side.history_gap is not None:
            behaviours = history + self.gap(side.history_gap.clamp(max=self.settings.gaps - 1))
        memory = {"behaviours": behaviours}
        if side.user is not None:
            memory["user"] = side.user
        if self.short_unit is not None:
            # Histories are right-padded: the newest behaviours are the last valid ones.
            length = mask.sum(dim=1, keepdim=True)
            place = length - torch.arange(1, 1 + short, device=mask.device)  # (B, S)
            row = torch.arange(len(history), device=mask.device).unsqueeze(1)
            memory["recent"], memory["recent_mask"] = history[row, place.clamp(min=0)], place >= 0
            mask = mask & (torch.arange(mask.shape[1], device=mask.device) < length - short)
        memory["mask"] = mask
        if self.settings.search == "soft":
            memory["search_key"] = self.search_behaviour(history)  # (B, H, d)
        else:
            memory["category"] = expect_given("history_category", side.history_category)
        # (B, H, heads, d)
        memory["key"] = self.key(behaviours).unflatten(-1, (self.settings.search_heads, -1))
        return memory

    def cross(
        self, memory: Memory, author: torch.Tensor, category: torch.Tensor | None = None
    ) -> torch.Tensor:
        mask = self._kept(memory, author, category)
        query = self.query(author).unflatten(-1, (self.settings.search_heads, -1))  # (B|1, C, heads, d)
        query = query.expand(mask.shape[0], -1, -1, -1)
        logits = torch.einsum("bche,bjhe->bhcj", query, memory["key"]) / math.sqrt(self.settings.width)
        weight = masked_softmax(logits, mask.unsqueeze(1))
        found = torch.einsum("bhcj,bje->bche", weight, memory["behaviours"]).flatten(2)
        found = torch.where(mask.any(dim=2, keepdim=True), found, self.empty)
        if self.short_unit is None:
            return found
        recent = self.short_unit(memory["recent"], memory["recent_mask"], author)
        return torch.cat([found, recent], dim=2)

    def auxiliary_loss(
        self,
        memory: Memory,
        author: torch.Tensor,
        labels: torch.Tensor,
        weights: torch.Tensor | None = None,
    ) -> torch.Tensor | None:
        """Logistic loss () of the soft search's task, whatever the histories' lengths; None for hard search."""
        if self.settings.search == "hard":
            return None
        weight = masked_softmax(self._relevance(memory, author), memory["mask"].unsqueeze(1))
        interest = weight @ memory["behaviours"]  # (B, C, d)
        user = memory["user"].unsqueeze(1) if "user" in memory else torch.zeros_like(interest)
        logits = self.auxiliary(
            torch.cat([interest, author.expand_as(interest), user.expand_as(interest)], dim=2)
        ).squeeze(-1)
        return losses.binary_cross_entropy(logits.float(), labels, weights=weights)

    def _searches(self, memory: Memory) -> bool:
        """Whether a history of the batch may be longer than the search keeps."""
        return memory["mask"].shape[1] - self.settings.short_length > self.settings.searched

    @torch.no_grad()
    def _kept(self, memory: Memory, author: torch.Tensor, category: torch.Tensor | None) -> torch.Tensor:
        """(B, C, H) bool: the behaviours that the exact search unit reads with each target."""
        mask = memory["mask"].unsqueeze(1).expand(-1, author.shape[1], -1)
        if self.settings.search == "hard":
            wanted = expect_given("category", category).unsqueeze(2)  # (B|1, C, 1)
            mask = mask & (memory["category"].unsqueeze(1) == wanted) & (wanted > 0)
            if not self._searches(memory):
                return mask
            # Among those that match, 1 for the newest.
            rank = mask.flip(2).cumsum(2, dtype=torch.int32).flip(2)
            return mask & (rank <= self.settings.searched)
        if not self._searches(memory):
            return mask
        relevance = self._relevance(memory, author).masked_fill(~mask, -math.inf)
        best = relevance.topk(self.settings.searched, dim=2).indices
        return mask & torch.zeros_like(mask).scatter(2, best, True)

    def _relevance(self, memory: Memory, author: torch.Tensor) -> torch.Tensor:
        key = memory["search_key"]
        return self.search_author(author) @ key.transpose(1, 2) / math.sqrt(key.shape[2])  # (B, C, H)
