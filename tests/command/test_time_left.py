"""The time left of a long command."""

from __future__ import annotations

from mmbee_plugin.command import time_left
from mmbee_plugin.command.time_left import TimeLeft, in_words


def test_durations_in_words():
    assert [in_words(seconds) for seconds in (0.4, 89, 300, 7300)] == [
        *("about 0 s", "about 89 s", "about 5 min", "about 2.0 h"),
    ]


def test_what_was_there_before_took_no_time(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time_left.time, "monotonic", lambda: now[0])
    left = TimeLeft(36, "cells", there=4)
    assert str(left) == "time left unknown"
    now[0] += 50
    left.step()
    left.step()
    assert str(left) == "about 12 min left (measured on 2 of 36 cells)"  # 30 more of 25 s


def test_unequal_pieces_are_weighed(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time_left.time, "monotonic", lambda: now[0])
    left = TimeLeft(4, "stages", works=[0.0, 1.0, 9.0, 2.0])
    left.step()
    assert left.seconds is None  # nothing of weight is done
    assert TimeLeft(2, "stages", 1, [4.0, 4.0], before=60.0).seconds is None  # all is start and compilation
    now[0] = 30
    left.step()
    assert (
        left.seconds == 330 and left.beside("third") == "third; about 6 min left (measured on 2 of 4 stages)"
    )
    left.step()
    assert left.seconds == 6 and left.beside("last") == "last"


def test_what_was_measured_before_counts(monkeypatch):
    monkeypatch.setattr(time_left.time, "monotonic", lambda: 100.0)
    left = TimeLeft(3, "stages", 1, [8.0, 0.0, 4.0], before=60.0)
    assert str(left) == "about 30 s left (measured on 1 of 3 stages)"
