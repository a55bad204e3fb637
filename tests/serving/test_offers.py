"""Offers: what a worker takes from the encoder, and what it does without a store or an encoder."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mmbee_plugin.serving.board.segment import Segment
from mmbee_plugin.serving.swap.follower import Follower
from mmbee_plugin.serving.swap.offers import OfferFollower, write_offer


@pytest.fixture
def encoder(shelved) -> Follower:
    made = Follower(shelved.shelf)
    made.look()
    return made


def test_a_worker_scores_as_the_encoder_does_and_reads_its_board(encoder, shelved, tmp_path):
    path, now, authors = tmp_path / "offer.json", shelved.now, shelved.source.authors_of[:6]
    worker = OfferFollower(path, shelved.shelf)
    worker.look()
    assert worker.scorer is None and worker.refused is None
    write_offer(path, encoder)
    worker.look()
    first = worker.scorer
    if shelved.source.live is not None:  # after the worker has opened the board
        encoder.take([(author, Segment(now, now + 30)) for author in authors])
    for user in (shelved.source.users_of[0], "nobody"):
        ours, theirs = (each.scorer.score(user, [*authors, "nobody"], now) for each in (worker, encoder))
        np.testing.assert_array_equal(ours.logits, theirs.logits)
        assert len(ours.logits) == 6 and (ours.missing, ours.flags) == (theirs.missing, theirs.flags)
    assert worker.scorer.top("nobody", 9, now)[0] == encoder.scorer.top("nobody", 9, now)[0]
    worker.look()
    assert worker.scorer is first
    shelved.shelf.publish(shelved.ids[1])
    encoder.look()
    write_offer(path, encoder)
    worker.look()
    assert worker.scorer.bundle.id == shelved.ids[1] and first.bundle.id == shelved.ids[0]


def test_why_a_bundle_is_not_offered_is_known_to_workers(encoder, shelved, tmp_path):
    path, worker = tmp_path / "offer.json", OfferFollower(tmp_path / "offer.json", shelved.shelf)
    (shelved.shelf.path / shelved.ids[1] / "users.npy").unlink()
    pointer = {"bundle": shelved.ids[1], "previous": [], "pinned": False}
    (shelved.shelf.path / "CURRENT").write_text(json.dumps(pointer))
    encoder.look()
    write_offer(path, encoder)
    worker.look()
    assert worker.scorer.bundle.id == shelved.ids[0]
    assert worker.refused == encoder.refused and "users.npy" in worker.refused


def test_an_offer_whose_encoder_is_gone_is_refused_and_the_next_one_taken(encoder, shelved, tmp_path):
    path = tmp_path / "offer.json"
    write_offer(path, encoder)
    offer = json.loads(path.read_text())
    worker = OfferFollower(path, shelved.shelf)
    if offer["board"] is None:
        pytest.skip("static items have no board that could be gone")
    path.write_text(json.dumps({**offer, "board": "/proc/1/fd/999999"}))
    worker.look()
    assert worker.scorer is None and "is gone with its encoder" in worker.refused
    write_offer(path, encoder)
    worker.look()
    assert worker.scorer is not None and worker.refused is None


def test_a_worker_starts_without_its_redis(encoder, shelved, tmp_path):
    pytest.importorskip("redis", reason="the Redis client is not installed")
    path = tmp_path / "offer.json"
    write_offer(path, encoder)
    worker = OfferFollower(path, shelved.shelf, "redis://127.0.0.1:1/0")
    worker.look()
    found = worker.scorer.score(shelved.source.users_of[0], shelved.source.authors_of[:3], shelved.now)
    assert found.flags == ("degraded",)
    assert Follower(shelved.shelf, "redis://127.0.0.1:1/0").look() is None  # the encoder waits for it


def test_a_rollback_to_what_serves_takes_the_refusal_back(encoder, shelved):
    events: list[tuple[str, str]] = []
    encoder.tell = lambda *event: events.append(event)
    pointer = shelved.shelf.path / "CURRENT"
    whole = pointer.read_text()
    pointer.write_text(json.dumps({"bundle": "nowhere", "previous": [], "pinned": False}))
    encoder.look()
    pointer.write_text(whole)
    encoder.look()
    encoder.look()
    assert [what for what, _ in events] == ["refused", "kept"] and encoder.refused is None
