"""Hot swaps: under load no request fails, none mixes two bundles, and a bundle that is no good changes nothing."""

from __future__ import annotations

import json
import re
import threading
import time

import numpy as np
import pytest

from mmbee_plugin.serving.bundle.build import build_bundle
from mmbee_plugin.serving.service.limits import Limits
from mmbee_plugin.serving.swap.follower import Follower

SWAPS = 20


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("mmbee_plugin.serving.swap.follower.POLL", 0.01)


PATIENT = Limits(seconds=60)
"""for machines that others use too"""


def wait_for(running, bundle: str) -> None:
    """Returns once a bundle serves."""
    start = time.monotonic()
    while running.follower.scorer.bundle.id != bundle:
        assert time.monotonic() - start < 60, running.follower.refused
        time.sleep(0.005)


def test_swaps_under_load(shelved, run_service):
    shelf, source, now = shelved.shelf, shelved.source, shelved.now
    with run_service(shelf, limits=PATIENT) as running:
        if source.live is not None:
            running.post_stored(source)
        users = source.users_of[:8]
        expected = {}
        for bundle in shelved.ids:
            shelf.publish(bundle)
            wait_for(running, bundle)
            for user in users:
                expected[bundle, user] = running.client().score(user, source.authors_of, time=now)
        assert len({json.dumps(answer["scores"]) for answer in expected.values()}) == len(expected)

        failures: list[object] = []
        seen = dict.fromkeys(shelved.ids, 0)
        over = threading.Event()

        def load(seed: int) -> None:
            client, rng = running.client(), np.random.default_rng(seed)
            while not over.is_set():
                user = users[rng.integers(len(users))]
                try:
                    answer = client.score(user, source.authors_of, time=now)
                    wanted = expected[answer["bundle"], user]
                    same = np.allclose(
                        np.array(answer["scores"]["gift"], dtype=float),
                        np.array(wanted["scores"]["gift"], dtype=float),
                        atol=1e-6,
                        equal_nan=True,
                    )
                    if not same or answer["flags"] != wanted["flags"]:
                        failures.append((answer, wanted))
                    seen[answer["bundle"]] += 1
                except Exception as error:
                    failures.append(error)

        threads = [threading.Thread(target=load, args=(seed,)) for seed in range(3)]
        for thread in threads:
            thread.start()
        try:
            for swap in range(SWAPS):
                bundle = shelved.ids[swap % 2]
                shelf.publish(bundle)
                wait_for(running, bundle)
                time.sleep(0.01)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert not failures, failures[:1]
        assert min(seen.values()) > 10
        assert [what for what, _ in running.events] == ["swapped"] * len(running.events)


def test_segments_posted_during_swaps_are_on_the_board_afterwards(live_shelved, run_service):
    shelf, source, now = live_shelved.shelf, live_shelved.source, live_shelved.now
    with run_service(shelf, limits=PATIENT) as running:
        client, over = running.client(), threading.Event()

        def swap() -> None:
            for number in range(30):
                shelf.publish(live_shelved.ids[number % 2])
                time.sleep(0.01)
            over.set()

        swapper = threading.Thread(target=swap)
        swapper.start()
        rounds = 0
        while not over.is_set() or rounds < 3:
            rounds += 1
            segments = [
                {
                    "author": author,
                    "start": now + 30 * rounds,
                    "features": {"speech": [float(rounds), 1, 2, 3]},
                }
                for author in source.authors_of
            ]
            assert client.segments(segments)["counts"] == {"accepted": len(segments)}
        swapper.join()
        wait_for(running, shelf.current().bundle)
        board = running.follower.scorer.board
        places, missing = board.places(source.authors_of, now + 30 * rounds)
        assert not missing
        found, ends = board.take(places)
        assert (ends == now + 30 * rounds + 30).all()
        rows = board.bundle.tokens.rows(source.authors_of).tolist()
        again = board.encoded(rows, [board.windows.of(author) for author in source.authors_of])
        np.testing.assert_allclose(found.top[0].numpy(), again.top.numpy(), atol=1e-6)


def test_a_rollback_takes_less_than_two_seconds(shelved, run_service):
    shelf, (first, second) = shelved.shelf, shelved.ids
    with run_service(shelf, limits=PATIENT) as running:
        shelf.publish(second)
        wait_for(running, second)
        start = time.process_time()  # of all threads; by the clock only on a machine of one's own
        shelf.rollback()
        wait_for(running, first)
        assert time.process_time() - start < 2


def test_scores_that_differ_from_the_golden_ones_do_not_serve(random_source, live_shelved):
    """A source whose offline path scores otherwise than its parts say: the bundle is whole, and wrong."""

    class Skewed(type(live_shelved.source)):
        def logits(self, users, authors):
            return super().logits(users, authors) + 0.01

    shelf = live_shelved.shelf
    follower = Follower(shelf)
    follower.look()
    old = follower.scorer
    bad = build_bundle(Skewed(5), shelf)
    shelf.publish(bad)
    follower.look()
    assert follower.scorer is old
    expected = r"1,200 of 1,200 golden logits are not as offline, by up to 0\.0\d+; the bundle is not served"
    assert re.search(expected, follower.refused)


def test_a_fault_of_our_own_does_not_end_the_following(static_shelved, run_service, monkeypatch):
    shelf, (first, second) = static_shelved.shelf, static_shelved.ids
    with run_service(shelf, limits=PATIENT) as running:
        with monkeypatch.context() as patch:
            patch.setattr("mmbee_plugin.serving.swap.follower.open_bundle", lambda *arguments: 1 / 0)
            shelf.publish(second)
            start = time.monotonic()
            while running.follower.refused is None:
                assert time.monotonic() - start < 60
                time.sleep(0.005)
        assert "ZeroDivisionError" in running.follower.refused
        assert running.client().model()["versions"] == [first]
        running.follower._tried = None  # without the pause between two tries
        wait_for(running, second)


def test_what_is_refused_is_told_once_and_tried_again(static_shelved, monkeypatch):
    shelf, second = static_shelved.shelf, static_shelved.ids[1]
    events: list[tuple[str, str]] = []
    follower = Follower(shelf, tell=lambda *event: events.append(event))
    follower.look()
    shelf.publish(second)
    golden = shelf.path / second / "golden.json"
    whole = golden.read_bytes()
    golden.write_bytes(whole[:-1] + b" ")
    follower.look()
    golden.write_bytes(whole)
    for _ in range(3):
        follower.look()
    assert [what for what, _ in events] == ["swapped", "refused"] and follower.scorer.bundle.id != second
    monkeypatch.setattr("time.monotonic", lambda: float("inf"))
    follower.look()
    assert events[-1] == ("swapped", second) and follower.refused is None
