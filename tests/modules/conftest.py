"""Sides of random tensors, of any shape a test asks for."""

import pytest
import torch

from mmbee_plugin.modules import AuthorSide, UserSide


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def make_user():
    def make(batch=5, history=12, width=16, paths=2, attributes=6, gaps=0):
        length = torch.arange(batch) * history // max(1, batch - 1)  # from empty to full
        return UserSide(
            user=torch.randn(batch, width),
            history=torch.randn(batch, history, width),
            history_mask=torch.arange(history) < length[:, None],
            history_gap=torch.randint(0, gaps, (batch, history)) if gaps else None,
            neighbours=torch.randn(batch, paths, width),
            neighbour_count=torch.randint(0, 3, (batch, paths)).float(),
            attributes=torch.randn(batch, paths, attributes),
            peers=torch.randn(batch, 3, width),
            peer_weights=torch.rand(batch, 3) * (torch.rand(batch, 3) < 0.7),
        )

    return make


@pytest.fixture
def make_author():
    def make(batch=7, width=16, queries=4, segments=3, frames=2, raw=None, paths=1, attributes=6):
        raw = raw or {"visual": 5, "acoustic": 4, "text": 3}
        return AuthorSide(
            author=torch.randn(batch, width),
            queries=torch.randn(batch, queries, width) * 0.1,
            seen=torch.ones(batch, dtype=torch.bool),
            segments={m: torch.randn(batch, segments, frames, d) for m, d in raw.items()},
            segment_mask={m: torch.rand(batch, segments) < 0.7 for m in raw},
            neighbours=torch.randn(batch, paths, width),
            neighbour_count=torch.ones(batch, paths),
            attributes=torch.randn(batch, paths, attributes),
            peers=torch.randn(batch, 3, width),
            peer_weights=torch.rand(batch, 3) * (torch.rand(batch, 3) < 0.7),
        )

    return make
