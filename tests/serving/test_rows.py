"""Shared rows: readers of other processes see each row as it was written, whole, whatever becomes of the writer."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.serving.board.rows import SharedRows

COUNT, TOP, VIEWS = 40, 300, 30


def fill(rows: SharedRows, number: float) -> None:
    """Writes one number into every field of every row but the first."""
    places = np.arange(1, COUNT)
    fields = {"top": (COUNT - 1, TOP), "views": (COUNT - 1, VIEWS)}
    rows.write(
        places,
        np.full(COUNT - 1, number),
        {name: np.full(shape, number, np.float32) for name, shape in fields.items()},
    )


def number_of(rows: SharedRows) -> float:
    """The largest number in the rows; fails if a row has two."""
    found = rows.read(np.arange(1, COUNT))
    for name in ("top", "views"):
        np.testing.assert_array_equal(
            found[name], np.repeat(found["end"], found[name][0].size).reshape(COUNT - 1, -1)
        )
    return float(found["end"].max())


def test_what_is_written_is_read_by_whoever_opens_the_path():
    rows = SharedRows.create("b1", COUNT, TOP, VIEWS)
    for number in (3.0, 4.0, 5.0):
        fill(rows, number)
        other = SharedRows.open(rows.path, "b1")
        assert number_of(other) == number_of(rows) == number
        assert other.ends.tolist() == [0.0] + [number] * (COUNT - 1)
    with pytest.raises(ValueError, match="read-only"):
        other.ends[0] = 1
    with pytest.raises(InputError, match="the board of bundle b1, not of b2"):
        SharedRows.open(rows.path, "b2")


def test_a_model_without_views_has_none():
    assert SharedRows.create("b", 3, TOP, 0).read(np.array([1])).dtype.names == ("end", "top")


def test_a_row_that_changes_while_it_is_read_is_read_again():
    rows = SharedRows.create("b", COUNT, TOP, VIEWS)
    fill(rows, 1.0)

    class Slow:
        """Slots of a reader that is held up after its copy: the writer comes round to the slot it has copied."""

        taken = 0

        def take(self, index):
            copied = slots.take(index)
            self.taken += 1
            if self.taken == 1:
                rows._slots = slots
                fill(rows, 2.0)
                fill(rows, 3.0)
                rows._slots = self
            return copied

    slots, rows._slots = rows._slots, Slow()
    assert number_of(rows) == 3.0 and rows._slots.taken == 2


def test_no_reader_sees_half_a_row_of_a_writer_that_never_rests_and_is_killed():
    rows = SharedRows.create("b", COUNT, TOP, VIEWS)
    fill(rows, 1.0)
    for pause in np.linspace(0.01, 0.1, 8):
        newest = number_of(rows)
        writer = os.fork()
        if writer == 0:
            while True:
                newest += 1
                fill(rows, newest)
        end, seen = time.monotonic() + pause, set()
        while time.monotonic() < end:
            seen.add(number_of(rows))
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        number_of(rows)
    assert number_of(rows) > 10


def test_rows_of_a_process_that_has_ended_cannot_be_opened_but_stay_readable():
    rows = SharedRows.create("b", COUNT, TOP, VIEWS)
    fill(rows, 7.0)
    other, path = SharedRows.open(rows.path, "b"), rows.path
    del rows
    with pytest.raises(InputError, match="the board of bundle b is gone with its encoder"):
        SharedRows.open(path, "b")
    assert number_of(other) == 7.0


def test_rows_that_nobody_wrote_take_no_memory():
    rows = SharedRows.create("b", 1_000_000, 256, 128)
    rows.write(np.array([500_000]), np.array([1.0]), {"top": np.ones((1, 256), np.float32)})
    assert os.stat(rows.path).st_size > 3e9
    assert os.stat(rows.path).st_blocks * 512 < 1e6
