"""Finds leaks into held-out data: pairs that are in training too, rows older than training, ordered item numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mmbee_plugin.data.writer import Interactions

SURPRISE = 6.0
"""standard deviations above chance beyond which an order of held-out items is an artefact"""


def shared_pairs(parts: Mapping[str, Interactions], n_items: int) -> list[str]:
    """One line for each two parts on the pairs they share; a leak begins with "warning: "."""
    pairs = {name: np.unique(part.users * n_items + part.items) for name, part in parts.items()}
    lines = []
    for known, held_out in combinations(pairs, 2):
        both = len(np.intersect1d(pairs[known], pairs[held_out], assume_unique=True))
        mark = "warning: " if both else ""
        lines.append(f"{mark}{both:,} of {len(pairs[held_out]):,} {held_out} pairs are in {known} as well")
    return lines


def older_rows(train: Interactions, held_out: Interactions, name: str, n_users: int) -> str | None:
    """One line on the held-out rows older than their user's newest training row; None without time."""
    if train.timestamps is None or held_out.timestamps is None:
        return None
    newest = np.full(n_users, -np.inf)
    np.maximum.at(newest, train.users, train.timestamps)
    older = int((held_out.timestamps < newest[held_out.users]).sum())
    mark = "warning: " if older else ""
    return f"{mark}{older:,} of {len(held_out):,} {name} rows are older than their user's newest training row"


@dataclass(frozen=True)
class ItemOrder:
    """Held-out item numbers compared with those of the user's training items, without pairs in training.

    Attributes:
        held_out: number of held-out pairs of users with a training item.
        above, below: shares of them whose item number is above, or below, all those of the user's training items.
        chance: expected value of either share if all orders of a user's items are equally likely: the mean of
            1 / (n + 1) for n training items.
        surprise: standard deviations by which the larger share exceeds chance.
    """

    held_out: int
    above: float
    below: float
    chance: float
    surprise: float

    def line(self, name: str) -> str:
        """One line for the held-out part `name`; a warning if `surprise` exceeds `SURPRISE`."""
        shares = (
            f"{self.above:.3f} of {self.held_out:,} {name} items have a higher number than all training items of their "
            f"user, {self.below:.3f} a lower one; by chance {self.chance:.3f}"
        )
        if self.surprise <= SURPRISE:
            return f"order of items: {shares}"
        return f"warning: order artefact: {shares}, {self.surprise:.0f} standard deviations less"


def item_order(train: Interactions, held_out: Interactions, n_users: int, n_items: int) -> ItemOrder | None:
    """Order of the held-out item numbers; None if no user has both a held-out and a training item.

    It reveals data split per user by item number: a model can then rank held-out items first by their number alone.
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
