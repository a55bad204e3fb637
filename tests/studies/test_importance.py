"""Permutation importance: what is permuted, what it loses, and the ranking made of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from mmbee_plugin.cli import app
from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.metrics import auc
from mmbee_plugin.experiments.cells import Cell
from mmbee_plugin.experiments.comparison import METRICS
from mmbee_plugin.experiments.scoring import open_trained
from mmbee_plugin.graph.metapaths import every_metapath
from mmbee_plugin.studies import importance
from mmbee_plugin.studies.importance import SIDES, measured, permuted
from mmbee_plugin.studies.select import ranking, select_figure

GIE = {"metapaths": ["u2a2u", "u2a2a", "a2u"], "graph": {"folds": 2, "top_k": 3, "reach_top_k": 0}}


@pytest.mark.parametrize("paths", [("u2a2a",), ("u2a2u", "u2a2a"), ("a2u",)])
def test_other_nodes_lists_are_read_and_put_back(live_checkpoint, paths):
    trained = open_trained(live_checkpoint(**GIE))
    plain = trained.scores("valid")
    rows, interest = trained.rows("valid"), trained.network.interest
    with permuted(trained, paths, np.random.default_rng(5)):
        found = trained.scores("valid")
    np.testing.assert_array_equal(trained.scores("valid"), plain)
    assert np.abs(found - plain).max() > 1e-3

    nodes = rows.inter_feat["user_id" if paths[0][0] == "u" else "item_id"].unique()
    instead = torch.arange(max(trained.train.user_num, trained.train.item_num))
    instead[nodes] = nodes[torch.from_numpy(np.random.default_rng(5).permutation(len(nodes)))]
    for path in paths:
        lists = interest.lists[path]
        pool, attributes = lists.pool, lists.attributes
        lists.pool = lambda ids, table, fold, pool=pool: pool(instead[ids], table, fold)
        lists.attributes = lambda ids, fold, attributes=attributes: attributes(instead[ids], fold)
    np.testing.assert_allclose(trained.scores("valid"), found, rtol=1e-5)


def test_a_path_without_lists_loses_nothing(live_checkpoint):
    trained = open_trained(live_checkpoint(**GIE))
    lists = trained.network.interest.lists["u2a2a"]
    lists.weights_None, lists.rows = lists.weights_None * 0, torch.full_like(lists.rows, -1)
    shown: list[str] = []
    cell = measured(trained, 2, 1, shown.append)
    assert cell.facts["metapaths"] == GIE["metapaths"] and cell.facts["samples"] == 120
    samples = trained.samples("valid")
    assert cell.arrays["auc"] == auc(samples.labels, trained.scores("valid"))
    for metric in METRICS:
        np.testing.assert_array_equal(cell.arrays[f"{metric} u2a2a"], [cell.arrays[metric]] * 2)
        assert not cell.arrays[f"{metric} draws u2a2a"].any()
        assert (cell.arrays[f"{metric} a2u"] != cell.arrays[metric]).all()
    # with the empty path beside it, all from users is that of u2a2u alone, dealt by other draws
    assert (cell.arrays["auc all from users"] != cell.arrays["auc"]).all()
    assert shown[-1] == "all from authors (5 of 5), permutation 2 of 2"


def made(falls: dict[str, tuple[float, ...]], spread: float) -> Cell:
    """A cell of given falls of every metric, with resampled falls about their mean."""
    arrays = {metric: np.array(0.7) for metric in METRICS}
    for name, values in {**falls, **dict.fromkeys(SIDES.values(), (0.01,))}.items():
        draws = np.mean(values) + spread * np.linspace(-1, 1, 101)
        for metric in METRICS:
            arrays |= {f"{metric} {name}": 0.7 - np.array(values), f"{metric} draws {name}": draws}
    return Cell(arrays, {"metapaths": list(falls), "samples": 9, "positives": 3, "users": 4})


def test_the_largest_mean_fall_comes_first_and_doubt_is_said(check_answer):
    cells = [
        made({"u2a": (0.001, 0.003), "u2a2u": (-0.001, 0.0), "a2a": (0.004, 0.008)}, 0.003),
        made({"u2a": (0.002, 0.002), "u2a2u": (0.0, 0.0), "a2a": (0.006, 0.006)}, 0.003),
    ]
    assert ranking(cells, "gauc") == ["a2a", "u2a", "u2a2u"]
    said, sheet, plot = select_figure(cells, "gauc", 2)
    check_answer(said, sheet, plot)
    assert [row[:4] for row in sheet.rows] == [
        ("a2a", "√", "√", "+0.600"),
        ("u2a", "√", "", "+0.200"),
        ("u2a2u", "", "√", "-0.025"),
        ("all from users", "", "", "+1.000"),
        ("all from authors", "", "", "+1.000"),
    ]
    assert sheet.headings[3:] == ("GAUC fall", "95 %", "±", "AUC fall", "UAUC fall")
    assert sheet.rows[0][4] == "+0.315 to +0.885" and sheet.rows[0][5] == "0.141"
    assert sheet.notes[0].startswith("The paper's five: ")
    assert said == "a2a and u2a would be kept, of which u2a may be chance"
    bars, points = plot.figure.data
    assert list(bars.y) == ["a2a", "u2a", "u2a2u"] and len(points.x) == 12


def test_the_command_trains_with_every_path_once_and_ranks_them(live_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pytest"])
    small = ["--epochs=1", "--embedding_size=8", "--graphcl.epochs=1", "--content=none", "--gpu_id="]
    select = ["graph", "select", "--dataset=tinylive", "--permutations=1", "--graph.folds=2", *small]
    select += ["--graph.fold_by=pair", "--graph.reach_top_k=0"]
    result = CliRunner().invoke(app, select, catch_exceptions=False)
    assert result.exit_code == 0 and "GAUC fall" in result.output
    for path in every_metapath():
        assert f"| {path.name} " in result.output
    assert "u2a2u" in (tmp_path / "results" / "select.html").read_text()

    monkeypatch.setattr(importance, "importance_cell", None)  # not made again
    again = CliRunner().invoke(app, [*select, "--metric=auc", "--keep=3"], catch_exceptions=False)
    assert again.exit_code == 0 and "AUC fall" in again.output
    for wrong, text in (
        ("--metapaths=a2a", "'metapaths': this study sets it"),
        ("--interest=none", "only gie reads metapaths"),
        ("--pooling=set", "pooling set: no metapath has a mean of its own"),
        ("--metric=recall", "one of auc, uauc, gauc"),
    ):
        with pytest.raises(InputError, match=text):
            CliRunner().invoke(app, [*select, wrong], catch_exceptions=False)
