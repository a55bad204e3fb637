"""Measures the cost of a request to the service, alternating the sides of each comparison within one run:

python benchmarks/serving.py                          # 20,000 users x 5,000 authors, 200 candidates a request
python benchmarks/serving.py --redis=redis://localhost:6379/0

Models have the paper's shapes (MLP head, d 64, N 4, L 5, SIM over 50 behaviours) and random weights, tables, histories
and segments, so figures are of cost only. Times are processor seconds of one thread, or of the service's process; a
line has medians over the rounds with the lowest and highest, and the ratio.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import uvicorn
from serving_source import opened, walked

from mmbee_plugin.figures.random_source import NOW, RandomSource
from mmbee_plugin.figures.services import Segments, Served
from mmbee_plugin.serving.bundle.build import build_bundle
from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.serving.client import Client, ServiceError
from mmbee_plugin.serving.explanation import explain
from mmbee_plugin.serving.scorer import Scorer
from mmbee_plugin.serving.service.app import Service
from mmbee_plugin.serving.service.limits import Limits
from mmbee_plugin.serving.service.metrics import Metrics
from mmbee_plugin.serving.swap.follower import Follower


def alternately(rounds: int, sides: dict[str, Callable[[], Any]], times: int = 20) -> dict[str, list[float]]:
    """Side -> milliseconds of this thread's processor time per call, one value a round; the sides alternate."""
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, work in sides.items():
            start = time.thread_time()
            for _ in range(times):
                work()
            spent[name].append(1000 * (time.thread_time() - start) / times)
    return spent


def call_by_call(rounds: int, sides: dict[str, Callable[[], Any]], times: int = 20) -> dict[str, list[float]]:
    """As `alternately`, one value a call."""
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, work in sides.items():
            for _ in range(times):
                start = time.thread_time()
                work()
                spent[name].append(1000 * (time.thread_time() - start))
    return spent


def line(what: str, spent: dict[str, list[float]], compared: str) -> None:
    """Prints each side's median with the lowest and highest, and a comparison."""
    shown = (
        f"{name} {statistics.median(one):.4f} ({min(one):.4f}-{max(one):.4f})" for name, one in spent.items()
    )
    print(f"{what}: {', '.join(shown)} ms; {compared}", flush=True)


def ratio(spent: dict[str, list[float]], above: str, below: str) -> float:
    """Ratio of two sides' medians."""
    return statistics.median(spent[above]) / statistics.median(spent[below])


def ask(
    url: str, candidates: int, requests: int, users: int, authors: int, seed: int, found: Any = None
) -> None:
    """A client: sends requests in sequence, then puts the count of each answer (bundle or error status) in a queue."""
    client, rng = Client(url), np.random.default_rng(seed)
    seen: dict[Any, int] = {}
    for _ in range(requests):
        chosen = [f"a{row}" for row in rng.choice(authors, candidates, replace=False)]
        try:
            answer: Any = client.score(f"u{rng.integers(users)}", chosen, time=NOW)["bundle"]
        except ServiceError as error:
            answer = error.status
        seen[answer] = seen.get(answer, 0) + 1
    if found is not None:
        found.put(seen)


class Running:
    """The service in a thread of this process, so that its processor time can be read."""

    def __init__(self, follower: Follower, limits: Limits) -> None:
        self.service = Service(follower, Metrics(), limits=limits)
        config = uvicorn.Config(self.service.app(), port=0, log_level="error", access_log=False)
        socket = config.bind_socket()
        self.url = "http://{}:{}".format(*socket.getsockname())
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, args=([socket],))
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)

    def stop(self) -> None:
        """Ends the service and its thread."""
        self.server.should_exit = True
        self.thread.join()


