"""Runs the service: one process, with a thread for each lane of requests and one that follows CURRENT."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import uvicorn

from mmbee_plugin.errors import InputError
from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.serving.follower import Follower
from mmbee_plugin.serving.service.app import Limits, Service
from mmbee_plugin.serving.service.metrics import Metrics

KEEP_ALIVE = 30
"""seconds until an idle connection is closed"""


@dataclass(frozen=True)
class Where:
    """Address of the service, and its inputs.

    Attributes:
        bundles: the folder of bundles.
        store: URL of a Redis or Valkey; None maps the bundles' own files.
        token: bearer token of requests; None requires a loopback host.
    """

    bundles: Path
    host: str = "127.0.0.1"
    port: int = 8000
    store: str | None = None
    token: str | None = None


def serve(where: Where, limits: Limits, show: Callable[[str], None]) -> None:
    """Serves until interrupted or terminated; requests in work are still answered.

    Args:
        show: called with one line for the address and for each served or refused bundle.

    Raises:
        InputError: no such folder; no token with a host other than loopback; an address that cannot be bound.
    """
    if not where.bundles.is_dir():
        raise InputError(f"{where.bundles}: no such folder of bundles; mmbee bundle build makes one")
    if where.token is None and not _is_loopback(where.host):
        raise InputError(f"--host {where.host}: reaches beyond this machine, so --token is needed")
    torch.set_num_threads(1)  # a request is too small for several threads
    metrics = Metrics()

    def tell(what: str, detail: str) -> None:
        metrics.event(what, detail)
        show(f"serving bundle {detail}" if what == "swapped" else f"not served: {detail}")

    follower = Follower(Shelf(where.bundles), where.store, tell)
    config = uvicorn.Config(
        Service(follower, metrics, where.token, limits).app(),
        where.host,
        where.port,
        log_level="warning",
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE,
        server_header=False,
        proxy_headers=False,
    )
    try:
        sockets = [config.bind_socket()]
    except SystemExit:  # uvicorn has logged why
        raise InputError(f"--port {where.port}: cannot be listened at on {where.host}") from None
    host, port = sockets[0].getsockname()[:2]
    show(f"listening at http://{host}:{port}")
    follower.start()
    try:
        uvicorn.Server(config).run(sockets)
    finally:
        follower.stop()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
