"""Admission control: bounded queues before the work; requests that would miss their deadline are refused."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from prometheus_client import Gauge

Answer = TypeVar("Answer")
MEMORY = 0.05
"""weight of the newest request in the running mean of the time of work"""
ROUNDS = 2
"""of the event loop after each request; it accepts one connection in a round, and reads from it in the next but one"""


class Refused(Exception):
    """A request was refused without being worked on.

    Attributes:
        status: HTTP status code: 429 for a full queue, 503 for a deadline that would be missed.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Lane(ABC):
    """Works on one request at a time, first in, first out; its methods must be called from one event loop.

    Args:
        limit: most requests waiting or in work.
        gauge: shows how many these are.
    """

    def __init__(self, limit: int, gauge: Gauge) -> None:
        self.limit, self.waiting, self._gauge = limit, 0, gauge
        self._mean = 0.0
        gauge.set(0)

    async def run(self, work: Callable[[], Answer], seconds: float) -> Answer:
        """The result of the work, in its turn.

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
            return await self._turn(lambda: self._work(work, deadline))
        finally:
            self._waits(-1)

    @abstractmethod
    def _turn(self, work: Callable[[], Answer]) -> asyncio.Future[Answer]:
        """Works on a request after those before it."""

    def _work(self, work: Callable[[], Answer], deadline: float) -> Answer:
        start = time.monotonic()
        if start > deadline:
            raise Refused(503, "it waited until its deadline was over")
        try:
            return work()
        finally:
            self._mean += MEMORY * (time.monotonic() - start - self._mean)

    def _waits(self, more: int) -> None:
        self.waiting += more
        self._gauge.set(self.waiting)


class ThreadLane(Lane):
    """Works in a thread of its own; for work that is long, or waits itself.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str, limit: int, gauge: Gauge) -> None:
        super().__init__(limit, gauge)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)

    def _turn(self, work: Callable[[], Answer]) -> asyncio.Future[Answer]:
        return asyncio.get_running_loop().run_in_executor(self._pool, work)


class LoopLane(Lane):
    """Works in the event loop, which between two requests reads and refuses others; for work of few milliseconds.

    Handing a request to a thread and back costs a tenth of scoring it, most of it in cold caches, and a thread that
    works holds up the one that refuses, since both need the interpreter's lock.
    """

    def __init__(self, limit: int, gauge: Gauge) -> None:
        super().__init__(limit, gauge)
        self._queue: deque[tuple[asyncio.Future[Any], Callable[[], Any]]] = deque()
        self._turning = False

    def _turn(self, work: Callable[[], Answer]) -> asyncio.Future[Answer]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._queue.append((future, work))
        if not self._turning:
            self._turning = True
            loop.call_soon(self._next, loop)
        return future

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._queue:
            self._turning = False
            return
        future, work = self._queue.popleft()
        if not future.done():  # nobody may wait for it any more
            try:
                future.set_result(work())
            except Exception as error:
                future.set_exception(error)
        self._after(ROUNDS, loop)

    def _after(self, rounds: int, loop: asyncio.AbstractEventLoop) -> None:
        if rounds:
            loop.call_soon(self._after, rounds - 1, loop)
        else:
            self._next(loop)
