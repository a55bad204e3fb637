"""Admission control: a bounded queue before one worker thread; requests that would miss their deadline are refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from prometheus_client import Gauge

Answer = TypeVar("Answer")
MEMORY = 0.05
"""weight of the newest request in the running mean of the time of work"""


class Refused(Exception):
    """A request was refused without being worked on.

    Attributes:
        status: HTTP status code: 429 for a full queue, 503 for a deadline that would be missed.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Lane:
    """One thread that works on requests first in, first out; its methods must be called from one event loop.

    Args:
        name: of the thread.
        limit: most requests waiting or in work.
        gauge: shows how many these are.
    """

    def __init__(self, name: str, limit: int, gauge: Gauge) -> None:
        self.limit, self.waiting, self._gauge = limit, 0, gauge
        gauge.set(0)
        self._mean = 0.0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, work: Callable[[], Answer], seconds: float) -> Answer:
        """Runs work in the lane's thread.

        Args:
            seconds: deadline from now for starting the work.

        Raises:
            Refused: the queue is full, or the work could not or did not start before the deadline.
        """
        if self.waiting >= self.limit:
            raise Refused(429, f"{self.waiting} requests wait already")
        if self.waiting * self._mean > seconds:
            raise Refused(503, f"{self.waiting} requests wait, too many to answer in {1000 * seconds:g} ms")
        deadline = time.monotonic() + seconds
        self._waits(1)
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._work, work, deadline)
        finally:
            self._waits(-1)

    def close(self) -> None:
        """Ends the thread once its work is done."""
        self._pool.shutdown()

    def _waits(self, more: int) -> None:
        self.waiting += more
        self._gauge.set(self.waiting)

    def _work(self, work: Callable[[], Answer], deadline: float) -> Answer:
        start = time.monotonic()
        if start > deadline:
            raise Refused(503, "it waited until its deadline was over")
        try:
            return work()
        finally:
            self._mean += MEMORY * (time.monotonic() - start - self._mean)
