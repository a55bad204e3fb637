"""The time left of a build, by a clock that each stage moves by what it is given to take."""

from __future__ import annotations

import numpy as np
import pytest

from mmbee_plugin.command import time_left
from mmbee_plugin.command.time_left import with_time_left
from mmbee_plugin.graph.build import build
from mmbee_plugin.graph.inputs import Inputs
from mmbee_plugin.graph.parts.folder import Parts
from mmbee_plugin.graph.parts.merge import merge
from mmbee_plugin.graph.parts.part import make_part
from mmbee_plugin.graph.plan import COSTS
from mmbee_plugin.graph.remaining import of_build, works_of
from mmbee_plugin.graph.settings import GraphSettings, Interactions, NodeStage
from mmbee_plugin.graph.stages import Spent


@pytest.fixture
def clock(monkeypatch):
    """The time as the code under test reads it, in ``now[0]``."""
    now = [1000.0]
    monkeypatch.setattr(time_left.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def gifts(monkeypatch):
    """Few gifts of which each operation is foretold to take a million times as long."""
    for operation, nanoseconds in COSTS.items():
        monkeypatch.setitem(COSTS, operation, 1e6 * nanoseconds)
    rng = np.random.default_rng(0)
    users, authors = rng.integers(0, 60, 400), rng.integers(0, 20, 400)
    return Interactions(users, authors, None, 60, 20, times=np.arange(400.0))


def zeros(u2a, *positives):
    return np.zeros((60, 2)), np.zeros((20, 2))


NODES = NodeStage({"epochs": 3}, zeros)
FOLDS = GraphSettings(folds=3, fold_by="time", reach_top_k=5)


def test_stages_that_take_as_long_as_planned_are_foretold(gifts, clock):
    inputs = Inputs(gifts, FOLDS, nodes=NODES)
    left = of_build(inputs, {}, 1)
    assert left.seconds is None and left.beside("U2A") == "U2A"
    works = list(left.works)
    for work in works[:-1]:
        clock[0] += 3 * work
        left.step()
        if sum(works[: left.done]) > 0.05 * sum(works):
            assert left.seconds == pytest.approx(3 * sum(works[left.done :]))
        else:
            assert left.seconds is None
    assert left.total == len(works)
    one = (len(works) - 1) // 4  # a graph, besides the nodes of the whole one
    assert works[one] == works_of(gifts, FOLDS, 3)["nodes"] > 0
    graphs = [sum(works[:one]), *(sum(works[one + 1 + fold * one :][:one]) for fold in range(3))]
    assert graphs[0] > graphs[3] > graphs[2] > graphs[1]  # a fold by time has the gifts before it


def test_the_stages_foretold_are_those_of_the_build(gifts, clock, tmp_path):
    told = []

    def show(stage):
        told.append(stage)
        clock[0] += 100.0

    found = build(gifts, FOLDS, tmp_path, nodes=NODES, progress=show)
    stages = of_build(Inputs(gifts, FOLDS, nodes=NODES), {}, 1).total
    assert len(told) == len(found.manifest["stages"]) == stages
    assert told[0] == "U2A"
    assert f"(measured on 20 of {stages} stages)" in told[20]
    assert told[-1] == "packed lists without fold 2"  # nothing is left that takes time


def test_a_short_build_says_nothing_of_time(gifts, clock, tmp_path):
    told = []

    def show(stage):
        told.append(stage)
        clock[0] += 0.01

    build(gifts, FOLDS, tmp_path, progress=show)
    assert told and not any("left" in stage for stage in told)


def test_parts_and_their_merge_tell_what_is_left(gifts, clock, tmp_path):
    inputs, told = Inputs(gifts, FOLDS, nodes=NODES), []

    def show(stage):
        told.append(stage)
        clock[0] += 100.0

    parts = Parts.create(inputs, tmp_path, 2)
    steps = len(parts.steps)
    for part in (0, 1):
        told.clear()
        make_part(parts, part, show)
        assert any("left (measured on " in stage and f"of {steps} steps)" in stage for stage in told)
    told.clear()
    make_part(parts, 1, show)
    assert told == []
    merge(inputs, tmp_path, show)
    assert told[0] == "U2A" and not told[-1].endswith("stages)")


def test_node_vectors_of_a_merge_are_measured_on_the_parts(gifts, clock):
    inputs = Inputs(gifts, GraphSettings(), nodes=NODES)
    works = works_of(gifts, inputs.settings, 3)
    planned = of_build(inputs, {}, 1)
    made = sum(planned.works) - works["nodes"]
    left = of_build(inputs, {"U2A": Spent(2 * made), "A2A": Spent(2 * made)}, 2)
    assert left.seconds == pytest.approx(2 * works["nodes"])
    told = []
    show = with_time_left(told.append, left)
    for stage in range(planned.total):
        show(str(stage))
    assert left.done == planned.total  # of one more: the parts
