"""The board: what becomes of a segment, and that an author on it is encoded as offline."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from mmbee_plugin.errors import InputError
from mmbee_plugin.serving.board.segment import Segment
from mmbee_plugin.serving.board.windows import Windows
from mmbee_plugin.serving.bundle.build import build_bundle
from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.serving.bundle.source import LiveContent
from mmbee_plugin.serving.swap.follower import Follower


def windows(length: int = 3) -> Windows:
    return Windows(LiveContent(30.0, length, {}))


def starts(kept: Windows, author: str = "a") -> list[float]:
    return [segment.start for segment in kept.of(author)]


def test_segments_take_their_place_in_time():
    kept = windows()
    answers = [kept.add("a", Segment(start, start + 30)) for start in (60, 0, 30, 60, 90, 120, 30, 0)]
    assert answers == [
        "accepted",
        "accepted",
        "accepted",
        "duplicate",
        "accepted",
        "accepted",
        "late",
        "late",
    ]
    assert starts(kept) == [60, 90, 120]
    assert kept.changed() == ["a"] and kept.changed(kept.changes) == []
    kept.add("b", Segment(0, 30))
    assert kept.changed(5) == ["b"]


def test_of_two_segments_of_one_start_the_first_stays():
    kept = windows()
    kept.add("a", Segment(0, 30, {"visual": np.ones((1, 2))}))
    assert kept.add("a", Segment(0, 99)) == "duplicate"
    assert kept.of("a")[0].end == 30


@pytest.fixture
def follower(live_shelved) -> Follower:
    made = Follower(live_shelved.shelf)
    made.look()
    return made


def stored(source, row: int, slot: int) -> Segment:
    values = {name: source.raw[name][row, slot] for name in source.raw if source.has[name][row, slot]}
    start = float(source.starts[row, slot])
    return Segment(start, start + 30, values)


def test_authors_are_encoded_as_offline(follower, live_shelved):
    """Each author's newest stored segment comes in again: nothing changes, so the board is the end of training."""
    source, board = live_shelved.source, follower.scorer.board
    rows = np.flatnonzero(source.there[:, -1])
    tokens = [source.authors_of[row] for row in rows]
    assert all(reason == "no live segment" for reason in board.places(tokens, live_shelved.now)[1].values())
    answers = [board.add(token, stored(source, row, -1)) for token, row in zip(tokens, rows, strict=True)]
    assert set(answers) == {"duplicate"}
    board.encode(tokens)
    places, missing = board.places(tokens, live_shelved.now)
    assert not missing
    found, ends = board.take(places)
    with torch.no_grad():
        expected = source.gtr.encode_author(source.authors(rows))
    torch.testing.assert_close(found.top[0], expected.top, atol=1e-5, rtol=1e-5)
    assert torch.equal(found.author[0], expected.author) and torch.equal(
        found.ids[0], torch.from_numpy(rows + 1)
    )
    assert (ends == live_shelved.now).all()


def test_a_new_segment_moves_the_window(follower, live_shelved):
    source, board = live_shelved.source, follower.scorer.board
    row = int(np.flatnonzero(source.there.all(axis=1))[0])
    token, new = source.authors_of[row], stored(source, 0, 0)
    new = Segment(live_shelved.now + 10, live_shelved.now + 40, {"speech": np.float32([[1, 2, 3, 4]])})
    assert follower.take([(token, new)]) == ["accepted"]
    source_side = source.authors(np.array([row]))
    for name, values in source_side.segments.items():
        values[:, :-1] = values[:, 1:].clone()
        source_side.segment_mask[name][:, :-1] = source_side.segment_mask[name][:, 1:].clone()
        values[:, -1], source_side.segment_mask[name][:, -1] = 0, False
    kind = source.live.modalities["speech"]
    scaled = (new.values["speech"] - kind.mean) / kind.deviation
    source_side.segments["speech"][0, -1] = torch.from_numpy(scaled)
    source_side.segment_mask["speech"][0, -1] = True
    with torch.no_grad():
        expected = source.gtr.encode_author(source_side)
    found, ends = board.take(board.places([token], live_shelved.now + 40)[0])
    torch.testing.assert_close(found.top[0], expected.top, atol=1e-5, rtol=1e-5)
    assert ends.tolist() == [live_shelved.now + 40]


def test_who_went_off_the_air_leaves_the_board(follower, live_shelved):
    now, author = live_shelved.now, live_shelved.source.authors_of[0]
    follower.take([(author, Segment(now, now + 30))])
    board = follower.scorer.board
    assert board.places([author], now + 30 + 20 * 30)[1] == {}
    assert board.places([author, "nobody"], now + 31 + 20 * 30)[1] == {
        0: "no live segment",
        1: "unknown author",
    }
    assert board.everyone(now + 31 + 20 * 30) == []


def test_how_long_an_author_stays_is_a_setting_of_the_bundle(live_shelved):
    now, shelf = live_shelved.now, live_shelved.shelf
    shelf.publish(build_bundle(live_shelved.source, shelf, on_air=7200))
    follower, author = Follower(shelf), live_shelved.source.authors_of[0]
    follower.look()
    follower.take([(author, Segment(now, now))])
    board = follower.scorer.board
    assert board.places([author], now + 7200)[1] == {}
    assert board.places([author], now + 7201)[1] == {0: "no live segment"}


