"""Bundles built from a source of random weights, a Redis server where one is installed, and a running service."""

from __future__ import annotations

import importlib.util
import shutil
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("msgspec", reason="the serve extra is not installed")
pytest.importorskip("uvicorn", reason="the serve extra is not installed")

import uvicorn
from random_source import ORIGIN, UNTIL, RandomSource

from mmbee_plugin.serving.bundle.build import build_bundle
from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.serving.client import Client
from mmbee_plugin.serving.service.app import Service
from mmbee_plugin.serving.service.limits import Limits
from mmbee_plugin.serving.service.metrics import Metrics
from mmbee_plugin.serving.service.patience import HeaderDeadline
from mmbee_plugin.serving.swap.follower import Follower


@pytest.fixture(scope="session")
def random_source() -> Callable[..., RandomSource]:
    return RandomSource


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[RandomSource, Path, list[str]]]:
    """By kind, ``live`` or ``static``: a source, a folder with its bundle and one of other weights, and their ids."""
    made = {}
    for kind in ("live", "static"):
        shelf = Shelf(tmp_path_factory.mktemp(kind) / "bundles")
        sources = [RandomSource(seed, kind == "live") for seed in (0, 1)]
        ids = [build_bundle(source, shelf) for source in sources]
        shelf.publish(ids[0])
        made[kind] = sources[0], shelf.path, ids
    return made


@dataclass
class Shelved:
    """A shelf of its own with two bundles, of which the first is published."""

    source: RandomSource
    shelf: Shelf
    ids: list[str]

    @property
    def now(self) -> float:
        """The end of training, in seconds since the epoch."""
        return ORIGIN + UNTIL


@pytest.fixture(params=["live", "static"])
def shelved(request: pytest.FixtureRequest, templates: Any, tmp_path: Path) -> Shelved:
    source, path, ids = templates[request.param]
    return Shelved(source, Shelf(Path(shutil.copytree(path, tmp_path / "bundles"))), list(ids))


@pytest.fixture
def live_shelved(templates: Any, tmp_path: Path) -> Shelved:
    source, path, ids = templates["live"]
    return Shelved(source, Shelf(Path(shutil.copytree(path, tmp_path / "bundles"))), list(ids))


@pytest.fixture
def static_shelved(templates: Any, tmp_path: Path) -> Shelved:
    source, path, ids = templates["static"]
    return Shelved(source, Shelf(Path(shutil.copytree(path, tmp_path / "bundles"))), list(ids))


@dataclass
class Running:
    """A service in a thread of this process."""

    url: str
    follower: Follower
    service: Service
    events: list[tuple[str, str]]

    def client(self, **more: Any) -> Client:
        return Client(self.url, **more)

    def raw(self, path: str, body: bytes | None, method: str = "POST", **headers: str) -> tuple[int, bytes]:
        """Status and content of an answer, whatever the status."""
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def post_stored(self, source: RandomSource) -> None:
        """Puts every author with a segment on the board, as it was at the end of training."""
        segments = []
        for row, author in enumerate(source.authors_of):
            for slot in np.flatnonzero(source.there[row])[-1:]:
                values = {
                    name: source.raw[name][row, slot].tolist()
                    for name in source.raw
                    if source.has[name][row, slot]
                }
                segments.append(
                    {"author": author, "start": float(source.starts[row, slot]), "features": values}
                )
        self.client().segments(segments)


@pytest.fixture(scope="session")
def run_service() -> Callable[..., Any]:
    """``with run_service(shelf, store=None, token=None, limits=None, pages=None, encoder=None) as running``."""

    @contextmanager
    def run(
        shelf: Shelf,
        store: str | None = None,
        token: str | None = None,
        limits: Limits | None = None,
        pages: Path | None = None,
        encoder: Path | None = None,
    ) -> Iterator[Running]:
        events: list[tuple[str, str]] = []
        metrics = Metrics()
        follower = Follower(shelf, store, lambda *event: (events.append(event), metrics.event(*event)))
        service = Service(follower, metrics, token, limits, encoder, pages)
        config = uvicorn.Config(
            service.app(), port=0, http=HeaderDeadline, log_level="error", access_log=False
        )
        listening = config.bind_socket()
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listening],))
        follower.start()
        thread.start()
        try:
            while not server.started:
                time.sleep(0.005)
            yield Running("http://{}:{}".format(*listening.getsockname()), follower, service, events)
        finally:
            server.should_exit = True
            thread.join()
            follower.stop()

    return run


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store may take its time on a machine that others use too."""
    if importlib.util.find_spec("redis") is not None:
        monkeypatch.setattr("mmbee_plugin.serving.store.redis.DEADLINE", 5.0)
