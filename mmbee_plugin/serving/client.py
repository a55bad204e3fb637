"""HTTP client of the service, on the standard library alone.

Example:
    >>> client = Client("http://127.0.0.1:8000")
    >>> client.score("u1", ["a1", "a2"])["scores"]["gift"]
    [0.12, 0.03]
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

IDLE = 20.0
"""seconds without a request after which a connection is not used again; the service closes it after 30"""


class ServiceError(Exception):
    """The service answered with an error.

    Attributes:
        status: HTTP status code.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Client:
    """One persistent connection, opened anew when it was idle; not thread-safe.

    Args:
        url: of the service.
        token: bearer token, if the service requires one.
        timeout: seconds.
    """

    def __init__(self, url: str, token: str | None = None, timeout: float = 10.0) -> None:
        parts = urlsplit(url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._connection = kind(parts.netloc, timeout=timeout)
        self._headers = {"Content-Type": "application/json"}
        self._used = time.monotonic()
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"

    def score(self, user: str, authors: Sequence[str], **more: Any) -> dict[str, Any]:
        """Scores of a user for authors; ``more`` are further fields of `ScoreRequest`."""
        return self.post("/v1/score", {"user": user, "authors": list(authors), **more})

    def top(self, user: str, count: int = 10, **more: Any) -> dict[str, Any]:
        """The best authors of the board for a user; ``more`` are further fields of `TopRequest`."""
        return self.post("/v1/top", {"user": user, "count": count, **more})

    def explain(self, user: str, author: str, **more: Any) -> dict[str, Any]:
        """The parts of a user's score for one author; ``more`` are further fields of `ExplainRequest`."""
        return self.post("/v1/explain", {"user": user, "author": author, **more})

    def segments(self, segments: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Posts live segments: ``author``, ``start``, ``features`` by modality; ``end`` if not of the usual length."""
        return self.post("/v1/segments", {"segments": list(segments)})

    def model(self) -> dict[str, Any]:
        """The served model."""
        return self._ask("GET", "/v2/models/mmbee", None)

    def wait(self, seconds: float = 60.0) -> None:
        """Waits until the service is ready. Raises TimeoutError after so many seconds."""
        until = time.monotonic() + seconds
        while True:
            try:
                self._ask("GET", "/v2/health/ready", None)
                return
            except (OSError, HTTPException, ServiceError):
                if time.monotonic() > until:
                    raise TimeoutError(f"the service was not ready within {seconds:g} s") from None
                time.sleep(0.1)

    def post(self, path: str, content: Any) -> dict[str, Any]:
        """Posts JSON to a route. Raises ServiceError for an error status."""
        return self._ask("POST", path, json.dumps(content).encode())

    def _ask(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        if time.monotonic() - self._used > IDLE:
            self._connection.close()  # the request opens another
        try:
            self._connection.request(method, path, body, self._headers)
            response = self._connection.getresponse()
            content = json.loads(response.read())
        except BaseException:
            self._connection.close()  # half of an exchange is left on it; the next request opens another
            raise
        self._used = time.monotonic()
        if response.status >= 400:
            raise ServiceError(response.status, content.get("error", ""))
        return content
