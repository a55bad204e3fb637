"""Numbered tasks over the files of a log: in turn in this process, or as another engine runs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Task = Callable[[int], Any]
"""given its number; returns what JSON can hold, and writes the same when it is called again"""
Each = Callable[[int, Task], list[Any]]
"""calls a task with every number below a count, in any order; returns the results by number"""


def in_turn(count: int, task: Task) -> list[Any]:
    """Calls a task with every number below ``count``, one after another."""
    return [task(number) for number in range(count)]
