"""Answers of the HTTP service: scores, the best, flags, histories, Open Inference, its description and metrics."""

from __future__ import annotations

import json
from http.client import CannotSendRequest

import numpy as np
import pytest

from mmbee_plugin.serving.client import Client

NOW = 1_700_100_000.0


def test_scores_are_those_of_the_model(running, source):
    import torch

    on_air = [author for row, author in enumerate(source.authors_of) if source.there[row, -1]]
    found = running.client().score(source.users_of[7], [*source.authors_of, "nobody"], time=NOW)
    assert found["flags"] == [] and found["missing"]["nobody"] == "unknown author"
    for row, author in enumerate(source.authors_of):
        score = found["scores"]["gift"][row]
        if author in on_air:
            odds = float(source.logits(np.array([7]), np.array([row])).exp()[0, 0]) * source.facts.negatives
            assert score == pytest.approx(odds / (1 + odds), abs=1e-5)  # in the log
        else:
            assert score is None and found["missing"][author] == "no live segment"
    assert found["scores"]["gift"][-1] is None
    logits = running.client().score(source.users_of[7], on_air, time=NOW, logits=True)["scores"]["gift"]
    chances = running.client().score(source.users_of[7], on_air, time=NOW)["scores"]["gift"]
    assert (torch.tensor(logits) + np.log(source.facts.negatives)).sigmoid().tolist() == pytest.approx(
        chances, abs=1e-6
    )
    assert running.client().model()["scores"] == {"gift": "chances in the log"}


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


def test_an_author_without_a_finite_score_has_a_reason(running, source, monkeypatch):
    user, scorer = source.users_of[1], running.follower.scorer
    authors = [author for row, author in enumerate(source.authors_of) if source.there[row, -1]]
    whole, best = running.client().score(user, authors, time=NOW), running.client().top(user, 3, time=NOW)
    bad, score = best["authors"][0], scorer.bundle.gtr.score_tasks
    row = scorer.bundle.tokens.row(bad)

    def broken(encoded, taken, *more):
        found = score(encoded, taken, *more).clone()
        found[(taken.ids == row).expand(found.shape[:2])] = np.nan
        return found

    monkeypatch.setattr(scorer.bundle.gtr, "score_tasks", broken)
    asked = ["nobody", *authors]
    found = running.client().score(user, asked, time=NOW)
    assert found["missing"] == {"nobody": "unknown author", bad: "not finite"}
    expected = dict(zip(authors, whole["scores"]["gift"], strict=True)) | {"nobody": None, bad: None}
    assert dict(zip(asked, found["scores"]["gift"], strict=True)) == expected
    assert running.client().top(user, 2, time=NOW)["authors"] == best["authors"][1:]
    inputs = [
        {"name": "user", "shape": [1], "datatype": "BYTES", "data": [user]},
        {"name": "authors", "shape": [len(asked)], "datatype": "BYTES", "data": asked},
        {"name": "time", "shape": [1], "datatype": "FP64", "data": [NOW]},
    ]
    outputs = {
        one["name"]: one["data"]
        for one in running.client().post("/v2/models/mmbee/infer", {"inputs": inputs})["outputs"]
    }
    assert outputs["authors"] == [one for one in authors if one != bad]
    assert outputs["gift"] == [expected[one] for one in outputs["authors"]]
    explained = running.client().explain(user, bad, time=NOW)
    assert (explained["missing"], explained["scores"], explained["parts"]) == (
        "not finite",
        {"gift": None},
        [],
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


def test_authors_without_a_score_are_counted_on_both_routes(running, source):
    counter = running.service.metrics.unscored.labels("unknown author")._value
    before = counter.get()
    running.client().score(source.users_of[1], ["nobody"], time=NOW)
    inputs = [
        {"name": "user", "shape": [1], "datatype": "BYTES", "data": [source.users_of[1]]},
        {"name": "authors", "shape": [2], "datatype": "BYTES", "data": ["nobody", "no one"]},
    ]
    running.client().post("/v2/models/mmbee/infer", {"inputs": inputs})
    assert counter.get() == before + 3


def test_the_document_names_every_route(running):
    document = json.loads(running.raw("/openapi.json", None, "GET")[1])
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]) == set(running.service.app().routes)
    names = set(document["components"]["schemas"])
    assert {"ScoreRequest", "ScoreAnswer", "Error"} <= names
    text = json.dumps(document)
    assert all(f"#/components/schemas/{name}" in text for name in ("ScoreRequest", "TopAnswer", "Behaviour"))
    page = running.raw("/docs", None, "GET")[1].decode()
    assert "POST /v1/score" in page and "http://" not in page and "https://" not in page


def test_metrics(running, source):
    running.client().score("nobody", ["nobody"], time=NOW)
    exposition = running.raw("/metrics", None, "GET")[1].decode()
    bundle = running.follower.scorer.bundle.id
    for line in (
        f'mmbee_bundle{{bundle="{bundle}"}} 1.0',
        'mmbee_flags_total{flag="cold"}',
        "mmbee_swaps_total 1.0",
    ):
        assert line in exposition
    assert 'mmbee_requests_total{route="score",status="200"}' in exposition


def test_a_client_outlives_a_request_that_broke(running, source):
    client = running.client()
    client._connection.request(
        "POST", "/v1/score", b"{}"
    )  # half of an exchange, as a lost connection leaves it
    with pytest.raises(CannotSendRequest):
        client.model()
    client.wait(5)
    assert client.model()["name"] == "mmbee"


def test_a_client_waits_for_a_service_and_not_for_ever():
    with pytest.raises(TimeoutError, match=r"not ready within 0\.3 s"):
        Client("http://127.0.0.1:9", timeout=1).wait(0.3)