def test_segments_without_a_length_need_the_time_that_authors_stay(random_source, tmp_path):
    source, shelf = random_source(), Shelf(tmp_path / "bundles")
    windows = source.windows
    source.windows = lambda rows: replace(windows(rows), ends=windows(rows).starts)
    count = int(source.there.sum())
    with pytest.raises(
        InputError, match=f"{count} of {count} segments end as they start.* leave the board 600 s later; "
    ):
        build_bundle(source, shelf)
    assert build_bundle(source, shelf, on_air=3600)


def test_who_is_off_the_air_for_long_is_dropped_and_seeded_again(live_shelved, tmp_path, monkeypatch):
    monkeypatch.setattr("mmbee_plugin.serving.board.windows.SWEEP", 3)
    now, source = live_shelved.now, live_shelved.source
    full, partly = (source.authors_of[row] for row in np.flatnonzero(source.there[:, -1])[[0, -1]])
    others = [author for author in source.authors_of if author not in (full, partly)][:3]
    follower = Follower(live_shelved.shelf, journal=tmp_path, keep=3600)
    follower.look()
    board = follower.scorer.board

    def pass_until(end: float) -> None:
        assert set(follower.take([(other, Segment(end - 30, end)) for other in others])) == {"accepted"}

    follower.take([(full, Segment(now, now + 30)), (partly, Segment(now + 60, now + 90))])
    pass_until(now + 30 + 3600)
    assert full in board.windows and now in starts(board.windows, full)
    pass_until(now + 60 + 3600)
    assert full not in board.windows and partly in board.windows
    assert full not in board.windows.changed() and board.windows._held == sum(
        len(own) for own in board.windows._of.values()
    )
    # Back on the air, it has the bundle's segments before the new one, as when it was first seen.
    follower.take([(full, Segment(now + 4000, now + 4030))])
    row = source.authors_of.index(full)
    kept = [float(start) for start in source.starts[row] if not np.isnan(start)]
    assert starts(board.windows, full) == [*kept, now + 4000][-source.live.length :]
    # So it is for who reads the journal, where the dropped one still is.
    again = Windows(source.live, tmp_path, keep=0)
    assert again._of.keys() == {full, *others}


def test_a_segment_from_the_future_drops_nobody(monkeypatch):
    monkeypatch.setattr("mmbee_plugin.serving.board.windows.SWEEP", 1)
    kept, now = Windows(LiveContent(30.0, 3, {}), keep=3600), time.time()
    kept.add("a", Segment(now - 30, now))
    kept.add("b", Segment(now + 1e9, now + 1e9 + 30))
    assert "a" in kept and kept.clock <= time.time()
    for number in range(2):  # long over, and not kept
        kept.add("c", Segment(now - 8000 - number, now - 7000))
    assert "c" not in kept and kept.of("c") == [] and "a" in kept


def test_an_author_whose_segment_is_not_kept_is_not_encoded(follower, live_shelved, monkeypatch):
    monkeypatch.setattr("mmbee_plugin.serving.board.windows.SWEEP", 1)
    now, (old, new) = live_shelved.now, live_shelved.source.authors_of[:2]
    follower.scorer.board.windows.keep = 3600
    follower.take([(new, Segment(now + 1e4, now + 1e4 + 30))])
    assert follower.take([(old, Segment(now, now + 30))]) == ["accepted"]
    assert follower.scorer.board.places([old, new], now + 1e4)[1] == {0: "no live segment"}


def test_a_new_bundle_encodes_who_is_on_the_air(follower, live_shelved):
    now, (off, on) = live_shelved.now, live_shelved.source.authors_of[:2]
    follower.take([(off, Segment(now - 30, now)), (on, Segment(now + 571, now + 601))])
    live_shelved.shelf.publish(live_shelved.ids[1])
    follower.look()
    board = follower.scorer.board
    assert on in board and off not in board
    follower.take([(off, Segment(now - 30, now))])  # a duplicate puts it there
    assert off in board


def test_segments_made_for_a_bundle_of_other_shapes_are_sent_back(follower, live_shelved):
    now, author = live_shelved.now, live_shelved.source.authors_of[0]
    live = follower.scorer.board.live
    with pytest.raises(InputError, match="a bundle of other segments serves now; post them again"):
        follower.take([(author, Segment(now, now + 30))], replace(live, length=live.length + 1))
    assert follower.take([(author, Segment(now, now + 30))], live) == ["accepted"]


def test_static_items_have_no_segments(static_shelved):
    follower = Follower(static_shelved.shelf)
    with pytest.raises(InputError, match="nobody reads segments"):
        follower.take([("a0", Segment(0, 30))])
    follower.look()
    with pytest.raises(InputError, match="nobody reads segments"):
        follower.take([("a0", Segment(0, 30))])
    board = follower.scorer.board
    assert board.places(["a3", "nobody", "a0"], 0.0) == ([4, 1], {1: "unknown author"})


def test_a_new_bundle_takes_the_segments_over(follower, live_shelved):
    now, tokens = live_shelved.now, live_shelved.source.authors_of[:5]
    follower.take([(token, Segment(now, now + 30)) for token in tokens])
    old = follower.scorer
    live_shelved.shelf.publish(live_shelved.ids[1])
    follower.look()
    assert follower.scorer is not old
    board = follower.scorer.board
    places, missing = board.places(tokens, now)
    assert not missing
    with torch.no_grad():
        own = board.encoded(
            board.bundle.tokens.rows(tokens).tolist(), [board.windows.of(token) for token in tokens]
        )
    torch.testing.assert_close(board.take(places)[0].top[0], own.top)
    # The old one still answers those who hold it.
    assert not old.board.places(tokens, now)[1]
