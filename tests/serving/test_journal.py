"""The journal: a process that replaces one that was killed has the same windows, whatever the last one left."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from errno import ENOSPC
from types import SimpleNamespace

import numpy as np
import pytest

from mmbee_plugin.files import replaced
from mmbee_plugin.serving.board import windows as module
from mmbee_plugin.serving.board.journal import NotKept
from mmbee_plugin.serving.board.segment import Segment
from mmbee_plugin.serving.board.windows import Windows
from mmbee_plugin.serving.bundle.source import LiveContent, LiveModality
from mmbee_plugin.serving.swap.follower import Follower

ONE = np.ones(3, np.float32)
CONTENT = LiveContent(30.0, 3, {"visual": LiveModality(2, 3, "float16", ONE, ONE)})


def segment(start: float) -> Segment:
    values = {"visual": np.full((2, 3), start, np.float16)} if start % 2 else {}
    return Segment(start, start + 30, values)


def described(windows: Windows, author: str) -> list[tuple]:
    return [
        (one.start, one.end, {name: (v.dtype, v.tolist()) for name, v in one.values.items()})
        for one in windows.of(author)
    ]


def test_who_comes_after_has_the_same_windows(tmp_path):
    first = Windows(CONTENT, tmp_path)
    for start in (5, 1, 3, 5, 7, 0, 8):
        for author in ("a", "ü"):
            first.add(author, segment(start))
    again = Windows(CONTENT, tmp_path)
    for author in ("a", "ü"):
        assert described(again, author) == described(first, author)
        assert [one.start for one in again.of(author)] == [5, 7, 8]
    assert again.changed() == ["a", "ü"]
    assert Windows(CONTENT).of("a") == []
    # Another format has a file of its own.
    other = LiveContent(30.0, 3, {"visual": LiveModality(1, 3, "float16", ONE, ONE)})
    assert Windows(other, tmp_path).of("a") == []
    assert len(Windows(CONTENT, tmp_path).of("a")) == 3


def test_a_record_that_was_cut_short_is_dropped_wherever_it_was_cut(tmp_path):
    windows = Windows(CONTENT, tmp_path)
    windows.add("a", segment(1))
    (path,) = tmp_path.iterdir()
    whole = len(path.read_bytes())
    windows.add("a", segment(3))
    both = path.read_bytes()
    for cut in range(whole, len(both)):
        path.write_bytes(both[:cut])
        assert [one.start for one in Windows(CONTENT, tmp_path).of("a")] == [1]
        Windows(CONTENT, tmp_path).add("a", segment(5))
        assert [one.start for one in Windows(CONTENT, tmp_path).of("a")] == [1, 5]


def test_the_file_stays_below_twice_the_windows(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ENOUGH", 20)
    windows = Windows(CONTENT, tmp_path)
    counts, record = [], None
    for start in range(200):
        for author in "abcde":
            windows.add(author, segment(2 * start + 1))
        counts.append(windows._journal.count)
        if record is None:
            record = windows._journal.path.stat().st_size / 5
    assert max(counts) == 2 * 3 * 5
    assert windows._journal.path.stat().st_size < 2 * counts[-1] * record
    again = Windows(CONTENT, tmp_path)
    for author in "abcde":
        assert described(again, author) == described(windows, author)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a disk that is filling up, a write takes what there is room for, and the next one fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_is_one_line_and_nothing_is_half_added(tmp_path):
    windows = Windows(CONTENT, tmp_path)
    windows.add("a", segment(1))
    (path,) = tmp_path.iterdir()
    end = long = path.stat().st_size
    windows.add("a", segment(2))
    short, end = path.stat().st_size - end, path.stat().st_size
    for room in range(long):
        with (
            files_of_at_most(end + room),
            pytest.raises(NotKept, match=r"cannot be written .*; send it again"),
        ):
            windows.add("b", segment(3))
        assert windows.of("b") == [] and windows.changes == room + 2
        assert described(Windows(CONTENT, tmp_path), "a") == described(windows, "a")
        windows.add("a", segment(2 * room + 4))  # shorter than what was cut
        end += short
        assert described(Windows(CONTENT, tmp_path), "a") == described(windows, "a")


def test_what_is_not_as_it_was_written_is_dropped(tmp_path):
    windows = Windows(CONTENT, tmp_path)
    windows.add("a", segment(1))
    path = windows._journal.path
    whole = path.stat().st_size
    windows.add("a", segment(3))
    both = path.read_bytes()
    for place in range(whole, len(both)):
        path.write_bytes(both[:place] + bytes([both[place] ^ 1]) + both[place + 1 :])
        assert [one.start for one in Windows(CONTENT, tmp_path).of("a")] == [1]
    path.write_bytes(both + bytes(100))
    assert [one.start for one in Windows(CONTENT, tmp_path).of("a")] == [1, 3]


def test_a_journal_that_cannot_be_written_anew_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ENOUGH", 20)
    windows, tries = Windows(CONTENT, tmp_path), []

    @contextmanager
    def no_space(path, mode):
        tries.append(path)
        with replaced(path, mode) as file:
            yield file
            raise OSError(ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr("mmbee_plugin.serving.board.journal.replaced", no_space)
        for start in range(200):
            assert windows.add("a", segment(start)) == "accepted"
    assert windows._journal.count == 200 and len(tries) == 4  # at 20, 40, 80 and 160
    assert described(Windows(CONTENT, tmp_path), "a") == described(windows, "a")
    for start in range(200, 400):
        windows.add("a", segment(start))
    assert windows._journal.count <= 20
    assert described(Windows(CONTENT, tmp_path), "a") == described(windows, "a")


def test_segments_before_one_that_is_not_kept_are_on_the_board(live_shelved, tmp_path, monkeypatch):
    now, tokens = live_shelved.now, live_shelved.source.authors_of[:4]
    follower = Follower(live_shelved.shelf, journal=tmp_path)
    follower.look()
    given = [(token, Segment(now, now + 30)) for token in tokens]
    assert set(follower.take(given[:2])) == {"accepted"}
    given = [(token, Segment(now + 30, now + 60)) for token in tokens]
    written = []

    def pwrite(*arguments):
        written.append(arguments)
        if len(written) > 3:
            raise OSError(ENOSPC, "No space left on device")
        return os.pwrite(*arguments)

    with monkeypatch.context() as full:
        full.setattr("mmbee_plugin.serving.board.journal.os", SimpleNamespace(pwrite=pwrite))
        with pytest.raises(NotKept, match="No space left"):
            follower.take(given)
    board = follower.scorer.board
    places, missing = board.places(tokens, now)
    assert missing == {3: "no live segment"} and board.take(places)[1].tolist() == [now + 60] * 3
    assert follower.take(given) == ["duplicate"] * 3 + ["accepted"]


def test_a_new_encoder_has_the_board_of_the_old_one(live_shelved, tmp_path):
    now, tokens = live_shelved.now, live_shelved.source.authors_of[:7]
    first = Follower(live_shelved.shelf, journal=tmp_path)
    first.look()
    for number in range(2):
        given = [
            (
                token,
                Segment(
                    now + 30 * number, now + 30 * number + 30, {"speech": np.float32([[number, 1, 2, 3]])}
                ),
            )
            for token in tokens
        ]
        assert set(first.take(given)) == {"accepted"}
    second = Follower(live_shelved.shelf, journal=tmp_path)
    second.look()
    (places, missing), (again, _) = (one.scorer.board.places(tokens, now) for one in (first, second))
    assert places == again and not missing
    assert second.scorer.board.everyone(now) == first.scorer.board.everyone(now)
    (found, ends), (other, others) = (one.scorer.board.take(places) for one in (first, second))
    np.testing.assert_array_equal(found.top.numpy(), other.top.numpy())
    np.testing.assert_array_equal(ends, others)
