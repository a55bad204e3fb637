"""An open loop of requests to running services: each is sent when it is due, whether earlier ones were answered or not.

A time of response counts from when the request was due, so a service that falls behind shows it (coordinated omission
would hide it), and so would a client that does.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.errors import InputError

WHOLE = b'"missing":{}'
"""what an answer has in which every author got a score"""
SECONDS = 30.0
"""time limit of an answer"""


@dataclass(frozen=True)
class Arrivals:
    """Requests (n,) in the order of their times.

    Attributes:
        due: (n,) seconds from the start.
        hour: (n,) of the simulated day.
        side: (n,) which service is asked.
    """

    due: NDArray[np.float64]
    hour: NDArray[np.int64]
    side: NDArray[np.int64]


@dataclass(frozen=True)
class Answered:
    """What became of requests (n,).

    Attributes:
        milliseconds: (n,) from when it was due to the whole answer.
        late: (n,) milliseconds from when it was due to its sending.
        status: (n,) HTTP status.
        whole: (n,) whether every author got a score.
    """

    milliseconds: NDArray[np.float64]
    late: NDArray[np.float64]
    status: NDArray[np.int64]
    whole: NDArray[np.bool_]


def day_of_arrivals(
    rates: NDArray[np.float64], seconds: float, turn: float, sides: int, seed: int = 0
) -> Arrivals:
    """Draws the arrivals of a day as a Poisson process whose rate changes by the hour.

    Args:
        rates: (hours,) requests a second.
        seconds: real ones for an hour.
        turn: seconds after which the next service is asked; the services share each hour by turns.
        sides: number of services.
    """
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rates * seconds)
    hour = np.repeat(np.arange(len(rates)), counts)
    due = np.sort(hour + rng.random(len(hour))) * seconds
    return Arrivals(due, hour, (due // turn).astype(np.int64) % sides)


def run_load(urls: Sequence[str], arrivals: Arrivals, bodies: Sequence[Sequence[bytes]]) -> Answered:
    """Sends the requests and waits for all answers.

    Args:
        urls: of the services.
        bodies: by service, of its requests to ``/v1/score``; taken in turn.

    Raises:
        InputError: a service that cannot be reached, or that ends a connection.
    """
    # Other selectors round a wait up to a millisecond.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    try:
        return loop.run_until_complete(_send_all(urls, arrivals, bodies))
    finally:
        loop.close()


async def _send_all(urls: Sequence[str], arrivals: Arrivals, bodies: Sequence[Sequence[bytes]]) -> Answered:
    pools = [_Pool(url) for url in urls]
    count = len(arrivals.due)
    found = Answered(np.empty(count), np.empty(count), np.empty(count, np.int64), np.empty(count, bool))
    loop, taken = asyncio.get_running_loop(), [0] * len(urls)
    start = loop.time()

    async def ask(place: int, side: int, due: float) -> None:
        own = bodies[side]
        body = own[taken[side] % len(own)]
        taken[side] += 1
        found.late[place] = 1000 * (loop.time() - due)
        status, content = await pools[side].post(body)
        found.milliseconds[place] = 1000 * (loop.time() - due)
        found.status[place], found.whole[place] = status, WHOLE in content

    try:
        async with asyncio.TaskGroup() as group:
            for place, (due, side) in enumerate(
                zip(arrivals.due.tolist(), arrivals.side.tolist(), strict=True)
            ):
                await asyncio.sleep(max(0.0, start + due - loop.time()))
                group.create_task(ask(place, side, start + due))
    except* (OSError, EOFError) as errors:
        raise InputError(f"a service is gone ({errors.exceptions[0]!r})") from None
    finally:
        for pool in pools:
            pool.close()
    return found


class _Pool:
    """Persistent connections to a service, as many as requests are under way."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, body: bytes) -> tuple[int, bytes]:
        """Status and content of the answer to a body."""
        async with asyncio.timeout(SECONDS):
            reader, writer = self._kept() or await asyncio.open_connection(
                self._address.hostname, self._address.port
            )
            head = f"POST /v1/score HTTP/1.1\r\nHost: {self._address.netloc}\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            status, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            fields = dict(line.lower().split(": ", 1) for line in lines if line)
            content = await reader.readexactly(int(fields["content-length"]))
            self._free.append((reader, writer))
            return int(status.split()[1]), content

    def _kept(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A free connection that the service has not closed, being idle."""
        while self._free:
            reader, writer = self._free.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()
        return None

    def close(self) -> None:
        """Closes the connections."""
        for _, writer in self._free:
            writer.close()
