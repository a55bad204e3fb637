"""Occlusion: a fall is the difference of two scores for each task, with the author encoded before or with the parts."""

from __future__ import annotations

import pytest
import torch

from mmbee_plugin.modules import occlusion
from mmbee_plugin.modules.batch import AuthorSide, UserSide
from mmbee_plugin.modules.gtr import GTRModel
from mmbee_plugin.modules.parts import GTRSettings
from mmbee_plugin.modules.shapes import ContentSettings, SIMSettings

WIDTH, LENGTH = 8, 3


@pytest.fixture
def pair():
    """A model of two tasks, and sides of one row: three gifts to two authors, a list of two, two segments of three."""
    torch.manual_seed(0)
    settings = GTRSettings(
        backbone="mmoe",
        tasks=("gift", "click"),
        width=WIDTH,
        hidden=(8, 4),
        user_metapaths=("u2a2u", "u2a2a"),
    )
    content = ContentSettings(widths={"visual": 5, "speech": 4}, width=WIDTH, heads=2, num_queries=2)
    gtr = GTRModel(settings, content, SIMSettings(width=WIDTH)).eval().requires_grad_(False)
    user = UserSide(
        torch.randn(1, WIDTH),
        torch.randn(1, 3, WIDTH),
        torch.ones(1, 3, dtype=torch.bool),
        neighbours=torch.randn(1, 2, WIDTH),
        neighbour_count=torch.tensor([[4, 0]]),
    )
    author = AuthorSide(
        torch.randn(1, WIDTH),
        queries=torch.randn(1, 2, WIDTH),
        segments={"visual": torch.randn(1, LENGTH, 1, 5), "speech": torch.randn(1, LENGTH, 1, 4)},
        segment_mask={
            "visual": torch.tensor([[False, True, True]]),
            "speech": torch.tensor([[False, False, True]]),
        },
    )
    return gtr, user, author


def logits(gtr, user, author):
    return gtr.score_tasks(gtr.encode_user(user), gtr.encode_author(author).unsqueeze(1))[0, 0].tolist()


def test_falls_of_every_task(pair):
    gtr, user, author = pair
    starts = [None, 0.0, 30.0]
    candidates = [
        *occlusion.behaviours(["a", "b", "a"], None),
        *occlusion.graph(gtr, user, author),
        *occlusion.content(author, starts),
    ]
    found = occlusion.occlude(gtr, user, author, candidates)
    whole = logits(gtr, user, author)
    assert found.logits == pytest.approx(whole, abs=1e-5) and len(whole) == 2
    falls = {(one.kind, one.name): one.falls for one in found.falls}
    newest = "1970-01-01 00:00:30 (newest)"
    assert falls.keys() == {
        *(("behaviour", name) for name in ("a, 1 of 3", "b, 2 of 3", "a, 3 of 3", "a, all 2", "all 3")),
        ("user metapath", "u2a2u, 4 neighbours"),
        *(("modality", name) for name in ("visual", "speech")),
        *(("segment", name) for name in ("1970-01-01 00:00:00", newest)),
    }
    assert found.absent == ("user metapath u2a2a", "segment 3 before")
    assert list(falls) == sorted(falls, key=lambda key: -abs(falls[key][0]))

    user.history = user.history[:, [1]]  # without both gifts to a
    user.history_mask = user.history_mask[:, :1]
    without = logits(gtr, user, author)
    assert falls["behaviour", "a, all 2"] == pytest.approx(
        [one - other for one, other in zip(whole, without, strict=True)], abs=1e-5
    )
    assert abs(falls["behaviour", "a, all 2"][1]) > 1e-4


def test_an_encoded_author_leaves_the_users_parts(pair):
    gtr, user, author = pair
    candidates = [*occlusion.behaviours(["a", "b", "a"], None), *occlusion.graph(gtr, user, author)]
    encoded = gtr.encode_author(author)
    same = [*occlusion.behaviours(["a", "b", "a"], None), *occlusion.graph(gtr, user, encoded)]
    first, second = (
        occlusion.occlude(gtr, user, author, candidates),
        occlusion.occlude(gtr, user, encoded, same),
    )
    assert [(one.kind, one.name) for one in first.falls] == [(one.kind, one.name) for one in second.falls]
    for one, other in zip(first.falls, second.falls, strict=True):
        assert one.falls == pytest.approx(other.falls, abs=1e-5)
    assert user.neighbour_count.tolist() == [[4, 0]] and bool(user.history_mask.all())  # as they were
