"""Serves the demo until it is interrupted: the service in processes of its own, its pages, segments for its board."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from mmbee_plugin.demo.folder import Demo
from mmbee_plugin.demo.on_air import last_rooms, played
from mmbee_plugin.errors import InputError
from mmbee_plugin.figures.services import Served
from mmbee_plugin.serving.client import Client


def show(demo: Demo, port: int, tell: Callable[[str], None]) -> None:
    """Serves until SIGINT or SIGTERM.

    Args:
        port: of this machine's own address; 0 takes a free one.
        tell: called with the lines that say where to look.

    Raises:
        InputError: the port is taken, or the service ended by itself.
    """
    rooms = last_rooms(demo.data)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with Served(demo.bundles, f"--port={port}", f"--pages={demo.pages}") as served:
            live = served.manifest["live"]
            batches = played(rooms, time.time(), live["seconds"], live["length"])
            client = Client(served.url)
            client.segments(next(batches))
            tell(f"{len(rooms)} authors are on the air; their rooms are of the simulation's last day")
            tell(f"open {served.url}/pages/ (the console is at {served.url}/); Ctrl-C ends it")
            while not served.ended(live["seconds"]):
                client.segments(next(batches))
            raise InputError(f"{demo.bundles}: the service ended by itself")
    except KeyboardInterrupt:
        tell("ended")
    finally:
        signal.signal(signal.SIGTERM, before)
