"""Bad bodies, tensors, segments and clients: a status of their own and one line, and the service goes on."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from urllib.parse import urlsplit

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmbee_plugin.serving.board.journal import NotKept
from mmbee_plugin.serving.board.windows import Windows
from mmbee_plugin.serving.client import ServiceError
from mmbee_plugin.serving.service.openapi import ROUTES

NOW = 1_700_100_000.0


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
    found, content = running.raw("/v1/score", body)
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
    ],
)
def test_bad_tensors_are_one_line(running, inputs, reason):
    with pytest.raises(ServiceError) as error:
        running.client().post("/v2/models/mmbee/infer", {"inputs": inputs})
    assert error.value.status == 400 and reason in str(error.value)


def test_a_million_candidates_are_refused_and_the_client_hears_why(shelf, source, run_service):
    million = json.dumps({"user": "u", "authors": ["a0"] * 10**6}).encode()
    some = json.dumps({"user": "u", "authors": ["a0"] * 2001}).encode()
    with run_service(shelf) as running:
        for body, reason in (
            (million, "the body has more than 1,048,576 bytes"),
            (some, "2,001 authors, at most 2,000"),
        ):
            status, content = running.raw("/v1/score", body)
            assert status == 413 and reason in json.loads(content)["error"]
        assert running.client().score(source.users_of[0], ["a0"], time=NOW)["bundle"]


@pytest.mark.parametrize("moment", ["now", True, -1, 1e12, [NOW], {}], ids=str)
def test_a_bad_time_among_tensors_is_one_line(running, moment):
    inputs = [
        {"name": name, "shape": [1], "datatype": kind, "data": [value]}
        for name, kind, value in (("user", "BYTES", "u"), ("authors", "BYTES", "a"), ("time", "FP64", moment))
    ]
    with pytest.raises(ServiceError, match="one number of seconds from 0 to 1e\\+11 is expected") as error:
        running.client().post("/v2/models/mmbee/infer", {"inputs": inputs})
    assert error.value.status == 400


def test_a_segment_that_cannot_be_kept_is_to_be_sent_again(running, source, monkeypatch):
    def full(windows, *segment):
        raise NotKept("segments-1: cannot be written (No space left on device); send it again")

    posted = [{"author": source.authors_of[0], "start": NOW + 9}]
    with monkeypatch.context() as disk:
        disk.setattr(Windows, "_keep", full)
        with pytest.raises(ServiceError, match="No space left on device") as error:
            running.client().segments(posted)
    assert error.value.status == 503
    assert running.client().segments(posted)["answers"] == ["accepted"]


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
        {"author": full, "start": NOW + 3, "features": {"visual": [0.5] * 10}},  # the same, frame after frame
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
    exposition = running.raw("/metrics", None, "GET")[1].decode()
    assert 'mmbee_segments_total{answer="wrong shape"} 4.0' in exposition
    assert running.raw("/v1/segments", b'{"segments": [{"author": "a1", "start": NaN}]}')[0] == 400


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
    status, content = running.raw(path, sent)
    assert status < 500 and json.loads(content)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/score", 405), ("GET", "/nowhere", 404)])
def test_other_routes_and_methods(running, method, path, status):
    found, content = running.raw(path, None, method)
    assert found == status and json.loads(content)["error"]


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
