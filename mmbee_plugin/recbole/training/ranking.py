"""Ranks of held-out items in a full ranking; RecBole reports only means."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
from recbole.data.interaction import Interaction
from torch import Tensor

CELLS = 1 << 18
"""largest number of scores compared at once: 1 MB, which stays in the cache and leaves no large holes in the heap"""


class Ranks(NamedTuple):
    """The positives of a full-ranking loader, in its order.

    Attributes:
        users, items: (n,) RecBole's ids.
        ranks: (n,) number of items ranked before it, from 0. Ties go by ascending id; an item with score NaN or minus
            infinity has rank n_items.
    """

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    ranks: NDArray[np.int64]


@torch.no_grad()
def positive_ranks(score: Callable[[Interaction], Tensor], loader: AbstractDataLoader) -> Ranks:
    """Ranks of a loader's positives, under the same scores and masks as in RecBole's trainer.

    Args:
        score: a model's ``full_sort_predict``: a batch of B users -> (B, n_items) or flattened.
        loader: a full-ranking loader; its masked items are not ranked.
    """
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for interaction, masked, positive_user, positive_item in loader:
        scores = score(interaction).view(len(interaction), -1).cpu().clone()
        scores[:, 0] = -torch.inf
        if masked is not None:
            scores[masked] = -torch.inf
        scores = scores.nan_to_num_(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
        step = max(1, CELLS // scores.shape[1])
        pairs = zip(positive_user.split(step), positive_item.split(step), strict=True)
        ranks = torch.cat([_ranks(scores, users, items) for users, items in pairs])
        parts.append((interaction[loader.dataset.uid_field][positive_user], positive_item, ranks))
    users, items, found = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
    return Ranks(users, items, found)


def _ranks(scores: Tensor, users: Tensor, items: Tensor) -> Tensor:
    """Ranks (p,) of the cells (users, items), (p,) each, in the rows of ``scores`` (B, n_items)."""
    rows, own = scores[users], scores[users, items]  # (p, n_items), (p,)
    before = (rows > own[:, None]).sum(dim=1)
    tied = rows == own[:, None]
    before += (tied & (torch.arange(scores.shape[1]) < items[:, None])).sum(dim=1)
    return torch.where(own > -torch.inf, before, scores.shape[1])
