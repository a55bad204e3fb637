"""The HTTP service: answers, refusals in one line, limits, the token, deadlines and the queue."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from contextlib import closing
from urllib.parse import urlsplit

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from mmbee_plugin.cli import app
from mmbee_plugin.errors import InputError
from mmbee_plugin.serving.client import ServiceError
from mmbee_plugin.serving.service.app import Limits
from mmbee_plugin.serving.service.openapi import ROUTES
from mmbee_plugin.serving.service.run import Where, serve


@pytest.fixture(scope="module")
def shelf(templates):
    from mmbee_plugin.serving.bundle.shelf import Shelf

    return Shelf(templates["live"][1])


@pytest.fixture(scope="module")
def source(templates):
    return templates["live"][0]


@pytest.fixture(scope="module")
def running(shelf, source, run_service):
    with run_service(shelf, limits=Limits(candidates=100, body=20_000, seconds=60)) as running:
        running.post_stored(source)
        yield running


def raw(running, path: str, body: bytes, method: str = "POST", **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(running.url + path, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


NOW = 1_700_100_000.0


def test_scores_are_those_of_the_model(running, source):
    import torch

    on_air = [author for row, author in enumerate(source.authors_of) if source.there[row, -1]]
    found = running.client().score(source.users_of[7], [*source.authors_of, "nobody"], time=NOW)
    assert found["flags"] == [] and found["missing"]["nobody"] == "unknown author"
    for row, author in enumerate(source.authors_of):
        score = found["scores"]["gift"][row]
        if author in on_air:
            expected = float(source.logits(np.array([7]), np.array([row])).sigmoid()[0, 0])
            assert score == pytest.approx(expected, abs=1e-5)
        else:
            assert score is None and found["missing"][author] == "no live segment"
    assert found["scores"]["gift"][-1] is None
    logits = running.client().score(source.users_of[7], on_air, time=NOW, logits=True)["scores"]["gift"]
    chances = running.client().score(source.users_of[7], on_air, time=NOW)["scores"]["gift"]
    assert torch.tensor(logits).sigmoid().tolist() == pytest.approx(chances, abs=1e-6)


def test_the_best_of_the_board(running, source):
    user = source.users_of[3]
    best = running.client().top(user, 5, time=NOW)
    every = running.client().score(user, source.authors_of, time=NOW)["scores"]["gift"]
    ranked = sorted(
        (score, author) for score, author in zip(every, source.authors_of, strict=True) if score is not None
    )
    assert best["authors"] == [author for _, author in ranked[::-1][:5]]
    assert best["scores"]["gift"] == pytest.approx([score for score, _ in ranked[::-1][:5]], abs=1e-6)


def test_flags(running, source):
    author = next(author for row, author in enumerate(source.authors_of) if source.there[row, -1])
    client = running.client()
    assert client.score("nobody", [author], time=NOW)["flags"] == ["cold"]
    assert client.score(source.users_of[0], [author], time=NOW + 61)["flags"] == ["stale_board"]
    assert client.score(source.users_of[0], [author], time=NOW + 60)["flags"] == []
    old = client.score(source.users_of[0], [author], time=NOW + 36 * 3600 + 1)
    assert old["flags"] == ["stale_bundle"] and old["missing"] == {author: "no live segment"}
    assert "stale_board" in client.top(source.users_of[0], 3, time=NOW + 100)["flags"]


def test_a_request_may_bring_its_own_history(running, source):
    author = next(author for row, author in enumerate(source.authors_of) if source.there[row, -1])
    history, lengths, times = source.histories(np.arange(len(source.users_of)))
    user = int(lengths.argmax())
    stored = running.client().score(source.users_of[user], [author], time=NOW)["scores"]
    own = [
        {"author": source.authors_of[row], "time": 1_700_000_000.0 + float(time)}
        for row, time in zip(history[user, : lengths[user]], times[user], strict=False)
    ]
    same = running.client().score(
        source.users_of[user], [author], time=NOW, history=[*own[:2], {"author": "gone"}, *own[2:]]
    )
    assert same["scores"]["gift"] == pytest.approx(stored["gift"], abs=1e-5)
    other = running.client().score(source.users_of[user], [author], time=NOW, history=own[:1])
    assert other["scores"]["gift"] != pytest.approx(stored["gift"], abs=1e-5)
    assert (
        running.client().score(source.users_of[user], [author], time=NOW, history=[])["scores"]["gift"][0]
        is not None
    )


def test_the_open_inference_protocol(running, source):
    authors = [*source.authors_of, "nobody"]
    plain = running.client().score(source.users_of[1], authors, time=NOW)
    inputs = [
        {"name": "user", "shape": [1], "datatype": "BYTES", "data": [source.users_of[1]]},
        {"name": "authors", "shape": [len(authors)], "datatype": "BYTES", "data": authors},
        {"name": "time", "shape": [1], "datatype": "FP64", "data": [NOW]},
    ]
    found = running.client().post("/v2/models/mmbee/infer", {"id": "7", "inputs": inputs})
    assert (found["model_name"], found["model_version"], found["id"]) == ("mmbee", plain["bundle"], "7")
    outputs = {one["name"]: one for one in found["outputs"]}
    scored = [author for author in authors if author not in plain["missing"]]
    assert outputs["authors"]["data"] == scored and outputs["gift"]["shape"] == [len(scored)]
    assert outputs["gift"]["data"] == [score for score in plain["scores"]["gift"] if score is not None]
    described = running.client().model()
    assert described["versions"] == [plain["bundle"]] and described["tasks"] == ["gift"]


SCORE = {"user": "u", "authors": ["a0"]}
BAD = [
    (b"", 400, "no JSON"),
    (b"{", 400, "no JSON"),
    (b'{"user": "u", "authors": ["a0"]', 400, "no JSON"),
    (b"[]", 400, "Expected `object`, got `array`"),
    (b"\xff\xfe", 400, "no JSON"),
    (b'{"user": "\\ud800", "authors": ["a0"]}', 400, "no JSON"),
    (json.dumps({"authors": ["a0"]}).encode(), 400, "missing required field `user`"),
    (json.dumps({**SCORE, "extra": 1}).encode(), 400, "unknown field `extra`"),
    (json.dumps({**SCORE, "user": 7}).encode(), 400, "Expected `str`, got `int` - at `$.user`"),
    (json.dumps({**SCORE, "user": ""}).encode(), 400, "length >= 1"),
    (json.dumps({**SCORE, "authors": []}).encode(), 400, "length >= 1"),
    (
        json.dumps({**SCORE, "authors": ["a0", 1]}).encode(),
        400,
        "Expected `str`, got `int` - at `$.authors[1]`",
    ),
    (json.dumps({**SCORE, "authors": "a0"}).encode(), 400, "Expected `array`, got `str`"),
    (json.dumps({**SCORE, "authors": ["a"] * 101}).encode(), 413, "101 authors, at most 100"),
    (json.dumps({**SCORE, "authors": ["a" * 400] * 60}).encode(), 413, "more than 20,000 bytes"),
    (json.dumps({**SCORE, "history": [{"author": "a"}] * 101}).encode(), 413, "101 authors, at most 100"),
    (json.dumps({**SCORE, "time": float("nan")}).encode(), 400, "no JSON"),
    (json.dumps({**SCORE, "time": -1}).encode(), 400, ">= 0.0"),
    (b'{"user": "u", "authors": ["a0"], "time": 1e999}', 400, ""),
    (json.dumps({**SCORE, "deadline_ms": 0}).encode(), 400, "> 0"),
    (json.dumps({**SCORE, "history": [{"time": 3}]}).encode(), 400, "missing required field `author`"),
    (b"[" * 10_000, 400, ""),
]


@pytest.mark.parametrize(("body", "status", "reason"), BAD, ids=lambda value: str(value)[:50])
def test_bad_bodies_are_one_line(running, body, status, reason):
    found, content = raw(running, "/v1/score", body)
    assert found == status
    error = json.loads(content)["error"]
    assert reason in error and "\n" not in error and error


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ([], "no input 'user'"),
        ([{"name": "user", "shape": [1], "datatype": "BYTES", "data": [1]}], "strings are expected"),
        ([{"name": "user", "shape": [2], "datatype": "BYTES", "data": ["u"]}], "shape [2]"),
        ([{"name": "user", "shape": [1], "datatype": "FP32", "data": ["u"]}], "strings are expected"),
        (
            [
                {"name": "user", "shape": [2], "datatype": "BYTES", "data": ["u", "v"]},
                {"name": "authors", "shape": [1], "datatype": "BYTES", "data": ["a"]},
            ],
            "2 values, expected 1",
        ),
        (
            [
                {"name": "user", "shape": [1], "datatype": "BYTES", "data": ["u"]},
                {"name": "authors", "shape": [1], "datatype": "BYTES", "data": ["a"]},
                {"name": "time", "shape": [1], "datatype": "FP64", "data": ["now"]},
            ],
            "one number is expected",
        ),
    ],
)
def test_bad_tensors_are_one_line(running, inputs, reason):
    with pytest.raises(ServiceError) as error:
        running.client().post("/v2/models/mmbee/infer", {"inputs": inputs})
    assert error.value.status == 400 and reason in str(error.value)


def test_what_becomes_of_bad_segments(running, source):
    full = source.authors_of[int(np.flatnonzero(source.there.all(axis=1))[0])]
    start = NOW - 1000
    good = {"visual": [[0.5] * 5] * 2}
    posted = [
        {"author": "nobody", "start": start},
        {"author": full, "start": 1.0, "features": good},
        {"author": full, "start": start, "features": {"visual": [[0.5] * 4] * 2}},
        {"author": full, "start": start, "features": {"visual": [0.5] * 5}},
        {"author": full, "start": start, "features": {"visual": [[0.5] * 5, [0.5]]}},
        {"author": full, "start": start, "features": {"smell": [0.5]}},
        {"author": full, "start": start, "features": {"visual": [[1e30] * 5] * 2}},
        {"author": full, "start": start, "end": start - 1, "features": good},
        {"author": full, "start": NOW + 3, "features": good},
        {"author": full, "start": NOW + 3, "features": good},
    ]
    found = running.client().segments(posted)
    assert found["answers"] == [
        "unknown author",
        "late",
        "wrong shape",
        "wrong shape",
        "wrong shape",
        "wrong shape",
        "not finite",
        "ends before it starts",
        "accepted",
        "duplicate",
    ]
    assert sum(found["counts"].values()) == len(posted)
    exposition = raw(running, "/metrics", None, "GET")[1].decode()
    assert 'mmbee_segments_total{answer="wrong shape"} 4.0' in exposition
    assert raw(running, "/v1/segments", b'{"segments": [{"author": "a1", "start": NaN}]}')[0] == 400


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*SCORE, "time", "history"]), inner)
    ),
    max_leaves=10,
)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([path for method, path, *_ in ROUTES if method == "post"]), JSONS | st.binary(max_size=40)
)
def test_whatever_is_posted_the_service_answers(running, path, body):
    sent = body if isinstance(body, bytes) else json.dumps(body).encode(errors="surrogatepass")
    status, content = raw(running, path, sent)
    assert status < 500 and json.loads(content)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/score", 405), ("GET", "/nowhere", 404)])
def test_other_routes_and_methods(running, method, path, status):
    assert raw(running, path, None, method)[0] == status


def test_a_body_cut_short_hurts_nobody(running, source):
    where = urlsplit(running.url)
    with closing(socket.create_connection((where.hostname, where.port))) as connection:
        connection.sendall(b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    assert running.client().score(source.users_of[0], ["a0"], time=NOW)["bundle"]


def test_a_slow_client_is_let_go(running, monkeypatch):
    monkeypatch.setattr("mmbee_plugin.serving.service.bodies.BODY_SECONDS", 0.1)
    where = urlsplit(running.url)
    with closing(socket.create_connection((where.hostname, where.port))) as connection:
        connection.settimeout(5)
        connection.sendall(b"POST /v1/score HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")


def test_the_document_names_every_route(running):
    document = json.loads(raw(running, "/openapi.json", None, "GET")[1])
    assert document["openapi"] == "3.1.0"
    routes = {route.path for route in running.service.app().routes}
    assert set(document["paths"]) == routes
    names = set(document["components"]["schemas"])
    assert {"ScoreRequest", "ScoreAnswer", "Error"} <= names
    text = json.dumps(document)
    assert all(f"#/components/schemas/{name}" in text for name in ("ScoreRequest", "TopAnswer", "Behaviour"))
    page = raw(running, "/docs", None, "GET")[1].decode()
    assert "POST /v1/score" in page and "http://" not in page and "https://" not in page


def test_metrics(running, source):
    running.client().score("nobody", ["nobody"], time=NOW)
    exposition = raw(running, "/metrics", None, "GET")[1].decode()
    bundle = running.follower.scorer.bundle.id
    for line in (
        f'mmbee_bundle{{bundle="{bundle}"}} 1.0',
        'mmbee_flags_total{flag="cold"}',
        "mmbee_swaps_total 1.0",
    ):
        assert line in exposition
    assert 'mmbee_requests_total{route="score",status="200"}' in exposition


def test_the_token(shelf, run_service):
    with run_service(shelf, token="secret") as running:
        assert raw(running, "/v2/health/live", None, "GET")[0] == 200
        for client in (running.client(), running.client(token="Secret"), running.client(token="")):
            with pytest.raises(ServiceError) as error:
                client.model()
            assert error.value.status == 401
        assert running.client(token="secret").model()["name"] == "mmbee"
        assert raw(running, "/metrics", None, "GET")[0] == 401


def test_before_the_first_bundle_it_is_not_ready(tmp_path, run_service, templates):
    from mmbee_plugin.serving.bundle.shelf import Shelf

    with run_service(Shelf(tmp_path)) as running:
        assert raw(running, "/v2/health/live", None, "GET")[0] == 200
        assert raw(running, "/v2/health/ready", None, "GET")[0] == 503
        status, content = raw(running, "/v1/score", json.dumps(SCORE).encode())
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
