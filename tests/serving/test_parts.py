"""A followed folder of Parquet parts: each is read once, with the answers that posted segments get."""

from __future__ import annotations

import os
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mmbee_plugin.serving.board.journal import NotKept
from mmbee_plugin.serving.board.segment import Segment
from mmbee_plugin.serving.board.windows import Windows
from mmbee_plugin.serving.intake.parts import PartsFollower
from mmbee_plugin.serving.swap.follower import Follower

pl = pytest.importorskip("polars", reason="the logs extra is not installed")


class Followed:
    """A follower of a folder, and what it told and counted."""

    def __init__(self, shelf, folder: Path) -> None:
        self.folder, self.told, self.became = folder, [], Counter()
        folder.mkdir(exist_ok=True)
        self.follower = Follower(shelf)
        self.parts = PartsFollower(
            folder, self.follower, self.became.update, lambda *one: self.told.append(one)
        )

    def write(self, name: str, rows: list[dict], **types) -> None:
        kinds = {"author_id": pl.String, "start": pl.Int64, "end": pl.Int64}
        kinds |= {"visual": pl.List(pl.Float32), "speech": pl.List(pl.Float32), **types}
        frame = pl.DataFrame([{"visual": None, "speech": None, **row} for row in rows], schema=kinds)
        frame.write_parquet(self.folder / f".{name}")
        os.replace(self.folder / f".{name}", self.folder / name)


@pytest.fixture
def followed(live_shelved, tmp_path):
    made = Followed(live_shelved.shelf, tmp_path / "segments")
    made.follower.look()
    return made


def row(author: str | None, start: float | None, **more) -> dict:
    start_ms = None if start is None else round(1000 * start)
    return {
        "author_id": author,
        "start": start_ms,
        "end": None if start is None else start_ms + 30_000,
        **more,
    }


def test_parts_are_what_posted_segments_are(followed, live_shelved):
    now, (one, other, full) = live_shelved.now, live_shelved.source.authors_of[:3]
    full = live_shelved.source.authors_of[int(np.flatnonzero(live_shelved.source.there.all(axis=1))[0])]
    visual = [float(number) for number in range(10)]
    followed.write(
        "1.parquet",
        [
            row(one, now + 30, visual=visual, speech=[1, 2, 3, 4]),
            row(one, now, speech=[4, 3, 2, 1]),
            row(one, now + 30),
            row(other, now, visual=visual[:-1]),
            row(other, now, visual=[]),
            row(other, now, speech=[1.0, 2.0, 3.0, float("nan")]),
            row("nobody", now),
            row(full, 1.0),
            row(None, now),
            row("", now),
            row(other, None),
            {**row(other, now), "end": 0},
        ],
    )
    followed.parts.look()
    assert followed.became == {
        "accepted": 2,
        "duplicate": 1,
        "wrong shape": 2,
        "not finite": 1,
        "unknown author": 1,
        "late": 1,
        "incomplete": 3,
        "ends before it starts": 1,
    }
    posted = Follower(live_shelved.shelf)
    posted.look()
    kinds = live_shelved.source.live.modalities
    values = {
        "visual": np.reshape(visual, (2, 5)).astype(kinds["visual"].dtype),
        "speech": np.float32([[1, 2, 3, 4]]),
    }
    posted.take([(one, Segment(now + 30, now + 60, values))])
    posted.take([(one, Segment(now, now + 30, {"speech": np.float32([[4, 3, 2, 1]])}))])
    boards = [each.scorer.board for each in (followed.follower, posted)]
    (found, ends), (expected, expected_ends) = (board.take(board.places([one], now)[0]) for board in boards)
    np.testing.assert_array_equal(found.top.numpy(), expected.top.numpy())
    assert ends.tolist() == expected_ends.tolist() == [now + 60]
    assert followed.told == [("read", f"{followed.folder / '1.parquet'}: 12 segments")]


