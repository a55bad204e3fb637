"""What held-out data gives away: pairs that are in training too, rows older than training, the order of the items."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from mmbee_plugin.data.writer import Interactions

SURPRISE = 6.0
"""Standard deviations above chance from which an order that most held-out items follow is called a leak."""


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


def item_order(
    train: Interactions, held_out: Interactions, name: str, n_users: int, n_items: int
) -> str | None:
    """How many held-out items have a higher number than all training items of their user, and how many by chance.

    Data that was cut per user in the order of item numbers gives itself away like this: a model that learns where
    items stand then ranks the held-out ones first. Pairs that are in training too are left out; None where nothing
    is left.
    """
    pairs = np.unique(train.users * n_items + train.items)
    user, item = np.divmod(np.setdiff1d(held_out.users * n_items + held_out.items, pairs), n_items)
    highest = np.full(n_users, -1, dtype=np.int64)
    np.maximum.at(highest, train.users, train.items)
    degree = np.bincount(pairs // n_items, minlength=n_users)
    known = degree[user] > 0
    if not known.any():
        return None
    user, item = user[known], item[known]
    chance = 1 / (degree[user] + 1)
    above = int((item > highest[user]).sum())
    surprise = (above - chance.sum()) / np.sqrt((chance * (1 - chance)).sum())
    mark = "warning: " if surprise > SURPRISE and above > len(item) / 2 else ""
    return (
        f"{mark}{above:,} of {len(item):,} {name} items have a higher number than all training items of their user, "
        f"{chance.sum():,.0f} would by chance"
    )
