"""Refusals before any work: no token, no bundle yet, a full queue, a deadline; and services that cannot start."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import closing

import pytest
from typer.testing import CliRunner

from mmbee_plugin.cli import app
from mmbee_plugin.errors import InputError
from mmbee_plugin.serving.client import ServiceError
from mmbee_plugin.serving.service.app import Limits
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


def test_a_full_queue_is_refused_at_once(shelf, source, run_service, monkeypatch):
    """One request is worked on, one waits, and others are refused before any work is done."""
    from mmbee_plugin.serving.scorer import Scorer

    held, begun, score = threading.Event(), [], Scorer.score

    def slow(self, *arguments, **named):
        begun.append(1)
        held.wait(10)
        return score(self, *arguments, **named)

    monkeypatch.setattr(Scorer, "score", slow)
    with run_service(shelf, limits=Limits(queue=2, seconds=60)) as running:
        answers: list[object] = []

        def ask(**more: object) -> None:
            try:
                answers.append(running.client().score(source.users_of[0], ["a0"], time=NOW, **more)["bundle"])
            except ServiceError as error:
                answers.append(error.status)

        waiting = [threading.Thread(target=ask) for _ in range(2)]
        for thread in waiting:
            thread.start()
        start = time.monotonic()
        while running.service.lanes["score"].waiting < 2:
            assert time.monotonic() - start < 60
            time.sleep(0.002)
        for _ in range(5):
            ask()
        assert answers == [429] * 5 and len(begun) == 1
        held.set()
        for thread in waiting:
            thread.join()
        assert answers[5:] == [shelf.current().bundle] * 2
        ask()
        assert answers[-1] == shelf.current().bundle


def test_a_deadline_that_is_over_is_not_worked_on(shelf, source, run_service, monkeypatch):
    from mmbee_plugin.serving.scorer import Scorer

    begun, score = [], Scorer.score

    def slow(self, *arguments, **named):
        begun.append(1)
        time.sleep(0.2)
        return score(self, *arguments, **named)

    monkeypatch.setattr(Scorer, "score", slow)
    with run_service(shelf) as running:
        first = threading.Thread(target=lambda: running.client().score(source.users_of[0], ["a0"], time=NOW))
        first.start()
        start = time.monotonic()
        while not begun:
            assert time.monotonic() - start < 60
            time.sleep(0.002)
        with pytest.raises(ServiceError, match=r"deadline was over|too many to answer") as error:
            running.client().score(source.users_of[0], ["a0"], time=NOW, deadline_ms=10)
        assert error.value.status == 503 and len(begun) == 1
        first.join()


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
