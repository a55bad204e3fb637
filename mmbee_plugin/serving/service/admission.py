"""Admission: a bounded queue before one worker thread; what cannot be done in time is refused before it is begun."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Answer = TypeVar("Answer")
MEMORY = 0.05
"""share of the newest request in the running mean of how long work takes"""


class Refused(Exception):
    """A request that is not worked on.

    Attributes:
        status: of HTTP: 429 where the queue is full, 503 where the answer would come too late.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Lane:
    """One thread that works on requests in their order. Its methods belong to one event loop.

    Args:
        name: of the thread.
        limit: requests that may wait or be worked on.
    """

    def __init__(self, name: str, limit: int) -> None:
        self.limit, self.waiting = limit, 0
        self._mean = 0.0
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, work: Callable[[], Answer], seconds: float) -> Answer:
        """Runs work in the lane's thread.

        Args:
            seconds: after which no answer is wanted.

        Raises:
            Refused: the queue is full, or the answer would come, or has become, too late; nothing was done.
        """
        if self.waiting >= self.limit:
            raise Refused(429, f"{self.waiting} requests wait already")
        if self.waiting * self._mean > seconds:
            raise Refused(503, f"{self.waiting} requests wait, too many to answer in {1000 * seconds:g} ms")
        deadline = time.monotonic() + seconds
        self.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._work, work, deadline)
        finally:
            self.waiting -= 1

    def close(self) -> None:
        """Ends the thread once its work is done."""
        self._pool.shutdown()

    def _work(self, work: Callable[[], Answer], deadline: float) -> Answer:
        start = time.monotonic()
        if start > deadline:
            raise Refused(503, "it waited until its deadline was over")
        try:
            return work()
        finally:
            self._mean += MEMORY * (time.monotonic() - start - self._mean)
