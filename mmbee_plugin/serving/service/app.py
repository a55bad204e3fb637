"""Routes of the service. A request reads the scorer once, waits in a bounded queue, and is answered by that scorer.

Segments and explanations need the windows of live authors, which the process that encodes them has; others forward.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from mmbee_plugin.errors import InputError
from mmbee_plugin.serving.board.journal import NotKept
from mmbee_plugin.serving.scorer import Scorer
from mmbee_plugin.serving.service import answers, console, schema
from mmbee_plugin.serving.service.admission import Lane, LoopLane, Refused, ThreadLane
from mmbee_plugin.serving.service.bodies import (
    JSON,
    Wrong,
    answer,
    body_of,
    bytes_of,
    check_site,
    check_token,
    refusal,
)
from mmbee_plugin.serving.service.forward import forward
from mmbee_plugin.serving.service.limits import Limits
from mmbee_plugin.serving.service.metrics import Metrics
from mmbee_plugin.serving.service.openapi import document, page
from mmbee_plugin.serving.service.routes import Handler, Routes
from mmbee_plugin.serving.swap.follower import Follower
from mmbee_plugin.serving.swap.holder import Holder

ANY_TIME = 60.0
"""deadline, in seconds, of requests that name none and are worth their wait"""


class Service:
    """The application.

    Args:
        follower: holds the scorer; the caller starts and stops it.
        metrics: shared with the follower's events.
        token: bearer token required by all routes except health and the page at `/`; None for no check.
        encoder: socket of the process that encodes live authors; None if it is this one, by a `Follower`.
        pages: folder whose HTML files are shown at ``/pages/``, those that are there at the start; None for none.
    """

    def __init__(
        self,
        follower: Holder,
        metrics: Metrics,
        token: str | None = None,
        limits: Limits | None = None,
        encoder: Path | None = None,
        pages: Path | None = None,
    ) -> None:
        self.follower, self.metrics, self.token, self.encoder = follower, metrics, token, encoder
        self.pages = [] if pages is None else sorted(pages.glob("*.html"))
        self.limits = limits or Limits()
        queue = self.limits.queue
        self.lanes: dict[str, Lane] = {
            name: ThreadLane(name, limit, metrics.waiting.labels(name))
            for name, limit in (("top", 4), ("explain", 4), ("segments", queue))
        }
        self.lanes["score"] = LoopLane(queue, metrics.waiting.labels("score"))

    def app(self) -> Routes:
        """The ASGI application."""
        explain, segments = self.explain, self.segments
        if self.encoder is not None:
            explain = partial(self._explanation_of, self.encoder)
            segments = partial(self._segments_to, self.encoder)
        shown = {f"/pages/{file.name}": self._page(file) for file in self.pages}
        if index := shown.get("/pages/index.html"):
            shown["/pages/"] = index
        return Routes(
            {
                "/v1/score": ("POST", self._guarded("score", self.score)),
                "/": ("GET", self._open("console", self.console)),
                "/v2/health/live": ("GET", self._open("live", self.live)),
                "/v2/health/ready": ("GET", self._open("ready", self.ready)),
                "/v2/models/mmbee": ("GET", self._guarded("model", self.model)),
                "/v2/models/mmbee/infer": ("POST", self._guarded("infer", self.infer)),
                "/v1/top": ("POST", self._guarded("top", self.top)),
                "/v1/explain": ("POST", self._guarded("explain", explain)),
                "/v1/segments": ("POST", self._guarded("segments", segments)),
                "/metrics": ("GET", self._guarded("metrics", self.exposition)),
                "/openapi.json": ("GET", self._guarded("openapi", self.openapi)),
                "/docs": ("GET", self._guarded("docs", self.docs)),
                **shown,
            }
        )

    def inner(self) -> Routes:
        """The ASGI application of the encoder process, for requests that scorers have admitted and counted."""
        return Routes(
            {
                "/v1/explain": ("POST", self._answered(self.explain)),
                "/v1/segments": ("POST", self._answered(self.segments)),
            }
        )

    async def console(self, request: Request) -> Response:
        """The page of the console; it needs no token, but all that it asks does."""
        content, headers = console.page()
        return HTMLResponse(content, headers=headers)

    async def live(self, request: Request) -> Response:
        """Whether the process answers."""
        return answer(schema.Health(True))

    async def ready(self, request: Request) -> Response:
        """Whether a bundle is served."""
        ready = self.follower.scorer is not None
        return answer(schema.Health(ready), 200 if ready else 503)

    async def model(self, request: Request) -> Response:
        """The served model, and why a newer bundle was refused."""
        return answer(answers.described(self.follower, self._scorer()))

    async def score(self, request: Request) -> Response:
        """Scores of candidates."""
        scorer, body = self._scorer(), await body_of(request, schema.ScoreRequest, self.limits.body)
        self._check_candidates(max(len(body.authors), len(body.history or ())))
        made = await self.lanes["score"].run(
            partial(answers.score, scorer, body), self._seconds(body.deadline_ms)
        )
        self._count(made.flags, made.missing)
        return answer(made)

    async def top(self, request: Request) -> Response:
        """The best authors of the board."""
        scorer, body = self._scorer(), await body_of(request, schema.TopRequest, self.limits.body)
        self._check_candidates(len(body.history or ()))
        made = await self.lanes["top"].run(
            partial(answers.top, scorer, body), self._seconds(body.deadline_ms)
        )
        self._count(made.flags)
        return answer(made)

    async def explain(self, request: Request) -> Response:
        """The parts of one score."""
        scorer, body = self._scorer(), await body_of(request, schema.ExplainRequest, self.limits.body)
        self._check_candidates(len(body.history or ()))
        made = await self.lanes["explain"].run(
            partial(answers.explain, scorer, body), self._seconds(body.deadline_ms)
        )
        self._count(made.flags)
        return answer(made)

    async def infer(self, request: Request) -> Response:
        """Scores by the Open Inference Protocol."""
        scorer, body = self._scorer(), await body_of(request, schema.InferRequest, self.limits.body)
        self._check_candidates(max((len(one.data) for one in body.inputs), default=0))
        made, missing = await self.lanes["score"].run(
            partial(answers.infer, scorer, body), self.limits.seconds
        )
        flags = made.parameters["flags"]
        self._count(flags.split(",") if flags else [], missing)
        return answer(made)

    async def segments(self, request: Request) -> Response:
        """Takes live segments."""
        self._scorer()
        assert isinstance(self.follower, Follower)
        body = await body_of(request, schema.SegmentsRequest, self.limits.segments_body)
        made = await self.lanes["segments"].run(partial(answers.take, self.follower, body), ANY_TIME)
        for became, count in made.counts.items():
            self.metrics.segments.labels(became).inc(count)
        return answer(made)

    async def exposition(self, request: Request) -> Response:
        """Metrics in Prometheus' text format."""
        return Response(self.metrics.text(self.follower), media_type="text/plain; version=0.0.4")

    async def openapi(self, request: Request) -> Response:
        """The OpenAPI document."""
        return answer(document())

    async def docs(self, request: Request) -> Response:
        """The OpenAPI document as an HTML page."""
        return HTMLResponse(page())

    def _page(self, file: Path) -> tuple[str, Handler]:
        async def page(request: Request) -> Response:
            return FileResponse(file, media_type="text/html", headers={"Cache-Control": "no-cache"})

        return "GET", self._guarded("pages", page)

    async def _segments_to(self, encoder: Path, request: Request) -> Response:
        body = await bytes_of(request, self.limits.segments_body)
        work = partial(forward, encoder, request.url.path, body)
        status, content = await self.lanes["segments"].run(work, ANY_TIME)
        return Response(content, status, media_type=JSON)

    async def _explanation_of(self, encoder: Path, request: Request) -> Response:
        body = await body_of(request, schema.ExplainRequest, self.limits.body)
        seconds = self._seconds(body.deadline_ms)
        until = time.monotonic() + seconds

        def work() -> tuple[int, bytes]:  # the encoder has what this queue has left of the time
            body.deadline_ms = 1000 * min(ANY_TIME, max(0.001, until - time.monotonic()))
            return forward(encoder, request.url.path, msgspec.json.encode(body))

        status, content = await self.lanes["explain"].run(work, seconds)
        return Response(content, status, media_type=JSON)

    def _scorer(self) -> Scorer:
        if (scorer := self.follower.scorer) is None:
            raise Wrong(
                503, f"no bundle serves yet{f': {self.follower.refused}' if self.follower.refused else ''}"
            )
        return scorer

    def _seconds(self, asked: float | None) -> float:
        return self.limits.seconds if asked is None else asked / 1000

    def _check_candidates(self, count: int) -> None:
        if count > self.limits.candidates:
            raise Wrong(413, f"{count:,} authors, at most {self.limits.candidates:,} are taken")

    def _count(self, flags: list[str], missing: Mapping[str, str] | None = None) -> None:
        for flag in flags:
            self.metrics.flags.labels(flag).inc()
        for reason in (missing or {}).values():
            self.metrics.unscored.labels(reason).inc()

    def _guarded(self, route: str, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            check_site(request)
            check_token(request, self.token)
            return await handler(request)

        return self._open(route, guarded)

    def _open(self, route: str, handler: Handler) -> Handler:
        """Wraps a handler: counts and times requests."""
        answered = self._answered(handler)

        async def counted(request: Request) -> Response:
            start = time.perf_counter()
            try:
                response = await answered(request)
            except Exception:
                self.metrics.requests.labels(route, "500").inc()
                raise
            self.metrics.requests.labels(route, str(response.status_code)).inc()
            self.metrics.seconds.labels(route).observe(time.perf_counter() - start)
            return response

        return counted

    def _answered(self, handler: Handler) -> Handler:
        """Wraps a handler: turns its errors into responses."""

        async def answered(request: Request) -> Response:
            try:
                return await handler(request)
            except (Wrong, Refused) as error:
                return refusal(error.status, str(error))
            except NotKept as error:
                return refusal(503, str(error))
            except InputError as error:
                return refusal(409, str(error))

        return answered
