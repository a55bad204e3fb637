"""Reach: the entry of an author in a user's stored long walk, as a part of the logit."""

from __future__ import annotations

import torch
from torch import nn

from mmbee_plugin.modules.expect import expect_given


class Reach(nn.Module):
    r"""Logarithm of the walk's probability, or of its lift over popularity, times a learned weight.

    .. math:: w \log(1 + p_{ua} / \epsilon)

    where p is the entry of author a in user u's list, above :math:`-\epsilon`, and 0 where it has none. A mean over
    neighbours does not tell which author was reached, and how well; this does. Not in the paper: an addition for data
    where plain walks rank well.

    Args:
        start: weight w at the start.
        floor: :math:`\epsilon`, the entry from which on it counts.

    Shapes:
        - ids: :math:`(B, K)` authors in the users' lists, ascending, padded at the end with ids that no author has
        - weights: :math:`(B, K)`
        - authors: :math:`(B|1, C)` the candidates' ids
        - output: :math:`(B, C)`

    Example:
        >>> reach = Reach(start=1.0, floor=0.1)
        >>> ids, weights = torch.tensor([[3, 7]]), torch.tensor([[0.2, 0.1]])
        >>> reach(ids, weights, torch.tensor([[7, 5]])).detach().round(decimals=2)  # 5 is not in the list
        tensor([[0.6900, 0.0000]])
    """

    def __init__(self, start: float = 1.0, floor: float = 1e-4) -> None:
        super().__init__()
        self.floor = floor
        self.weight = nn.Parameter(torch.tensor(start))

    def forward(
        self, ids: torch.Tensor | None, weights: torch.Tensor | None, authors: torch.Tensor | None
    ) -> torch.Tensor:
        ids, weights = expect_given("reach_ids", ids), expect_given("reach_weights", weights)
        authors = expect_given("ids", authors)
        if authors.shape[0] == 1:
            return self.weight * _spread(ids, self._counted(weights), authors)
        return self.weight * self._counted(_searched(ids, weights, authors))

    def _counted(self, weights: torch.Tensor) -> torch.Tensor:
        return torch.log1p(weights / self.floor)


def _searched(ids: torch.Tensor, values: torch.Tensor, authors: torch.Tensor) -> torch.Tensor:
    """Values (B, C) of each user's own candidates (B, C), searched in its list; 0 where they are not in it."""
    authors = authors.contiguous()
    place = torch.searchsorted(ids, authors).clamp(max=ids.shape[1] - 1)
    return values.gather(1, place) * (ids.gather(1, place) == authors)


def _spread(ids: torch.Tensor, values: torch.Tensor, authors: torch.Tensor) -> torch.Tensor:
    """Values (B, C) of candidates (1, C) that all users share: lists, which are shorter, scattered over them."""
    place, column = _columns(ids, authors[0])
    spread = values.new_zeros(len(ids), len(column) + 1).scatter_(1, place, values)
    in_order = torch.equal(column, torch.arange(len(column), device=column.device))
    return spread[:, :-1] if in_order else spread[:, column]


def _columns(ids: torch.Tensor, authors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Columns of lists' entries and of candidates, the last column for entries that are no candidate.

    A table of the numbering's size finds them at once. Where it would be larger than the lists, they are searched.

    Args:
        ids: (B, K) authors, from 0 on.
        authors: (C,) candidates, -1 for padding; several may be one author.

    Returns:
        (B, K) and (C,) columns from 0 to C.
    """
    count, nobody = len(authors), int(authors.max()) + 1
    if nobody < ids.numel():
        # The place before the last is nobody's, the last that of padding among the candidates.
        table = torch.full((nobody + 2,), count, device=ids.device)
        table[authors] = torch.arange(count, device=ids.device)  # of several, one
        return table[ids.clamp(max=nobody)], table[authors]
    distinct, column = authors.unique(return_inverse=True)
    place = torch.searchsorted(distinct, ids).clamp(max=len(distinct) - 1)
    return place.where(distinct[place] == ids, count), column
