"""Services to be measured: `mmbee serve` in processes of its own, requests for it, and its authors' segments."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from mmbee_plugin.errors import InputError
from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.serving.bundle.tokens import TokenIndex
from mmbee_plugin.serving.client import Client, ServiceError

VARIANTS = 8
"""random segments that authors take in turn; encoding costs the same for any"""
PERIOD = 1.0
"""seconds between two batches of segments"""


class Served:
    """``mmbee serve`` over a folder of bundles, as a context; it ends with this process, whatever ends that.

    Args:
        bundles: the folder.
        options: of the command; without ``--port`` it takes a free one.

    Raises:
        InputError: nothing is published there, or it is not served.
    """

    def __init__(self, bundles: Path, *options: str) -> None:
        self.shelf, self.options = Shelf(bundles), options
        pointer = self.shelf.current()
        if pointer is None:
            raise InputError(f"{bundles}: no bundle is published; mmbee bundle publish does it")
        self.folder = bundles / pointer.bundle

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "mmbee_plugin.cli", "serve", str(self.shelf.path), "--port=0"]
        command.append(f"--parent={os.getpid()}")
        known = {name: value for name, value in os.environ.items() if name != "MMBEE_TOKEN"}
        self._process = subprocess.Popen(
            [*command, *self.options], stdout=subprocess.PIPE, text=True, env=known
        )
        assert self._process.stdout is not None
        line = "it ended at once"
        for line in self._process.stdout:
            if line.startswith("listening at "):
                self.url = line.split()[-1]
            elif line.startswith("serving bundle "):
                self._wait_until_ready()
                return self
            elif line.startswith("not served: "):
                break
        self.__exit__(None, None, None)
        raise InputError(f"{self.shelf.path}: is not served ({line.strip()})")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()

    def ended(self, seconds: float) -> bool:
        """Waits so long, and returns whether the service has ended by itself."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def processor_seconds(self) -> float:
        """Processor's time that its processes have used."""
        parents, used = {}, {}
        for file in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):  # it has ended meanwhile
                fields = file.read_text().rpartition(")")[2].split()
                process = int(file.parent.name)
                parents[process], used[process] = int(fields[1]), int(fields[11]) + int(fields[12])
        own = {self._process.pid}
        while more := {process for process, parent in parents.items() if parent in own} - own:
            own |= more
        return sum(used.get(process, 0) for process in own) / os.sysconf("SC_CLK_TCK")

    def worker(self) -> int:
        """Process id of the first worker."""
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        names = {Path(f"/proc/{child}/comm").read_text().strip(): int(child) for child in children}
        return names["mmbee worker 0"]

    def _wait_until_ready(self) -> None:
        client = Client(self.url)
        while True:
            try:
                client.model()
                return
            except ServiceError:  # the process that answers has not taken the bundle yet
                time.sleep(0.05)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Of the served bundle."""
        return json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))

    def sample(self, side: str, count: int, seed: int) -> list[str]:
        """At most ``count`` distinct tokens of ``users`` or ``authors``, in random order."""
        index = TokenIndex(self.folder / "tokens" / side)
        rows = np.random.default_rng(seed).permutation(len(index))[:count] + 1
        return [index.token(int(row)) for row in rows]


def score_bodies(served: Served, authors: list[str], candidates: int, count: int) -> list[bytes]:
    """Bodies of requests to ``/v1/score``, each of a user and ``candidates`` of the authors."""
    rng = np.random.default_rng(0)
    users = served.sample("users", count, 1)
    return [
        json.dumps(
            {
                "user": users[number % len(users)],
                "authors": [authors[place] for place in rng.choice(len(authors), candidates, replace=False)],
            }
        ).encode()
        for number in range(count)
    ]


@dataclass
class Segments:
    """Sends each author's segments as they would come, one a segment length; does nothing for static items.

    Args:
        authors: those on the air.
    """

    served: Served
    authors: list[str]

    def __post_init__(self) -> None:
        live, rng = self.served.manifest["live"], np.random.default_rng(0)
        self.seconds = 0.0 if live is None else float(live["seconds"])
        self._variants = [] if live is None else [_features(live, rng) for _ in range(VARIANTS)]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send, name="segments", daemon=True)
        self.failed: Exception | None = None

    def __enter__(self) -> Self:
        """Puts all authors on the board, then goes on in a thread."""
        if self.seconds:
            for start in range(0, len(self.authors), 500):
                self._post(self.authors[start : start + 500])
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self.seconds:
            self._thread.join()

    def _send(self) -> None:
        batches = max(1, round(self.seconds / PERIOD))
        number = 0
        while not self._stop.wait(PERIOD):
            try:
                self._post(self.authors[number % batches :: batches])
            except Exception as error:  # told by whoever waits for the measurement
                self.failed = error
                return
            number += 1

    def _post(self, authors: list[str]) -> None:
        now = time.time()
        segments = (
            f'{{"author":{json.dumps(author)},"start":{now:.3f},"features":{self._variants[place % VARIANTS]}}}'
            for place, author in enumerate(authors)
        )
        body = f'{{"segments":[{",".join(segments)}]}}'.encode()
        urllib.request.urlopen(f"{self.served.url}/v1/segments", body, timeout=60).close()


def _features(live: dict[str, Any], rng: np.random.Generator) -> str:
    """A random segment's features as JSON."""
    shapes = {name: (kind["frames"], kind["width"]) for name, kind in live["modalities"].items()}
    return json.dumps({name: rng.normal(size=shape).round(3).tolist() for name, shape in shapes.items()})
