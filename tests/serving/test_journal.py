"""The journal: a process that replaces one that was killed has the same windows, whatever the last one left."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.serving.board import windows as module
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


def test_a_disk_that_is_full_is_one_line_and_nothing_is_half_added(tmp_path, monkeypatch):
    windows = Windows(CONTENT, tmp_path)
    windows._journal._file.close()
    windows._journal._file = Path("/dev/full").open("ab", buffering=0)  # noqa: SIM115
    with pytest.raises(InputError, match=r"cannot be written .*No space left"):
        windows.add("a", segment(1))
    assert windows.of("a") == [] and windows.changes == 0


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
