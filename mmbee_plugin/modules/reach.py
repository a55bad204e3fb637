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
        if authors.shape[0] == 1:
            return self.weight * _spread(ids, self._counted(weights), authors)
        return self.weight * self._counted(_searched(ids, weights, authors))

    def _counted(self, weights: torch.Tensor) -> torch.Tensor:
        return torch.log1p(weights / self.floor)


def _searched(ids: torch.Tensor, values: torch.Tensor, authors: torch.Tensor) -> torch.Tensor:
    """The value (B, C) of each user's own candidates (B, C), searched in its list."""
    authors = authors.contiguous()
    place = torch.searchsorted(ids, authors).clamp(max=ids.shape[1] - 1)
    return values.gather(1, place) * (ids.gather(1, place) == authors)


def _spread(ids: torch.Tensor, values: torch.Tensor, authors: torch.Tensor) -> torch.Tensor:
    """The same for candidates (1, C) that all users share: the lists, shorter than these, are spread over them."""
    distinct, column = authors[0].unique(return_inverse=True)
    place = torch.searchsorted(distinct, ids).clamp(max=len(distinct) - 1)
    found = values * (distinct[place] == ids)
    return values.new_zeros(len(ids), len(distinct)).scatter_add_(1, place, found)[:, column]
