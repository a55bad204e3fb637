"""The frontier of accuracy against cost, and how cost is measured."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
import torch
from torch import nn

from mmbee_plugin.evaluation.bootstrap import Interval
from mmbee_plugin.experiments.cost import CPUClock, parameter_counts
from mmbee_plugin.tables.costs import Weighed, cost_sheet, frontier, pareto

SECONDS = {"MostPop": 0.1, "walk": 1.0, "slow walk": 4.0, "LightGCN": 80.0, "MMBee": 300.0, "NGCF": 500.0}
VALUES = {"MostPop": 0.05, "walk": 0.09, "slow walk": 0.09, "LightGCN": 0.08, "MMBee": 0.11, "NGCF": 0.07}
BEST = ["MostPop", "walk", "MMBee"]


@pytest.fixture
def weighed() -> Weighed:
    costs = {name: {"parameters": 10.0, "train_cpu_seconds": cost} for name, cost in SECONDS.items()}
    costs["walk"]["rank_cpu_ms"] = 2.0
    values = {name: Interval(value, 0.01, value - 0.02, value + 0.01) for name, value in VALUES.items()}
    return Weighed("Recall@20", values, costs)


def test_the_frontier_is_what_no_row_beats():
    assert frontier(SECONDS, VALUES) == BEST
    for name, value in VALUES.items():
        beaten = any(
            other >= value
            and SECONDS[row] <= SECONDS[name]
            and (other, SECONDS[row]) != (value, SECONDS[name])
            for row, other in VALUES.items()
        )
        assert beaten == (name not in BEST)
    assert frontier({"a": 1.0, "b": 1.0}, {"a": 0.1, "b": 0.2}) == ["b"]


def test_the_plot_draws_all_rows_and_the_frontier_in_steps(weighed):
    figure = pareto(weighed)
    steps, points, *of_ranking = figure.data
    assert list(steps.x) == [SECONDS[name] for name in BEST] and steps.line.shape == "hv"
    assert list(points.x) == list(SECONDS.values()) and list(points.y) == list(VALUES.values())
    assert [text for text in points.text if "<b>" in text] == [f" <b>{name}</b> " for name in BEST]
    assert points.error_y.arrayminus == pytest.approx([0.02] * 6)
    assert [list(trace.x) for trace in of_ranking] == [[2.0], [2.0]]  # the only row with that cost
    assert figure.layout.xaxis.type == figure.layout.xaxis2.type == "log"


def test_the_sheet_names_the_frontier_and_leaves_unknown_costs_empty(weighed):
    sheet = cost_sheet(weighed, 2)
    assert sheet.headings == ("Row", "Parameters", "Training CPU s", "Ranking CPU ms a user")
    assert sheet.rows[0] == ("MostPop", "10", "0.1", "") and sheet.rows[1] == ("walk", "10", "1", "2")
    assert sheet.notes[-2].endswith("Training CPU s: MostPop, walk, MMBee.")
    assert "2 cells side by side" in sheet.notes[0]


def test_cpu_seconds_leave_out_waiting():
    clock = CPUClock()
    with clock.running():
        time.sleep(0.3)
    waited = clock.seconds
    with clock.running():
        sum(range(300_000))
    assert waited < 0.1 and clock.seconds > waited
    assert clock.per(2, 1e-3) == pytest.approx(500 * clock.seconds, rel=1e-3)


def test_cpu_seconds_are_of_children_too():
    clock = CPUClock()
    with clock.running():
        subprocess.run([sys.executable, "-c", "sum(range(20_000_000))"], check=True)
    assert clock.seconds > 0.1


def test_parameters_are_trained_weights_and_tables_of_nodes_are_embeddings():
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.users = nn.Embedding(7, 4)
            self.both = nn.Parameter(torch.zeros(7 + 5, 3))
            self.words = nn.EmbeddingBag(20, 2)
            self.layer = nn.Linear(4, 6)
            self.bias_of_items = nn.Parameter(torch.zeros(5))
            self.fixed = nn.Parameter(torch.zeros(5, 9), requires_grad=False)

    found = parameter_counts(Model(), users=7, items=5)
    assert found == {"parameters": 28 + 36 + 40 + 24 + 6 + 5, "embedding_parameters": 28 + 36 + 40}
