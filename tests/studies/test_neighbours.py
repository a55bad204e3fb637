"""Neighbours that come true, against a count pair by pair."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

from mmbee_plugin.cli import app
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.build import build
from mmbee_plugin.graph.metapaths import every_metapath
from mmbee_plugin.graph.settings import GraphSettings, Interactions
from mmbee_plugin.studies.neighbours import Hits, hits, neighbours_figure

USERS, AUTHORS, TOP_K = 30, 16, 5


def gifts(count, seed):
    rng = np.random.default_rng(seed)
    users, authors = rng.integers(0, USERS - 4, count), (AUTHORS * rng.random(count) ** 2).astype(int)
    return Interactions(users, authors, None, USERS, AUTHORS)


def by_hand(snapshot, path, before, later, exclude_own):
    """Counts of stored, popular and random lists by node: {kind: [(true, length, wanted)]}."""
    old, new = (set(zip(one.users.tolist(), one.authors.tolist(), strict=True)) for one in (before, later))
    sizes = {"u": USERS, "a": AUTHORS}

    def meets(start, end):
        if path.start != path.end:
            return ((start, end) if path.start == "u" else (end, start)) in new
        if path.start == "u":
            return any((start, author) in new and (end, author) in new for author in range(AUTHORS))
        return any((user, start) in old and (user, end) in new - old for user in range(USERS))

    def allowed(start, end):
        if path.start == path.end:
            return start != end or not exclude_own
        pair = (start, end) if path.start == "u" else (end, start)
        return not (exclude_own and path.hops > 1 and pair in old)

    column = before.users if path.end == "u" else before.authors
    popular = sorted(range(sizes[path.end]), key=lambda node: (-int((column == node).sum()), node))
    found = {"stored": [], "popular": [], "random": []}
    for start in range(sizes[path.start]):
        ends = [end for end in range(sizes[path.end]) if allowed(start, end)]
        true = {end for end in ends if meets(start, end) and (path.start != path.end or start != end)}
        if not true:
            continue
        stored = snapshot.neighbours(path.name).of(start)[0].tolist()
        best = [end for end in popular if end in ends][: len(stored)]
        found["stored"].append((len(true & set(stored)), len(stored), len(true)))
        found["popular"].append((len(true & set(best)), len(stored), len(true)))
        found["random"].append((len(stored) * len(true) / len(ends), len(stored), len(true)))
    return found


@pytest.mark.parametrize("exclude_own", [True, False])
def test_every_path_counts_what_a_loop_over_all_pairs_counts(tmp_path, exclude_own, check_answer):
    before, later = gifts(60, 0), gifts(40, 1)
    names = tuple(path.name for path in every_metapath())
    settings = GraphSettings(metapaths=names, top_k=TOP_K, exclude_own=exclude_own)
    snapshot = build(before, settings, tmp_path)
    found = hits(snapshot, before, later, lambda stage: None)
    assert tuple(found) == names
    for path in every_metapath():
        one, expected = found[path.name], by_hand(snapshot, path, before, later, exclude_own)
        assert one.nodes == len(expected["stored"]) > 5
        for kind, counted in expected.items():
            shares = [true / length for true, length, _ in counted if length]
            np.testing.assert_allclose(one.precision[kind], shares, err_msg=f"{path.name} {kind}")
            np.testing.assert_allclose(one.recall[kind], [true / wanted for true, _, wanted in counted])
        assert one.size == pytest.approx(np.mean([length for _, length, _ in expected["stored"]]))
    said, sheet, plot = neighbours_figure(found, "test")
    check_answer(said, sheet, plot)
    assert [row[0] for row in sheet.rows] == list(names) and len(plot.figure.data) == 6


def test_few_nodes_prove_nothing():
    """Nine nodes of which each stored neighbour comes true and no popular one, beside a path with ten."""

    def come_true(nodes):
        each = {"stored": np.ones(nodes), "popular": np.zeros(nodes), "random": np.zeros(nodes)}
        return Hits(nodes, 1.0, each, each)

    said, sheet, _ = neighbours_figure({"u2a": come_true(9), "u2a2u": come_true(10)}, "test")
    assert "1 of 2 metapaths (u2a2u)" in said
    p = sheet.headings.index("p")
    assert [row[p] for row in sheet.rows] == ["unknown", "0.000"]


def test_the_command_counts_on_the_later_split(live_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pytest"])
    small = ["--graph.folds=0", "--graph.fold_by=pair", "--graph.top_k=3", "--graphcl.epochs=1"]
    command = ["study", "neighbours", "--dataset=tinylive", *small]
    result = CliRunner().invoke(app, [*command, "--split=valid"], catch_exceptions=False)
    assert (
        result.exit_code == 0 and "Later: the valid split" in result.output and "| u2a2u2a" in result.output
    )
    with pytest.raises(InputError, match="--split 'train'"):
        CliRunner().invoke(app, [*command, "--split=train"], catch_exceptions=False)


def test_without_a_later_gift_there_is_nothing_to_count(tmp_path):
    snapshot = build(gifts(60, 0), GraphSettings(top_k=TOP_K), tmp_path)
    with pytest.raises(InputError, match="no gift in the later split"):
        hits(snapshot, gifts(60, 0), gifts(0, 0), lambda stage: None)