def test_a_part_is_read_once_and_a_replaced_one_again(followed, live_shelved):
    now, author = live_shelved.now, live_shelved.source.authors_of[0]
    followed.write("1.parquet", [row(author, now)])
    for _ in range(3):
        followed.parts.look()
    assert len(followed.told) == 1 and followed.became == {"accepted": 1}
    followed.write("1.parquet", [row(author, now), row(author, now + 30)])
    followed.write("2.parquet", [row(author, now + 60)])
    followed.parts.look()
    assert len(followed.told) == 3 and followed.became == {"accepted": 3, "duplicate": 1}


def test_a_part_waits_where_its_segments_cannot_be_kept(followed, live_shelved, monkeypatch):
    now, author = live_shelved.now, live_shelved.source.authors_of[0]
    for number in range(3):
        followed.write(f"{number}.parquet", [row(author, now + 30 * number)])

    def full(windows, *segment):
        raise NotKept("segments-1: cannot be written (No space left on device)")

    with monkeypatch.context() as disk:
        disk.setattr(Windows, "_keep", full)
        for _ in range(3):
            followed.parts.look()
    (told,) = followed.told
    assert told[0] == "bad" and "0.parquet waits: segments-1: cannot be written" in told[1]
    assert followed.became == {}
    for _ in range(2):
        followed.parts.look()
    assert followed.became == {"accepted": 3} and len(followed.told) == 4


def test_a_new_process_reads_what_may_still_be_on_the_air(followed, live_shelved):
    now, authors = live_shelved.now, live_shelved.source.authors_of
    for name, author, age in (("new", authors[0], 0), ("old", authors[1], 3600)):
        followed.write(f"{name}.parquet", [row(author, now)])
        os.utime(followed.folder / f"{name}.parquet", (time.time() - age,) * 2)
    followed.parts.look()
    assert [line for _, line in followed.told] == [f"{followed.folder / 'new.parquet'}: 1 segments"]
    board = followed.follower.scorer.board
    assert board.places(authors[:2], now)[1] == {1: "no live segment"}


def test_what_is_no_part_is_one_line_and_holds_up_nobody(followed, live_shelved):
    now, author = live_shelved.now, live_shelved.source.authors_of[0]
    followed.write("5.parquet", [row(author, now)])
    followed.write("4.parquet", [row(author, now)], visual=pl.List(pl.Float64))
    followed.write("3.parquet", [{**row(author, now), "start": "noon"}], start=pl.String)
    (followed.folder / "2.parquet").write_bytes((followed.folder / "5.parquet").read_bytes()[:-40])
    (followed.folder / "1.parquet").write_bytes(b"")
    (followed.folder / ".6.parquet").write_bytes(b"")
    (followed.folder / "7.parquet.tmp").write_bytes(b"")
    (followed.folder / "8.parquet").mkdir()
    pl.DataFrame({"author_id": [author]}).write_parquet(followed.folder / "0.parquet")
    for _ in range(2):
        followed.parts.look()
    assert Counter(what for what, _ in followed.told) == {"bad": 5, "read": 1}
    assert followed.became == {"accepted": 1}
    lines = "\n".join(line for _, line in followed.told)
    assert lines.count("\n") == 5
    for expected in (
        "0.parquet: no column 'start'; found author_id",
        "column visual: type List(Float64); List(Float32) is needed",
        "column start: type String; Int64 is needed",
    ):
        assert expected in lines


def test_parts_wait_for_a_bundle_of_live_data(shelved, tmp_path):
    followed = Followed(shelved.shelf, tmp_path / "segments")
    followed.write("1.parquet", [row(shelved.source.authors_of[0], shelved.now)])
    followed.parts.look()
    assert followed.told == []
    followed.follower.look()
    followed.parts.look()
    assert len(followed.told) == (shelved.source.live is not None)


def test_a_folder_that_is_gone_is_one_line(followed):
    followed.folder.rmdir()
    followed.parts.look()
    assert [what for what, _ in followed.told] == ["bad"] and "No such file" in followed.told[0][1]
