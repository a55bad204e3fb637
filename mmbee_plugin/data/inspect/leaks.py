"""What held-out data gives away: pairs that are in training too, rows older than training, the order of the items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mmbee_plugin.data.writer import Interactions

SURPRISE = 6.0
"""Standard deviations above chance from which an order of held-out items is called an artefact."""


def shared_pairs(parts: Mapping[str, Interactions], n_items: int) -> list[str]:
    """One line for every two parts, the held-out one first; a leak begins with "warning: "."""
    pairs = {name: np.unique(part.users * n_items + part.items) for name, part in parts.items()}
    lines = []
    for known, held_out in combinations(pairs, 2):
        both = len(np.intersect1d(pairs[known], pairs[held_out], assume_unique=True))
        mark = "warning: " if both else ""
        lines.append(f"{mark}{both:,} of {len(pairs[held_out]):,} {held_out} pairs are in {known} as well")
    return lines


def older_rows(train: Interactions, held_out: Interactions, name: str, n_users: int) -> str | None:
    """How many held-out rows are older than their user's newest training row; None without time."""
    if train.timestamps is None or held_out.timestamps is None:
        return None
    newest = np.full(n_users, -np.inf)
    np.maximum.at(newest, train.users, train.timestamps)
    older = int((held_out.timestamps < newest[held_out.users]).sum())
    mark = "warning: " if older else ""
    return f"{mark}{older:,} of {len(held_out):,} {name} rows are older than their user's newest training row"


@dataclass(frozen=True)
class ItemOrder:
    """Where held-out items stand among the numbers of their users' training items; pairs in training are left out.

    Attributes:
        held_out: items of users with a training item.
        above, below: shares of them with a higher, or a lower, number than all training items of their user.
        chance: expected of either where all orders of a user's items are as likely, the mean of 1 / (n + 1) for n
            training items.
        surprise: standard deviations that the larger of the two shares lies above chance.
    """

    held_out: int
    above: float
    below: float
    chance: float
    surprise: float

    def line(self, name: str) -> str:
        """One line for the held-out part called `name`; a warning where the order is beyond chance."""
        shares = (
            f"{self.above:.3f} of {self.held_out:,} {name} items have a higher number than all training items of their "
            f"user, {self.below:.3f} a lower one; by chance {self.chance:.3f}"
        )
        if self.surprise <= SURPRISE:
            return f"order of items: {shares}"
        return f"warning: order artefact: {shares}, {self.surprise:.0f} standard deviations less"


def item_order(train: Interactions, held_out: Interactions, n_users: int, n_items: int) -> ItemOrder | None:
    """How held-out items stand in the order of the item numbers; None where no user with one has a training item.

    Data that was cut per user in the order of item numbers gives itself away like this: a model that learns where
    items stand then ranks the held-out ones first.
    """
    pairs = np.unique(train.users * n_items + train.items)
    user, item = np.divmod(np.setdiff1d(held_out.users * n_items + held_out.items, pairs), n_items)
    highest, lowest = np.full(n_users, -1, dtype=np.int64), np.full(n_users, n_items, dtype=np.int64)
    np.maximum.at(highest, train.users, train.items)
    np.minimum.at(lowest, train.users, train.items)
    degree = np.bincount(pairs // n_items, minlength=n_users)
    known = degree[user] > 0
    if not known.any():
        return None
    user, item = user[known], item[known]
    chance = 1 / (degree[user] + 1)
    above, below = (item > highest[user]).mean(), (item < lowest[user]).mean()
    deviation = np.sqrt((chance * (1 - chance)).sum()) / len(item)
    surprise = (max(above, below) - chance.mean()) / deviation
    return ItemOrder(len(item), float(above), float(below), float(chance.mean()), float(surprise))
