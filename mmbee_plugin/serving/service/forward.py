"""Sends requests on to the encoder process, over its Unix socket."""

from __future__ import annotations

import socket
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from mmbee_plugin.serving.service.bodies import JSON, Wrong

SECONDS = 60.0
"""time limit of the encoder's answer"""


class _UnixConnection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("encoder", timeout=SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def forward(path: Path, route: str, body: bytes) -> tuple[int, bytes]:
    """Status and content of the encoder's answer to a POST.

    Args:
        path: of its socket.

    Raises:
        Wrong: 503, it does not answer; whether it took the body is not known.
    """
    connection = _UnixConnection(path)
    try:
        connection.request("POST", route, body, {"Content-Type": JSON})
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, HTTPException) as error:
        raise Wrong(503, f"the encoder does not answer ({error!r}); send it again") from None
    finally:
        connection.close()
