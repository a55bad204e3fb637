"""Runs the service: a process that follows CURRENT and encodes live authors, and processes that answer at one port."""

from __future__ import annotations

import ipaddress
import os
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
import uvicorn

from mmbee_plugin.errors import InputError
from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.serving.intake.parts import BAD, PartsFollower
from mmbee_plugin.serving.service.app import Service
from mmbee_plugin.serving.service.limits import Limits
from mmbee_plugin.serving.service.metrics import Metrics, count_in
from mmbee_plugin.serving.service.patience import HeaderDeadline
from mmbee_plugin.serving.service.routes import Routes
from mmbee_plugin.serving.service.supervisor import Supervisor
from mmbee_plugin.serving.swap.follower import Follower
from mmbee_plugin.serving.swap.offers import POLL, OfferFollower, write_offer

KEEP_ALIVE = 30
"""seconds until an idle connection is closed"""
STARTING = 60.0
"""seconds that a process waits for the encoder's first offer before it answers"""
BACKLOG = 2048
"""connections that may wait to be accepted"""


@dataclass(frozen=True)
class Where:
    """Address of the service, and its inputs.

    Attributes:
        bundles: the folder of bundles.
        store: URL of a Redis or Valkey; None maps the bundles' own files.
        token: bearer token of requests; None requires a loopback host.
        workers: number of processes that answer.
        segments: folder of Parquet parts with live segments that is followed; None for none.
        pages: folder of HTML files that are shown beside the console; None for none.
    """

    bundles: Path
    host: str = "127.0.0.1"
    port: int = 8000
    store: str | None = None
    token: str | None = None
    workers: int = 1
    segments: Path | None = None
    pages: Path | None = None


@dataclass(frozen=True)
class _Shared:
    """What the processes share: sockets, and a folder with the offer, the metrics and the received segments.

    Attributes:
        opened: file descriptor of the folder, which forked processes inherit.
    """

    folder: Path
    opened: int
    listening: socket.socket
    inner: socket.socket

    @property
    def offer(self) -> Path:
        return self.folder / "offer.json"

    @property
    def encoder(self) -> Path:
        """Address of the encoder's socket: an address is at most 107 bytes, the folder's own path may be longer."""
        return Path(f"/proc/self/fd/{self.opened}/encoder.sock")


def serve(where: Where, limits: Limits, show: Callable[[str], None]) -> None:
    """Serves until interrupted or terminated; requests in work are still answered.

    Args:
        show: called with one line for the address, for each served or refused bundle, and for a process that ended.

    Raises:
        InputError: no such folder; no token with a host other than loopback; an address that cannot be bound.
    """
    if not where.bundles.is_dir():
        raise InputError(f"{where.bundles}: no such folder of bundles; mmbee bundle build makes one")
    if where.segments is not None and not where.segments.is_dir():
        raise InputError(f"--segments {where.segments}: no such folder")
    if where.pages is not None and not where.pages.is_dir():
        raise InputError(f"--pages {where.pages}: no such folder")
    if where.token is None and not _is_loopback(where.host):
        raise InputError(f"--host {where.host}: reaches beyond this machine, so --token is needed")
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mmbee-serve-"))
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        stack.callback(os.close, opened)
        # Bound and kept here, so that nothing is refused while a process is restarted.
        listening = stack.enter_context(_listening(where))
        inner = stack.enter_context(socket.socket(socket.AF_UNIX))
        shared = _Shared(Path(folder), opened, listening, inner)
        inner.bind(str(shared.encoder))
        inner.listen(BACKLOG)
        show("listening at http://{}:{}".format(*listening.getsockname()[:2]))
        parts = {"encoder": partial(_encode, where, limits, shared, show)}
        for number in range(where.workers):
            parts[f"worker {number}"] = partial(_answer, where, limits, shared, number)
        Supervisor(parts, show).run()


def _encode(where: Where, limits: Limits, shared: _Shared, show: Callable[[str], None]) -> None:
    """The process that verifies bundles, encodes live authors, and offers both to the others."""
    torch.set_num_threads(1)
    count_in(shared.folder, "encoder")
    metrics = Metrics(shared.folder)

    def tell(what: str, detail: str) -> None:
        metrics.event(what, detail)
        write_offer(shared.offer, follower)
        if what != "kept":
            show(f"serving bundle {detail}" if what == "swapped" else f"not served: {detail}")

    follower = Follower(Shelf(where.bundles), where.store, tell, shared.folder, 3600 * limits.keep_hours)
    follower.start()
    write_offer(shared.offer, follower)  # also that there is nothing to serve yet
    parts = None if where.segments is None else _parts(where.segments, follower, metrics, show)
    try:
        _run(Service(follower, metrics, limits=limits).inner(), shared.inner, "asyncio")
    finally:
        if parts is not None:
            parts.stop()
        follower.stop()


def _parts(folder: Path, follower: Follower, metrics: Metrics, show: Callable[[str], None]) -> PartsFollower:
    def tell(what: str, line: str) -> None:
        metrics.parts.labels(what).inc()
        if what == BAD:
            show(line)

    def count(became: Counter[str]) -> None:
        for answer, number in became.items():
            metrics.segments.labels(answer).inc(number)

    parts = PartsFollower(folder, follower, count, tell)
    parts.start()
    return parts


def _answer(where: Where, limits: Limits, shared: _Shared, number: int) -> None:
    """A process that answers requests."""
    torch.set_num_threads(1)  # a request is too small for several threads
    count_in(shared.folder, str(number))
    holder = OfferFollower(shared.offer, Shelf(where.bundles), where.store)
    # Connections wait at the socket until the encoder has said what there is, so that none is told "not ready" by one
    # process while another serves.
    until = time.monotonic() + STARTING
    while not shared.offer.exists() and time.monotonic() < until:
        time.sleep(POLL)
    holder.start()
    service = Service(holder, Metrics(shared.folder), where.token, limits, shared.encoder, where.pages)
    try:
        _run(service.app(), shared.listening, "auto")
    finally:
        holder.stop()


def _run(app: Routes, listening: socket.socket, loop: Literal["auto", "asyncio"]) -> None:
    config = uvicorn.Config(
        app,
        loop=loop,
        http=HeaderDeadline,
        lifespan="off",
        ws="none",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
    )
    uvicorn.Server(config).run([listening])


def _listening(where: Where) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address, family=family, backlog=BACKLOG)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"--port {where.port}: cannot be listened at on {where.host} ({reason})") from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
