"""Decodes request bodies to types and encodes responses; errors are one line with a 4xx status."""

from __future__ import annotations

import asyncio
import hmac
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from mmbee_plugin.serving.service.schema import Error

Kind = TypeVar("Kind")
BODY_SECONDS = 10.0
"""time limit for receiving a body"""
READ_ON = 32 << 20
"""bytes beyond the limit that are read and dropped, since a client that is still sending would miss the answer"""
JSON = "application/json"


class Wrong(Exception):
    """A request that cannot be answered.

    Attributes:
        status: HTTP status code.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(" ".join(reason.split()))
        self.status = status


async def bytes_of(request: Request, limit: int) -> bytes:
    """The body of a request.

    Args:
        limit: most bytes.

    Raises:
        Wrong: larger than the limit (413), too slow (408), or cut short (400).
    """
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                if size <= limit:
                    parts.append(part)
                elif size > limit + READ_ON:
                    break
    except TimeoutError:
        raise Wrong(408, f"the body did not come within {BODY_SECONDS:g} s") from None
    except ClientDisconnect:
        raise Wrong(400, "the body was cut short") from None
    if size > limit:
        raise Wrong(413, f"the body has more than {limit:,} bytes")
    return b"".join(parts)


async def body_of(request: Request, kind: type[Kind], limit: int) -> Kind:
    """The body of a request, decoded to ``kind``. Raises Wrong as `bytes_of`, and for no JSON or another type (400)."""
    body = await bytes_of(request, limit)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise Wrong(400, f"the body is not as expected: {error}") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Wrong(400, f"the body is no JSON: {error}") from None


def check_token(request: Request, token: str | None) -> None:
    """Raises Wrong (401) for a request without the service's token; None accepts all."""
    if token is None:
        return
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
        raise Wrong(401, "the service's token is needed, as Authorization: Bearer …")


def check_site(request: Request) -> None:
    """Raises Wrong (403) for a POST that a browser sends for a page of another site.

    Such a page reaches the services of its reader's machine, and could put segments on their boards.
    """
    if request.method == "POST" and request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        raise Wrong(403, "pages of other sites are not answered")


def answer(content: Any, status: int = 200) -> Response:
    """A JSON response."""
    return Response(msgspec.json.encode(content), status, media_type=JSON)


def refusal(status: int, reason: str) -> Response:
    """An error response with a one-line reason; 429 and 503 ask to retry after a second."""
    headers = {"Retry-After": "1"} if status in (429, 503) else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(msgspec.json.encode(Error(reason)), status, headers, media_type=JSON)