def clients(url: str, count: int, *arguments: Any) -> dict[Any, int]:
    """Runs ``count`` client processes; returns the count of each answer."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    started = [context.Process(target=ask, args=(url, *arguments, seed, queue)) for seed in range(count)]
    for one in started:
        one.start()
    total: dict[Any, int] = {}
    for _ in started:
        for answer, number in queue.get().items():
            total[answer] = total.get(answer, 0) + number
    for one in started:
        one.join()
    return total


def main() -> None:
    """Builds the bundles and prints the lines."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--authors", type=int, default=5_000)
    parser.add_argument("--candidates", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--requests", type=int, default=400, help="over HTTP, a client")
    parser.add_argument("--swaps", type=int, default=100)
    parser.add_argument("--redis", metavar="URL", help="measure a Redis too")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place, torch.inference_mode():
        run(given, Path(place))


def run(given: argparse.Namespace, place: Path) -> None:
    """Runs all comparisons."""
    sources = {name: RandomSource(given.users, given.authors, name == "MMBee") for name in ("MMBee", "SIM")}
    shelves = {name: opened(source, place / name) for name, source in sources.items()}
    scorers: dict[str, Scorer] = {name: follower.scorer for name, (_, follower) in shelves.items()}
    rng = np.random.default_rng(0)
    chosen = [f"a{row}" for row in rng.choice(given.authors, given.candidates, replace=False)]
    user = (f"u{number}" for number in iter(lambda: int(rng.integers(given.users)), None))

    spent = alternately(
        given.rounds,
        {name: lambda one=one: one.score(next(user), chosen, NOW) for name, one in scorers.items()},
    )
    more = statistics.median(spent["MMBee"]) - statistics.median(spent["SIM"])
    line(
        f"a request, {given.candidates} candidates, store read included", spent, f"MMBee costs {more:+.3f} ms"
    )

    board = scorers["MMBee"].board
    rows = scorers["MMBee"].bundle.tokens.rows(chosen).tolist()
    windows = [board.windows.of(author) for author in chosen]
    spent = alternately(
        given.rounds,
        {
            "encoded in the request": lambda: board.encoded(rows, windows),
            "taken from the board": lambda: board.take(board.places(chosen, NOW)[0]),
        },
        times=5,
    )
    line("authors", spent, f"{ratio(spent, *spent):.0f} times")
    rate = given.candidates / statistics.median(spent["encoded in the request"])
    whole = alternately(given.rounds, {"MMBee": lambda: scorers["MMBee"].score(next(user), chosen, NOW)})[
        "MMBee"
    ]
    without = statistics.median(whole) + statistics.median(spent["encoded in the request"])
    print(f"  a request: {without / statistics.median(whole):.1f} times with authors encoded in it")
    print(f"  encoder: {1000 * rate:,.0f} authors a second and core")

    spent = alternately(
        given.rounds,
        {
            "explained": lambda: explain(scorers["MMBee"], next(user), chosen[0], NOW),
            "scored": lambda: scorers["MMBee"].score(next(user), chosen[:1], NOW),
        },
        times=5,
    )
    line("one pair", spent, f"{ratio(spent, *spent):.0f} times")

    walk = walked(sources["MMBee"])
    stores = {"mapped": scorers["MMBee"].store.read}
    if given.redis:
        from mmbee_plugin.serving.store import redis

        folder = scorers["MMBee"].bundle.folder
        redis.fill(given.redis, folder, folder.name)
        dtype = np.load(folder / "users.npy", mmap_mode="r").dtype
        stores["Redis"] = redis.RedisStore(given.redis, folder.name, dtype, redis.PATIENCE).read
    places = board.places(chosen, NOW)[0]
    sides: dict[str, Callable[[], Any]] = {
        name: lambda read=read: (read(next(user)), board.take(places)) for name, read in stores.items()
    }
    candidates = [row - 1 for row in rows]
    walks = call_by_call(
        given.rounds, {"walked": lambda: walk(int(rng.integers(given.users)), candidates), **sides}
    )
    for name in stores:
        few, many = (np.percentile(walks["walked"], q) / np.percentile(walks[name], q) for q in (50, 99))
        print(f"neighbours of a request, walked over {name}: p50 {few:,.0f} times, p99 {many:,.0f} times")
    shown = (f"{name} {np.median(one):.3f} p99 {np.percentile(one, 99):.3f}" for name, one in walks.items())
    print(f"  {', '.join(shown)} ms", flush=True)
    if given.redis:
        redis.drop(given.redis, folder.name)

    over_http(given, shelves["MMBee"][1])
    swapped(given, shelves["MMBee"][0])


def over_http(given: argparse.Namespace, follower: Follower) -> None:
    """Prints the service's processor time per request and its share outside scoring."""
    scorer, scoring = follower.scorer, [0.0]
    assert scorer is not None
    plain = scorer.score

    def timed(*arguments: Any) -> Any:
        start = time.thread_time()
        found = plain(*arguments)
        scoring[0] += time.thread_time() - start
        return found

    scorer.score = timed
    running = Running(follower, Limits(seconds=60))
    arguments = given.candidates, given.requests, given.users, given.authors
    clients(running.url, 1, given.candidates, 50, given.users, given.authors)
    start, scoring[0] = time.process_time(), 0.0
    found = clients(running.url, 2, *arguments)
    total, count = time.process_time() - start, sum(found.values())
    running.stop()
    scorer.score = plain
    print(
        f"over HTTP, 2 clients: {1000 * total / count:.2f} ms of the service a request, "
        f"{1 - scoring[0] / total:.0%} of it not scoring; {found}",
        flush=True,
    )


def swapped(given: argparse.Namespace, shelf: Shelf) -> None:
    """Swaps `mmbee serve` between two bundles under load; prints failed requests and the growth of its worker."""
    other = RandomSource(given.users, given.authors, True, seed=1)
    ids = [shelf.current().bundle, build_bundle(other, shelf)]
    over, memory = threading.Event(), []
    with Served(shelf.path) as served, Segments(served, served.sample("authors", given.authors, 0)):
        client = Client(served.url)

        def swap() -> None:
            for number in range(given.swaps):
                shelf.publish(ids[(number + 1) % 2])
                while client.model()["versions"] != [ids[(number + 1) % 2]]:
                    time.sleep(0.02)
                memory.append(resident(served.worker()))
            over.set()

        swapper = threading.Thread(target=swap)
        swapper.start()
        found: dict[Any, int] = {}
        while not over.is_set():
            for answer, number in clients(served.url, 2, 50, 200, given.users, given.authors).items():
                found[answer] = found.get(answer, 0) + number
        swapper.join()
    failed = sum(number for answer, number in found.items() if answer not in ids)
    half = len(memory) // 2
    growth = (max(memory[half:]) - max(memory[:half] or memory)) / 1e6
    print(
        f"{given.swaps} swaps under load: {failed} of {sum(found.values()):,} requests failed, by bundle {found}; "
        f"the worker's memory {growth:+.0f} MB between the two halves of {max(memory) / 1e6:.0f}",
        flush=True,
    )


def resident(process: int) -> int:
    """Resident memory of a process in bytes, without shared pages."""
    pages = Path(f"/proc/{process}/statm").read_text().split()
    return (int(pages[1]) - int(pages[2])) * resource.getpagesize()


if __name__ == "__main__":
    main()
