"""The cost of the expansion: graphs drawn after the data's, and what is said to be spent on which part."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from typer.testing import CliRunner

from mmbee_plugin.builtin import sample
from mmbee_plugin.cli import app
from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments import making
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.studies import cost
from mmbee_plugin.studies.cost import CONTENT, NEAR, PARTS, Shape, cost_cell, drawn, growth, shapes_of


def graph(n_users=400, n_authors=50):
    """Half of the users gift, one to eight authors each, and the first authors most of all."""
    rng = np.random.default_rng(0)
    count = np.where(rng.random(n_users) < 0.5, rng.integers(1, 9, n_users), 0)
    users = np.repeat(np.arange(n_users), count)
    authors = (n_authors * rng.random(len(users)) ** 3).astype(int)
    return csr_matrix(
        (rng.uniform(1, 9, len(users)).astype(np.float32), (users, authors)), (n_users, n_authors)
    )


def test_a_drawn_graph_has_the_shape_that_was_asked_for():
    u2a = graph()
    edges = np.diff(u2a.indptr)
    for shape in (Shape(1, 1), Shape(20, 1), Shape(20, 0.5), Shape(20, 3)):
        gifts = drawn(u2a, shape, np.random.default_rng(1))
        assert (gifts.n_users, gifts.n_authors) == (400 * shape.size, 50 * shape.size)
        wanted = edges.mean() * shape.density
        assert len(gifts.users) / gifts.n_users == pytest.approx(
            wanted, rel=0.15 if shape.size == 1 else 0.04
        )
        by_author = np.sort(np.bincount(gifts.authors, minlength=gifts.n_authors))[::-1]
        share = by_author[: len(by_author) // 10].sum() / by_author.sum()
        own = np.sort(np.bincount(u2a.indices, minlength=50))[::-1]
        assert share == pytest.approx(own[:5].sum() / own.sum(), abs=0.12)
        assert set(gifts.amounts) <= set(u2a.data)
    none = (np.bincount(drawn(u2a, Shape(20, 1), np.random.default_rng(1)).users, minlength=8000) == 0).mean()
    assert none == pytest.approx((edges == 0).mean(), abs=0.03)


def test_seconds_and_bytes_go_to_the_parts_they_are_of(tmp_path, monkeypatch):
    kept = []
    build = cost.build_snapshot

    def watched(*arguments, **named):
        snapshot = build(*arguments, **named)
        files = snapshot.manifest["files"]
        kept.append((snapshot.manifest, {name: (snapshot.path / name).stat().st_size for name in files}))
        return snapshot

    monkeypatch.setattr(cost, "build_snapshot", watched)
    u2a = graph()
    settings = GraphSettings(top_k=5, reach_top_k=7, amount="amount", metapaths=("a2a", "u2a2a", "u2a2u"))
    facts = cost_cell(u2a, None, settings, {CONTENT: 6}, 0).facts
    manifest, sizes = kept[-1]
    assert (facts["users"], facts["authors"], facts["edges"]) == (400, 50, u2a.nnz)
    assert set(facts["seconds"]) == set(facts["bytes"]) == set(PARTS)
    assert sum(facts["bytes"].values()) == sum(sizes.values())
    folders = {"graphs": ("u2a/", "a2a/"), "lists": "lists/", "walk": "reach/", "means": "attributes/"}
    for part, folder in folders.items():
        assert facts["bytes"][part] == sum(size for name, size in sizes.items() if name.startswith(folder))
    of_users = sum(facts["metapaths"][name]["bytes"] for name in ("u2a2u", "u2a2a"))
    # One offset more than lists, and numpy's header of a file.
    assert of_users == sizes["lists/u/entries.npy"] + sizes["lists/u/indptr.npy"] - 8 - 2 * 128
    stages = [(stage["stage"], stage["seconds"]) for stage in manifest["stages"]]
    assert sum(facts["seconds"].values()) == pytest.approx(sum(spent for _, spent in stages))
    assert facts["seconds"]["graphs"] == pytest.approx(dict(stages)["U2A"] + dict(stages)["A2A"])
    assert facts["metapaths"]["a2a"]["seconds"] == pytest.approx(dict(stages)["a2a"])
    assert facts["memory_mb"] >= 0


def test_the_walk_by_content_is_measured_whatever_the_modalities_are_called(monkeypatch):
    kept = []
    build = cost.build_snapshot
    monkeypatch.setattr(cost, "build_snapshot", lambda *given: kept.append(build(*given)) or kept[-1])
    settings = GraphSettings(
        top_k=5, reach_top_k=7, content_top_k=3, content_modalities=(NEAR,), metapaths=("a2a",)
    )
    facts = cost_cell(graph(), None, settings, {NEAR: 6}, 0).facts
    spent = {stage["stage"]: stage["seconds"] for stage in kept[-1].manifest["stages"]}
    assert facts["seconds"]["walk"] == pytest.approx(spent["reach"] + spent["content"])
    assert facts["bytes"]["means"] == 0


def test_shapes_and_growth():
    assert shapes_of([2, 0.5], [1, 4]) == [Shape(0.5, 1), Shape(2, 1), Shape(1, 1), Shape(1, 4)]
    assert shapes_of([1], [1]) == [Shape(1, 1)]
    with pytest.raises(InputError, match="--densities: 0 is out of range"):
        shapes_of([1], [0])
    x = np.array([0.5, 1, 2, 8])
    assert growth(x, 3 * x**1.5) == pytest.approx(1.5)


def test_the_command_prints_the_datas_own_graph_and_the_drawn_ones(
    live_path, tmp_path, monkeypatch, check_report
):
    def here(jobs, store, processes, show, fresh):
        assert fresh
        return [job.work(*job.arguments) for job in jobs]

    monkeypatch.setattr(making, "make_cells", here)  # no process of its own
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pytest"])
    small = ["--graph.folds=0", "--graph.fold_by=pair", "--graphcl.epochs=1"]
    command = ["graph", "cost", "--dataset=tinylive", "--sizes=1,3", "--densities=1,2", *small]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0
    for text in ("| the data's own ", "| size x 3 ", "| density x 2 ", "growing seconds as size^"):
        assert text in result.output
    page = check_report(tmp_path / "results" / "cost.html")
    by_content = ["--graph.reach_top_k=5", "--graph.content_top_k=2", "--attributes=false"]
    for named in ("[visual]", "~"):
        given = [*command, *by_content, f"--graph.content_modalities={named}"]
        assert CliRunner().invoke(app, given, catch_exceptions=False).exit_code == 0
    sample.write(tmp_path / "datasets" / "tiktok")  # its text is a bag of words, near nothing
    given = [
        "graph",
        "cost",
        "--dataset=tiktok",
        "--sizes=1",
        "--densities=1",
        "--graph.folds=0",
        *by_content,
    ]
    given += ["--graph.content_modalities=~", "--graphcl.epochs=1"]
    assert CliRunner().invoke(app, given, catch_exceptions=False).exit_code == 0
    assert "<td>40</td><td>8</td>" in page and "<td>120</td><td>24</td>" in page
