"""Loads `mmbee serve` beyond what it can do, and takes its Redis away, both in an open loop of requests:

python benchmarks/serving_load.py                     # random models as in serving.py, 200 candidates a request
python benchmarks/serving_load.py --redis-server      # also with a Redis of its own, which is killed under load

Phases: a quarter of the capacity, then three times the capacity, then a quarter again. Capacity is what two clients get
that ask one request after the other. Times are by the clock, from when a request was due to its whole answer, so other
work on the machine is in them.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmbee_plugin.figures.load import Answered, Arrivals, run_load
from mmbee_plugin.figures.random_source import RandomSource
from mmbee_plugin.figures.services import Segments, Served, score_bodies
from mmbee_plugin.serving.bundle.build import build_bundle
from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.serving.service.limits import Limits

QUIET, BEYOND = 0.25, 3.0
"""of the capacity"""


def main() -> None:
    """Builds a bundle and prints the lines."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--authors", type=int, default=5_000)
    parser.add_argument("--candidates", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10.0, help="of a phase")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--queue", type=int, default=Limits.queue, help="places of a worker")
    parser.add_argument("--redis-server", action="store_true", help="kill a Redis under load too")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        shelf = Shelf(Path(place) / "bundles")
        shelf.publish(build_bundle(RandomSource(given.users, given.authors, True), shelf))
        overload(given, shelf.path)
        if given.redis_server:
            without_redis(given, shelf, Path(place))


def overload(given: argparse.Namespace, bundles: Path) -> None:
    """Prints a line for each phase, and how soon the last one is as the first."""
    with Served(bundles, f"--workers={given.workers}", f"--queue={given.queue}") as served:
        authors = served.sample("authors", given.authors, 0)
        with Segments(served, authors):
            bodies = score_bodies(served, authors, given.candidates, 2000)
            capacity = capacity_of(served.url, bodies)
            print(f"capacity: {capacity:.0f} requests a second, {given.workers} workers", flush=True)
            phases = [QUIET, BEYOND, QUIET]
            due, phase = poisson([share * capacity for share in phases], given.seconds)
            arrivals = Arrivals(due, phase, np.zeros(len(due), np.int64))
            found = run_load([served.url], arrivals, [bodies])
    for number, share in enumerate(phases):
        print(f"  {share:g} times: {described(found, phase == number)}", flush=True)
    before = np.percentile(found.milliseconds[(phase == 0) & (found.status == 200)], 99)
    during = np.percentile(found.milliseconds[(phase == 1) & (found.status == 200)], 99)
    print(f"  accepted requests under overload: p99 {during / before:.1f} times that before")
    since = due - 2 * given.seconds
    bad = since[(since > 0) & ((found.status != 200) | (found.milliseconds > 2 * before))]
    print(f"  after it the last request refused or slower than twice p99 came at {bad.max(initial=0):.1f} s")


def capacity_of(url: str, bodies: list[bytes], requests: int = 400) -> float:
    """Requests a second that two clients get who each wait for their answers."""

    def ask(own: list[bytes]) -> None:
        for body in own:
            urllib.request.urlopen(f"{url}/v1/score", body, timeout=60).read()

    ask(bodies[:50])
    threads = [threading.Thread(target=ask, args=[bodies[start : start + requests]]) for start in (50, 500)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 2 * requests / (time.monotonic() - start)


def poisson(rates: list[float], seconds: float) -> tuple[Any, Any]:
    """Times (n,) of arrivals, and the phase (n,) of each."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(np.array(rates) * seconds)
    phase = np.repeat(np.arange(len(rates)), counts)
    return np.sort(phase + rng.random(len(phase))) * seconds, phase


def described(found: Answered, chosen: Any) -> str:
    """Counts and times of some requests."""
    served, refused = chosen & (found.status == 200), chosen & np.isin(found.status, (429, 503))
    failed = int(chosen.sum() - served.sum() - refused.sum())
    parts = [f"{int(served.sum()):,} served, {quantiles(found, served)}", f"{int(refused.sum()):,} refused"]
    if refused.any():
        parts[-1] += f", {quantiles(found, refused)}"
    return "; ".join([*parts, f"{failed} failed; the client was late by {quantiles_of(found.late[chosen])}"])


def quantiles(found: Answered, chosen: Any) -> str:
    """p50 and p99 of the requests' times."""
    return quantiles_of(found.milliseconds[chosen])


def quantiles_of(milliseconds: Any) -> str:
    """p50 and p99."""
    middle, late = np.percentile(milliseconds, (50, 99))
    return f"p50 {middle:.1f} p99 {late:.1f} ms"


def without_redis(given: argparse.Namespace, shelf: Shelf, place: Path) -> None:
    """Prints what becomes of requests while their Redis is killed and comes back."""
    from mmbee_plugin.serving.store.redis import fill

    bundle, flagged = shelf.current().bundle, []
    over, moments = threading.Event(), []
    with Redis(place) as redis:
        fill(redis.url, shelf.path / bundle, bundle)
        with Served(shelf.path, f"--store={redis.url}") as served:
            authors = served.sample("authors", given.authors, 0)
            with Segments(served, authors):
                bodies = score_bodies(served, authors, given.candidates, 2000)
                due, phase = poisson([QUIET * capacity_of(served.url, bodies)] * 3, given.seconds)

                def kill() -> None:
                    time.sleep(given.seconds)
                    redis.stop()
                    time.sleep(given.seconds)
                    redis.start()
                    fill(redis.url, shelf.path / bundle, bundle)
                    moments.append(time.monotonic())

                threads = [
                    threading.Thread(target=watch, args=(served.url, flagged, over)),
                    threading.Thread(target=kill),
                ]
                for thread in threads:
                    thread.start()
                arrivals = Arrivals(due, phase, np.zeros(len(due), np.int64))
                found = run_load([served.url], arrivals, [bodies])
                over.set()
                for thread in threads:
                    thread.join()
    print("Redis is killed and comes back empty, then filled:")
    for number, name in enumerate(("before", "killed", "back")):
        print(f"  {name}: {described(found, phase == number)}", flush=True)
    pairs = list(itertools.pairwise(flagged))
    rising = [later for (_, count), (later, next_) in pairs if next_ > count]
    after = max(rising, default=moments[0]) - moments[0]
    print(
        f"  {flagged[-1][1] - flagged[0][1]:.0f} answers flagged degraded, the last {after:.1f} s after it was filled"
    )


class Redis:
    """A Redis without files on a free port, as a context."""

    def __init__(self, place: Path) -> None:
        self.place = place
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Redis:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        program = shutil.which("valkey-server") or shutil.which("redis-server")
        if program is None:
            raise SystemExit("no redis-server here")
        command = [
            program,
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(self.place),
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)

    def stop(self) -> None:
        """Kills it."""
        self.process.kill()
        self.process.wait()


def watch(url: str, flagged: list[tuple[float, float]], over: threading.Event) -> None:
    """Notes the count of degraded answers every tenth of a second."""
    name = 'mmbee_flags_total{flag="degraded"} '
    while not over.wait(0.1):
        text = urllib.request.urlopen(f"{url}/metrics", timeout=60).read().decode()
        count = next((float(line[len(name) :]) for line in text.splitlines() if line.startswith(name)), 0.0)
        flagged.append((time.monotonic(), count))


if __name__ == "__main__":
    main()
