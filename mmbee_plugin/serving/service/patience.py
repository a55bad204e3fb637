"""HTTP connections whose clients have to send a request's header in time."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_SECONDS = 10.0
"""from opening a connection, or from the first byte of a further request, to the end of the header"""


class HeaderDeadline(HttpToolsProtocol):
    """Uvicorn's protocol, which closes a connection whose next header does not come within `HEADER_SECONDS`.

    By itself it waits without end for the header, so that clients which send nothing, or a byte now and then, hold
    connections as long as they like. For a body there are `bodies.BODY_SECONDS`, and uvicorn closes idle connections.
    """

    _closes: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:  # the header is complete
            self._stop()
        elif self._closes is None:
            self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._closes = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _stop(self) -> None:
        if self._closes is not None:
            self._closes.cancel()
            self._closes = None
