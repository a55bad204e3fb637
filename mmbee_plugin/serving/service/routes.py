"""Routes of exact paths as an ASGI application.

Starlette's router and middleware cost a fifth of what a request spends outside scoring; nothing here needs them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from mmbee_plugin.serving.service.bodies import refusal

Handler = Callable[[Request], Awaitable[Response]]


class Routes:
    """Calls the handler of a request's path; others get 404, other methods 405.

    Args:
        routes: path -> its method and handler; GET answers HEAD too.
    """

    def __init__(self, routes: Mapping[str, tuple[str, Handler]]) -> None:
        self.routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one HTTP request. Raises NotImplementedError for other protocols, as ASGI has it."""
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        method, handler = self.routes.get(scope["path"], ("", None))
        if handler is None:
            response = refusal(404, "no such path; /docs has those there are")
        elif scope["method"] not in (method, "HEAD" if method == "GET" else method):
            response = refusal(405, f"{method} is expected")
            response.headers["Allow"] = method
        else:
            response = await handler(Request(scope, receive))
        await response(scope, receive, send)
