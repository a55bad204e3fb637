"""A source of random weights, bundles built from it, a Redis server where one is installed, and a running service."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("msgspec", reason="the serve extra is not installed")
pytest.importorskip("uvicorn", reason="the serve extra is not installed")

import uvicorn

from mmbee_plugin.modules.batch import AuthorSide, UserSide
from mmbee_plugin.modules.exchange import Exchange, model_settings
from mmbee_plugin.modules.gtr import GTRModel
from mmbee_plugin.modules.parts import GTRSettings
from mmbee_plugin.modules.shapes import ContentSettings, SIMSettings
from mmbee_plugin.modules.sim import gap_buckets
from mmbee_plugin.serving.bundle.build import build_bundle
from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.serving.bundle.source import Facts, LiveContent, LiveModality, Longest, Windows
from mmbee_plugin.serving.client import Client
from mmbee_plugin.serving.service.app import Service
from mmbee_plugin.serving.service.limits import Limits
from mmbee_plugin.serving.service.metrics import Metrics
from mmbee_plugin.serving.service.patience import HeaderDeadline
from mmbee_plugin.serving.swap.follower import Follower

USERS, AUTHORS, WIDTH, HISTORY, LENGTH = 60, 40, 8, 6, 3
ORIGIN, UNTIL = 1_700_000_000.0, 100_000.0


class RandomSource:
    """A `Source` without data: random weights, neighbours, histories and segments.

    Args:
        seed: of the weights and neighbours; users, authors, gifts and segments are always the same.
        live: whether authors have segments.
    """

    def __init__(self, seed: int = 0, live: bool = True) -> None:
        torch.manual_seed(seed)
        rng = np.random.default_rng(0)
        gtr = GTRSettings(
            backbone="sim",
            head="mlp",
            width=WIDTH,
            hidden=(16, 8),
            user_metapaths=("u2a2u", "u2a2a"),
            author_metapaths=("a2a",),
            attribute_width=3,
            reach=True,
        )
        content = ContentSettings(widths={"visual": 5, "speech": 4}, width=WIDTH, heads=2, num_queries=2)
        sim = SIMSettings(width=WIDTH, search="hard", searched=3, short_length=2, gaps=30)
        self.gtr = GTRModel(gtr, content, sim).eval().requires_grad_(False)
        self.users_of = [f"üser {n}" for n in range(USERS)]
        self.authors_of = [f"a{n}" for n in range(AUTHORS)]
        tables = {"user": torch.randn(USERS + 1, WIDTH), "author": torch.randn(AUTHORS + 1, WIDTH)}
        tables["query"] = torch.randn(AUTHORS + 1, 2 * WIDTH)
        settings = model_settings(gtr, content, sim, HISTORY, LENGTH)
        dense = self.gtr.state_dict()
        self.exchange = Exchange(tables, dense, self.users_of, self.authors_of, settings)
        self.facts = Facts("random", "random numbers", "d" * 64, "s" * 32, ORIGIN, UNTIL, True)
        self.longest = Longest(HISTORY, reach=5)
        kinds = {"visual": LiveModality(2, 5, "float16", *self._moments(rng, 5))}
        kinds["speech"] = LiveModality(1, 4, "float32", *self._moments(rng, 4))
        self.live = LiveContent(30.0, LENGTH, kinds) if live else None
        self._kinds = kinds
        self._neighbours = torch.randn(USERS, 2, WIDTH), torch.randint(0, 3, (USERS, 2)).float()
        self._attributes = torch.randn(USERS, 2, 3)
        self._of_authors = torch.randn(AUTHORS, 1, WIDTH), torch.randint(0, 3, (AUTHORS, 1)).float()
        self._author_attributes = torch.randn(AUTHORS, 1, 3)
        picked = [np.sort(rng.choice(AUTHORS, 5, replace=False)) + 1 for _ in range(USERS)]
        self._reach = torch.from_numpy(np.stack(picked)), torch.rand(USERS, 5)
        self._lengths = rng.integers(0, HISTORY + 1, USERS)
        self._history = rng.integers(0, AUTHORS, (USERS, HISTORY))
        self._times = np.sort(rng.uniform(0, UNTIL, (USERS, HISTORY)), axis=1).astype(np.float32)
        self._category = torch.from_numpy(rng.integers(0, 4, AUTHORS))
        own = rng.integers(0, LENGTH + 1, AUTHORS)
        self.there = np.arange(LENGTH) >= LENGTH - own[:, None]
        self.raw = {
            name: rng.normal(size=(AUTHORS, LENGTH, one.frames, one.width)).astype(one.dtype)
            for name, one in kinds.items()
        }
        self.has = {name: self.there & (rng.random(self.there.shape) < 0.7) for name in kinds}
        for name, values in self.raw.items():
            values[~self.has[name]] = 0
        starts = ORIGIN + UNTIL - 30.0 * np.arange(LENGTH, 0, -1)
        self.starts = np.where(self.there, starts, np.nan)

    def users(self, rows: np.ndarray) -> UserSide:
        nothing = torch.empty(len(rows), 0)
        return UserSide(
            user=self.exchange.tables["user"][rows + 1],
            history=nothing,
            history_mask=nothing.bool(),
            neighbours=self._neighbours[0][rows],
            neighbour_count=self._neighbours[1][rows],
            attributes=self._attributes[rows],
            reach_ids=self._reach[0][rows],
            reach_weights=self._reach[1][rows],
        )

    def histories(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self._history[rows], self._lengths[rows], self._times[rows]

    def authors(self, rows: np.ndarray) -> AuthorSide:
        segments, masks = {}, {}
        for name, one in self._kinds.items():
            values = (self.raw[name][rows].astype(np.float32) - one.mean) / one.deviation
            mask = self.has[name][rows]
            segments[name] = torch.from_numpy(values * mask[:, :, None, None]).float()
            masks[name] = torch.from_numpy(mask)
        return AuthorSide(
            author=self.exchange.tables["author"][rows + 1],
            ids=torch.from_numpy(rows + 1),
            category=self._category[rows],
            queries=self.exchange.tables["query"][rows + 1].unflatten(1, (2, WIDTH)),
            seen=torch.from_numpy(rows % 5 > 0),
            segments=segments,
            segment_mask=masks,
            neighbours=self._of_authors[0][rows],
            neighbour_count=self._of_authors[1][rows],
            attributes=self._author_attributes[rows],
        )

    def windows(self, rows: np.ndarray) -> Windows:
        starts = self.starts[rows]
        values = {name: one[rows] for name, one in self.raw.items()}
        return Windows(starts, starts + 30, values, {name: one[rows] for name, one in self.has.items()})

    def logits(self, users: np.ndarray, authors: np.ndarray) -> torch.Tensor:
        user = self.users(users)
        rows = torch.from_numpy(self._history[users])
        user.history = self.exchange.tables["author"][rows + 1]
        user.history_mask = torch.arange(HISTORY) < torch.from_numpy(self._lengths[users])[:, None]
        moments = torch.full((len(users),), UNTIL)
        user.history_gap = gap_buckets(torch.from_numpy(self._times[users]), moments)
        user.history_category = self._category[rows]
        author = self.gtr.encode_author(self.authors(authors)).unsqueeze(1)
        return self.gtr.score_tasks(self.gtr.encode_user(user), author).squeeze(1)

    @staticmethod
    def _moments(rng: np.random.Generator, width: int) -> tuple[np.ndarray, np.ndarray]:
        return rng.normal(size=width).astype(np.float32), rng.uniform(0.5, 2, width).astype(np.float32)


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
    """``with run_service(shelf, store=None, token=None, limits=None, pages=None) as running``."""

    @contextmanager
    def run(
        shelf: Shelf,
        store: str | None = None,
        token: str | None = None,
        limits: Limits | None = None,
        pages: Path | None = None,
    ) -> Iterator[Running]:
        events: list[tuple[str, str]] = []
        metrics = Metrics()
        follower = Follower(shelf, store, lambda *event: (events.append(event), metrics.event(*event)))
        service = Service(follower, metrics, token, limits, pages=pages)
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


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@contextmanager
def redis_server(folder: Path, port: int | None = None) -> Iterator[str]:
    """A Redis or Valkey of its own; skips the test where none is installed."""
    pytest.importorskip("redis", reason="the Redis client is not installed")
    program = shutil.which("valkey-server") or shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server here: apt-get install redis-server")
    if port is None:
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    try:
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.01)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def start_redis(tmp_path: Path) -> Callable[..., Any]:
    """``with start_redis(port=None) as url``: a server that a test may kill."""
    return lambda port=None: redis_server(tmp_path, port)
