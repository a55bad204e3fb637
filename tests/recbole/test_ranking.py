"""Ranks of positives, against sorting."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmbee_plugin.recbole.training import ranking
from mmbee_plugin.recbole.training.ranking import positive_ranks

USERS, ITEMS = 7, 31


@pytest.fixture
def loader():
    """Batches of a full-ranking loader: 3 to 4 users, 3 masked items and 2 positives each."""
    generator = torch.Generator().manual_seed(0)
    batches = []
    for users in (torch.arange(1, 4), torch.arange(4, USERS + 1)):
        chosen = torch.stack([1 + torch.randperm(ITEMS - 1, generator=generator)[:5] for _ in users])
        rows = torch.arange(len(users))
        masked = (rows.repeat_interleave(3), chosen[:, :3].reshape(-1))
        positives = (rows.repeat_interleave(2), chosen[:, 3:].reshape(-1))
        batches.append(({"user": users}, masked, *positives))

    class Batch(dict):
        def __len__(self) -> int:
            return len(self["user"])

    class Loader(list):
        dataset = SimpleNamespace(uid_field="user")

    return Loader((Batch(interaction), *rest) for interaction, *rest in batches)


@pytest.mark.parametrize("cells", [1 << 20, 1])
def test_ranks_are_places_in_the_sorted_list(loader, monkeypatch, cells):
    monkeypatch.setattr(ranking, "CELLS", cells)
    scores = torch.randint(
        0, 6, (USERS + 1, ITEMS), generator=torch.Generator().manual_seed(1)
    ).float()  # many ties
    found = positive_ranks(lambda interaction: scores[interaction["user"]].flatten(), loader)
    expected = []
    for interaction, (masked_rows, masked_items), rows, items in loader:
        for row, item in zip(rows.tolist(), items.tolist(), strict=True):
            own = scores[interaction["user"][row]].numpy().copy()
            left_out = np.append(masked_items[masked_rows == row].numpy(), 0)
            order = [place for place in np.argsort(-own, kind="stable") if place not in left_out]
            expected.append((int(interaction["user"][row]), item, order.index(item)))
    assert list(zip(*map(np.ndarray.tolist, found), strict=True)) == expected


def test_what_is_no_number_is_ranked_last(loader):
    scores = torch.full((USERS + 1, ITEMS), torch.nan)
    found = positive_ranks(lambda interaction: scores[interaction["user"]], loader)
    assert (found.ranks == ITEMS).all()
