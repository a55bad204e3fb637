"""Served against offline: models of both adapters, on live data and static items, by both stores."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from mmbee_plugin.builtin.sample import ensure
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.serving.bundle.build import build_bundle
from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.serving.service.limits import Limits

pytest.importorskip("recbole", reason="the recbole extra is not installed")

PATIENT = Limits(seconds=60)
ANY_AGE = 10**9
"""seconds that a test's rooms stay on the air"""


@pytest.fixture(scope="module")
def live(live_template, untrained_checkpoint, tmp_path_factory):
    """A RecBole checkpoint on the tiny live data, and its published bundle."""
    place = tmp_path_factory.mktemp("live")
    folder = shutil.copytree(live_template, place / "datasets" / live_template.name)
    return published(
        untrained_checkpoint(folder, place, segments=3, graph={"reach_top_k": 5, "folds": 0}), place
    )


@pytest.fixture(scope="module")
def static(untrained_checkpoint, tmp_path_factory):
    """The same on the TikTok sample, which has a bag of words and no time."""
    place = tmp_path_factory.mktemp("static")
    folder = ensure("tiktok", place / "datasets")
    given = {"graph": {"folds": 0, "reach_top_k": 50}, "user_ids": True}
    return published(untrained_checkpoint(folder.path, place, **given), place)


def published(checkpoint, place):
    from mmbee_plugin.recbole.bundle import open_source

    shelf = Shelf(place / "bundles")
    shelf.publish(build_bundle(open_source(checkpoint), shelf, on_air=ANY_AGE))
    return checkpoint, shelf


@pytest.fixture(params=["mapped", "redis"])
def store_of(request):
    """Fills the store with a shelf's bundle and returns its URL, None for mapped files."""

    def fill(shelf):
        if request.param == "mapped":
            return None
        from mmbee_plugin.serving.store import redis

        url, bundle = request.getfixturevalue("redis_url"), shelf.current().bundle
        redis.fill(url, shelf.path / bundle, bundle)
        return url

    return fill


def test_every_test_row_of_live_data(live, store_of, run_service):
    """All segments are posted as they come on the air, and each row of the test day is asked for at its moment."""
    from mmbee_plugin.experiments.scoring import open_trained

    checkpoint, shelf = live
    trained = open_trained(checkpoint)
    offline, folder, rows = trained.scores("test"), trained.folder, trained.folder.interactions("test")
    segments, newest = folder.segments, trained.folder.rows("test").segments
    with run_service(shelf, store_of(shelf), limits=PATIENT) as running:
        client, posted, largest, asked = running.client(), set(), 0.0, 0
        until = running.follower.scorer.bundle.until
        for place in np.argsort(rows.timestamps, kind="stable"):
            user, author = folder.user_tokens[rows.users[place]], folder.item_tokens[rows.items[place]]
            if newest[place] < 0:
                continue  # an author without a room, which no segment puts on the board
            first = int(segments.first[newest[place]])
            own = [
                row
                for row in range(first, newest[place] + 1)
                if segments.ends[row] > until and row not in posted
            ]
            if own:
                answers = client.segments([segment_of(folder, author, row) for row in own])["counts"]
                assert answers == {"accepted": len(own)}
                posted |= set(own)
            answer = client.score(user, [author], time=float(rows.timestamps[place]))
            largest = max(largest, abs(answer["scores"]["gift"][0] - offline[place]))
            asked += 1
        assert asked > 50 and largest <= 1e-5


def segment_of(folder: DatasetFolder, author: str, row: int) -> dict:
    segments = folder.segments
    features = {
        name: segments.values(name)[row].astype(float).tolist()
        for name in folder.modalities
        if segments.present(name)[row]
    }
    return {"author": author, "start": segments.starts[row], "end": segments.ends[row], "features": features}


def test_every_item_of_the_static_sample(static, store_of, run_service):
    from mmbee_plugin.recbole.bundle import open_source

    checkpoint, shelf = static
    source = open_source(checkpoint)
    users, authors = source.exchange.users, source.exchange.authors
    rows = np.arange(0, len(users), 20)
    with torch.inference_mode():
        pairs = np.repeat(rows, len(authors)), np.tile(np.arange(len(authors)), len(rows))
        offline = source.logits(*pairs).view(len(rows), len(authors))
    with run_service(shelf, store_of(shelf), limits=PATIENT) as running:
        client = running.client()
        for row, expected in zip(rows, offline, strict=True):
            found = client.score(users[row], authors, logits=True)
            assert found["flags"] == [] and found["missing"] == {}
            np.testing.assert_allclose(found["scores"]["gift"], expected.numpy(), atol=1e-5, rtol=1e-5)
            best = client.top(users[row], 10, logits=True)["scores"]["gift"]
            np.testing.assert_allclose(best, np.sort(expected.numpy())[::-1][:10], atol=1e-5, rtol=1e-5)


PARTS = [
    {"backbone": "din", "interest": "bdr", "user_ids": True},
    {"backbone": "sasrec", "head": "dot", "pooling": "set", "content": "mta"},
    {"backbone": "mmoe", "content": "concat", "attributes": True},
    {"backbone": "dien", "interest": "none", "content": "ego_fusion", "user_ids": True},
    {"backbone": "mean", "head": "dot", "content": "none", "user_ids": True},
]


@pytest.mark.parametrize("parts", PARTS, ids=lambda parts: "-".join(map(str, parts.values())))
def test_models_of_other_parts(live_template, untrained_checkpoint, tmp_path, run_service, parts):
    """Golden requests come from RecBole's model; a scorer that serves has replayed them."""
    folder = shutil.copytree(live_template, tmp_path / "datasets" / live_template.name)
    _, shelf = published(
        untrained_checkpoint(folder, tmp_path, graph={"folds": 0, "reach_top_k": 0}, **parts), tmp_path
    )
    with run_service(shelf, limits=PATIENT) as running:
        assert running.follower.refused is None
        assert running.follower.scorer.replay() < 1e-5
        tasks = running.client().model()["tasks"]
        assert tasks == (["gift", "comment", "long_watch"] if parts["backbone"] == "mmoe" else ["gift"])
        if parts.get("content") == "none":  # nothing of the authors depends on segments: all are on the board
            assert len(running.client().top("u1", 100)["authors"]) == 8
