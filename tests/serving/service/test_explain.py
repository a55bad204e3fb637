"""`/v1/explain`: what is said to be left out is left out. The oracle changes the source and scores the pair offline."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmbee_plugin.modules.mfq import MFQ
from mmbee_plugin.moments import clock
from mmbee_plugin.serving.client import ServiceError

ORIGIN, NOW = 1_700_000_000.0, 1_700_100_000.0


@pytest.fixture
def pair(source):
    """Rows of a user with several behaviours, a list of neighbours and a long walk to the author, who has content."""
    counts = source._neighbours[1].numpy()
    for author in np.flatnonzero(source.there.all(axis=1) & (source._of_authors[1][:, 0].numpy() > 0)):
        walks = (source._reach[0].numpy() == author + 1).any(axis=1)
        users = np.flatnonzero((source._lengths >= 3) & (counts > 0).all(axis=1) & walks)
        if len(users) and all(has[author].any() for has in source.has.values()):
            return int(users[0]), int(author)
    raise AssertionError


def logit(source, user, author):
    return source.logits(np.array([user]), np.array([author]))[0, 0].item()


def changes(source, user, author, monkeypatch):
    """Kind, name and the source's change for each part that the pair has."""

    def other(name, value):
        return lambda: monkeypatch.setattr(source, name, value)

    length, history, times = source._lengths[user], source._history, source._times

    def forgotten(out):
        kept = [place for place in range(length) if place not in out]
        lengths, rows, stamps = source._lengths.copy(), history.copy(), times.copy()
        lengths[user] = len(kept)
        rows[user, : len(kept)], stamps[user, : len(kept)] = history[user, kept], times[user, kept]
        return lambda: [
            monkeypatch.setattr(source, *pair)
            for pair in (("_lengths", lengths), ("_history", rows), ("_times", stamps))
        ]

    for place in range(length):
        name = f"a{history[user, place]}, {clock(ORIGIN + float(times[user, place]))}"
        yield "behaviour", name, forgotten([place])
    yield "behaviour", f"all {length}", forgotten(range(length))
    for kind, name, row, field in (
        ("user metapath", ("u2a2u", "u2a2a"), user, "_neighbours"),
        ("author metapath", ("a2a",), author, "_of_authors"),
    ):
        means, counts = getattr(source, field)
        for number, path in enumerate(name):
            none = counts.clone()
            none[row, number] = 0
            if counts[row, number]:
                yield kind, f"{path}, {int(counts[row, number])} neighbours", other(field, (means, none))
    ids, weights = source._reach
    ended = weights.clone()
    ended[user] = 0
    entry = float(weights[user][ids[user] == author + 1].sum())
    yield "long walk", f"to the author, entry {entry:.2g}", other("_reach", (ids, ended))
    for name, has in source.has.items():
        yield "modality", name, other("has", source.has | {name: np.zeros_like(has)})
    for slot, start in enumerate(source.starts[author]):
        hidden = {name: has.copy() for name, has in source.has.items()}
        for has in hidden.values():
            has[:, slot] = False
        if any(has[author, slot] for has in source.has.values()):
            newest = " (newest)" if slot == len(source.starts[author]) - 1 else ""
            yield "segment", clock(float(start)) + newest, other("has", hidden)


def test_each_part_is_what_the_model_scores_without_it(running, source, pair, monkeypatch):
    user, author = pair
    names = source.users_of[user], source.authors_of[author]
    found = running.client().explain(*names, time=NOW)
    whole = logit(source, user, author)
    assert found["logits"]["gift"] == pytest.approx(whole, abs=1e-5)
    score = running.client().score(names[0], [names[1]], time=NOW)["scores"]["gift"][0]
    assert found["scores"]["gift"] == pytest.approx(score, abs=1e-6)
    assert found["flags"] == [] and found["missing"] is None and found["fixed"] == []
    expected = {}
    for kind, name, change in changes(source, user, author, monkeypatch):
        with monkeypatch.context():
            change()
            expected[kind, name] = whole - logit(source, user, author)
        monkeypatch.undo()
    falls = {(one["kind"], one["name"]): one["falls"]["gift"] for one in found["parts"]}
    repeated = {key for key in falls if ", all " in key[1]}
    assert {key: falls[key] for key in falls.keys() - repeated} == pytest.approx(expected, abs=1e-4)
    assert {kind for kind, _ in falls} == {
        "behaviour",
        "user metapath",
        "author metapath",
        "long walk",
        "modality",
        "segment",
    }
    sizes = [abs(fall) for fall in falls.values()]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] > 0.01


def test_the_room_is_what_the_queries_read(running, source, pair):
    user, author = pair
    room = running.client().explain(source.users_of[user], source.authors_of[author], time=NOW)["room"]
    assert room["starts"] == source.starts[author].tolist()
    assert room["ends"] == (source.starts[author] + 30).tolist()
    assert room["present"] == {name: has[author].tolist() for name, has in source.has.items()}
    content = source.gtr.content
    assert isinstance(content, MFQ)
    expected = content.attention(source.authors(np.array([author])))[0]
    assert torch.allclose(torch.tensor(room["attention"]), expected, atol=1e-5)
    short = int(np.flatnonzero(source.there[:, -1] & ~source.there[:, 0])[0])
    room = running.client().explain(source.users_of[user], source.authors_of[short], time=NOW)["room"]
    assert len(room["starts"]) == source.there[short].sum() == len(room["attention"][0][0])


def test_a_pair_that_has_no_score_or_no_parts(running, source):
    off_air = next(author for row, author in enumerate(source.authors_of) if not source.there[row].any())
    for author, reason in (("nobody", "unknown author"), (off_air, "no live segment")):
        found = running.client().explain(source.users_of[0], author, time=NOW)
        assert (found["missing"], found["scores"], found["parts"]) == (reason, {"gift": None}, [])
    on_air = next(author for row, author in enumerate(source.authors_of) if source.there[row, -1])
    found = running.client().explain("nobody", on_air, time=NOW + 61)
    assert found["flags"] == ["cold", "stale_board"]
    assert {"behaviour of any kind", "user metapath u2a2u", "long walk to the author"} <= set(found["absent"])
    own = [{"author": "a3", "time": NOW - 60}]
    names = [
        one["name"] for one in running.client().explain("nobody", on_air, time=NOW, history=own)["parts"]
    ]
    assert f"a3, {clock(NOW - 60)}" in names
    with pytest.raises(ServiceError, match="missing required field `author`"):
        running.client().post("/v1/explain", {"user": "u"})


def test_items_encoded_with_the_bundle_have_users_parts_alone(templates, run_service):
    from mmbee_plugin.serving.bundle.shelf import Shelf

    source, path, _ = templates["static"]
    with run_service(Shelf(path)) as running:
        user = int(np.flatnonzero(source._lengths >= 3)[0])
        found = running.client().explain(source.users_of[user], "a7", time=NOW)
        assert found["logits"]["gift"] == pytest.approx(logit(source, user, 7), abs=1e-5)
        assert found["fixed"] == ["modality", "author metapath"] and found["room"] is None
        assert {one["kind"] for one in found["parts"]} <= {"behaviour", "user metapath", "long walk"}
        length = source._lengths[user]
        every = next(one for one in found["parts"] if one["name"] == f"all {length}")
        without = running.client().score(source.users_of[user], ["a7"], time=NOW, history=[], logits=True)
        fall = found["logits"]["gift"] - without["scores"]["gift"][0]
        assert every["falls"]["gift"] == pytest.approx(fall, abs=1e-5)
