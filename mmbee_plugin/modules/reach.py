"""Reach: what the stored long walk from a user says of an author, as a part of the logit."""

from __future__ import annotations

import torch
from torch import nn


class Reach(nn.Module):
    r"""Adds the log of the walk's probability, or of its lift over popularity, times a learned weight.

    .. math:: w \log(1 + p_{ua} / \epsilon)

    where p is the entry of author a in user u's list, 0 where there is none. Pooled neighbours lose which author was
    reached, and how well; this keeps it. Not in the paper: an addition for data where plain walks rank well.

    Args:
        start: the weight at the start.
        floor: :math:`\epsilon`, the entry that starts to count.

    Shapes:
        - ids: :math:`(B, K)` authors in the users' lists, ascending, padded at the end with ids that no author has
        - weights: :math:`(B, K)`
        - authors: :math:`(B|1, C)` the candidates' ids
        - output: :math:`(B, C)`
    """

    def __init__(self, start: float = 1.0, floor: float = 1e-4) -> None:
        super().__init__()
        self.floor = floor
        self.weight = nn.Parameter(torch.tensor(start))

    def forward(self, ids: torch.Tensor, weights: torch.Tensor, authors: torch.Tensor) -> torch.Tensor:
        wanted = authors.expand(ids.shape[0], -1).contiguous()
        place = torch.searchsorted(ids, wanted).clamp(max=ids.shape[1] - 1)
        found = weights.gather(1, place) * (ids.gather(1, place) == wanted)
        return self.weight * torch.log1p(found / self.floor)
