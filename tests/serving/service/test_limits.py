"""Refusals before any work: no token, no bundle yet, a full queue, a deadline; and services that cannot start."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client import CollectorRegistry, Gauge
from typer.testing import CliRunner

from mmbee_plugin.cli import app
from mmbee_plugin.errors import InputError
from mmbee_plugin.serving.client import Client, ServiceError
from mmbee_plugin.serving.service.admission import Lane, LoopLane, Refused, ThreadLane
from mmbee_plugin.serving.service.limits import Limits
from mmbee_plugin.serving.service.run import Where, serve

NOW = 1_700_100_000.0
SCORE = {"user": "u", "authors": ["a0"]}


def test_the_token(shelf, run_service):
    with run_service(shelf, token="secret") as running:
        assert running.raw("/v2/health/live", None, "GET")[0] == 200
        for client in (running.client(), running.client(token="Secret"), running.client(token="")):
            with pytest.raises(ServiceError) as error:
                client.model()
            assert error.value.status == 401
        assert running.client(token="secret").model()["name"] == "mmbee"
        assert running.raw("/metrics", None, "GET")[0] == 401


def test_before_the_first_bundle_it_is_not_ready(tmp_path, run_service, templates):
    from mmbee_plugin.serving.bundle.shelf import Shelf

    with run_service(Shelf(tmp_path)) as running:
        assert running.raw("/v2/health/live", None, "GET")[0] == 200
        assert running.raw("/v2/health/ready", None, "GET")[0] == 503
        status, content = running.raw("/v1/score", json.dumps(SCORE).encode())
        assert status == 503 and json.loads(content) == {"error": "no bundle serves yet"}


def held_scorer(monkeypatch, begun: list[object], seconds: float) -> None:
    """Scoring takes long, and says when it begins."""
    from mmbee_plugin.serving.scorer import Scorer

    score = Scorer.score

    def slow(self, *arguments, **named):
        begun.append(1)
        time.sleep(seconds)
        return score(self, *arguments, **named)

    monkeypatch.setattr(Scorer, "score", slow)


def asked_together(running, source, count: int, **more: object) -> list[object]:
    """Bundles or error statuses of requests that come while one is worked on."""
    answers: list[object] = []

    def ask(client: Client) -> None:
        try:
            answers.append(client.score(source.users_of[0], ["a0"], time=NOW, **more)["bundle"])
        except ServiceError as error:
            answers.append(error.status)

    clients = [running.client() for _ in range(count)]
    for client in clients:
        client.model()  # connects
    threads = [threading.Thread(target=ask, args=[client]) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_what_a_full_queue_refuses_is_not_worked_on(shelf, source, run_service, monkeypatch):
    begun: list[object] = []
    held_scorer(monkeypatch, begun, 0.2)
    with run_service(shelf, limits=Limits(queue=2, seconds=60)) as running:
        answers = asked_together(running, source, 12)
        assert set(answers) == {429, shelf.current().bundle}
        assert len(begun) == answers.count(shelf.current().bundle) < 12
        assert running.client().score(source.users_of[0], ["a0"], time=NOW)["bundle"]
        assert running.service.lanes["score"].waiting == 0


def test_a_deadline_that_is_over_is_not_worked_on(shelf, source, run_service, monkeypatch):
    begun: list[object] = []
    held_scorer(monkeypatch, begun, 0.2)
    with run_service(shelf) as running:
        answers = asked_together(running, source, 12, deadline_ms=10)
        assert set(answers) == {503, shelf.current().bundle}
        assert len(begun) == answers.count(shelf.current().bundle) < 12


def test_a_deadline_holds_for_what_a_worker_hands_to_the_encoder(shelf, source, run_service, monkeypatch):
    given: list[float] = []

    def slow(encoder, route, body):
        given.append(json.loads(body)["deadline_ms"])
        time.sleep(0.5)
        return 200, b"{}"

    def ask(**more: object) -> None:
        try:
            running.client().explain(source.users_of[0], "a0", time=NOW, **more)
            answers.append(200)
        except ServiceError as error:
            answers.append(error.status)

    monkeypatch.setattr("mmbee_plugin.serving.service.app.forward", slow)
    with run_service(shelf, limits=Limits(seconds=100), encoder=Path("encoder.sock")) as running:
        for more, most in (({}, 60_000), ({"deadline_ms": 800}, 800)):
            given.clear()
            answers: list[int] = []
            threads = [threading.Thread(target=ask, kwargs=more) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert all(0 < one <= most for one in given) and len(given) == answers.count(200)
            assert answers == [200] * 4 if not more else 503 in answers and given[1:] < given[:1]


def lane(kind: str, limit: int) -> Lane:
    gauge = Gauge("waiting", "", registry=CollectorRegistry())
    return LoopLane(limit, gauge) if kind == "loop" else ThreadLane(kind, limit, gauge)


@pytest.mark.parametrize("kind", ["loop", "thread"])
def test_a_lane_works_in_turn_and_refuses_what_it_would_not_start_in_time(kind):
    done: list[int] = []

    def work(number: int, seconds: float = 0.05) -> int:
        time.sleep(seconds)
        done.append(number)
        if number == 1:
            raise KeyError(number)
        return number

    async def all_of_it() -> None:
        own = lane(kind, 4)
        asked = [own.run(partial(work, number), 60.0) for number in range(3)]
        late = own.run(partial(work, 3), 0.01)
        full = [own.run(partial(work, number), 60.0) for number in (4, 5)]
        found = await asyncio.gather(*asked, late, *full, return_exceptions=True)
        assert found[0] == 0 and isinstance(found[1], KeyError) and found[2] == 2
        assert [type(one) for one in found[3:]] == [Refused] * 3
        assert [one.status for one in found[3:]] == [503, 429, 429]
        assert done == [0, 1, 2] and own.waiting == 0
        # It has learnt how long its work takes.
        own._mean = 0.05
        behind = [own.run(partial(work, number), 60.0) for number in (6, 7)]
        found = await asyncio.gather(*behind, own.run(partial(work, 8), 0.09), return_exceptions=True)
        assert found[:2] == [6, 7] and "2 requests wait, too many to answer in 90 ms" in str(found[2])

    asyncio.run(all_of_it())


def test_the_loop_goes_on_between_two_requests_and_leaves_out_those_that_nobody_waits_for():
    async def all_of_it() -> None:
        own, seen = lane("loop", 9), []
        asked = [asyncio.create_task(own.run(partial(seen.append, number), 60.0)) for number in range(3)]
        await asyncio.sleep(0)
        asked[1].cancel()
        other = asyncio.create_task(asyncio.sleep(0))
        other.add_done_callback(lambda _: seen.append("other"))
        await asyncio.gather(*asked, return_exceptions=True)
        await other
        assert seen.index("other") < len(seen) - 1 or seen[-1] == "other"
        assert [one for one in seen if one != "other"] == [0, 2] and own.waiting == 0

    asyncio.run(all_of_it())


def test_what_cannot_be_served_is_one_line(tmp_path, templates):
    with pytest.raises(InputError, match="no such folder of bundles"):
        serve(Where(tmp_path / "nowhere"), Limits(), print)
    with pytest.raises(
        InputError, match=r"--host 0\.0\.0\.0: reaches beyond this machine, so --token is needed"
    ):
        serve(Where(tmp_path, "0.0.0.0"), Limits(), print)
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = CliRunner().invoke(app, ["serve", str(tmp_path), f"--port={port}"]).exception
        assert isinstance(refused, InputError) and f"--port {port}" in str(refused)


def test_clients_that_do_not_send_a_header_in_time(shelf, run_service, monkeypatch):
    monkeypatch.setattr("mmbee_plugin.serving.service.patience.HEADER_SECONDS", 0.5)
    request = b"GET /v2/health/live HTTP/1.1\r\nHost: here\r\n\r\n"
    with run_service(shelf) as running:
        address = urlsplit(running.url)

        def closed_after(*parts: bytes) -> bool:
            """Whether the service closes a connection of these parts, sent at distances of .2 s."""
            with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
                for part in parts:
                    connection.sendall(part)
                    time.sleep(0.2)
                begun, received = time.monotonic(), b""
                while part := connection.recv(4096):
                    received += part
                assert received.count(b"200 OK") == parts.count(request)
                return time.monotonic() - begun < 3

        assert closed_after()
        assert closed_after(request[:10])
        assert closed_after(request, request[:10])
        assert not closed_after(request, request, request, request)  # idle, which uvicorn ends later
