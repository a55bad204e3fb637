import json

import numpy as np
import pytest

from mmbee_plugin.data.visits import Visits
from mmbee_plugin.graph.build import build_snapshot
from mmbee_plugin.graph.inputs import Inputs
from mmbee_plugin.graph.settings import GraphSettings, NodeStage

DEFAULTS = {"top_k": 5, "reach_top_k": 4, "reach_inner": 6, "content_top_k": 2}


@pytest.fixture(autouse=True)
def without_fsync(monkeypatch):
    """Processes end in these tests, not machines."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


def summed_positives(u2a, users, authors):
    """Node tables that depend on every list of positives."""
    found = []
    for positives in (users, authors):
        lists = positives.all()
        sums = np.bincount(np.repeat(np.arange(lists.n_nodes), np.diff(lists.indptr)), lists.weights)
        found.append(np.resize(sums, (lists.n_nodes, 2)))
    return tuple(found)


@pytest.fixture
def inputs_of(interactions, features):
    """A function that gives inputs with these settings, a modality, node vectors and visits."""
    random = np.random.default_rng(5)
    users, authors = (random.integers(0, count, 200).astype(np.int32) for count in (30, 20))
    visits = Visits(users, authors, interactions.times.min() + 500.0 * np.arange(200))

    def chosen(**settings):
        given = GraphSettings(**(DEFAULTS | settings))
        nodes = NodeStage({"width": 2}, summed_positives)
        return Inputs(interactions, given, features, nodes, visits=visits)

    return chosen


@pytest.fixture
def whole(tmp_path):
    """A function that builds inputs in one process; returns the contents of the snapshot."""

    def built(inputs):
        return _contents(build_snapshot(inputs, tmp_path / "whole"))

    return built


@pytest.fixture
def contents():
    return _contents


def _contents(snapshot):
    """The manifest as text, without times and facts of the run; the stages' names; the bytes of each file."""
    manifest = json.loads((snapshot.path / "manifest.json").read_text())
    names = [record["stage"] for record in manifest.pop("stages")]
    del manifest["built"]
    places = sorted(snapshot.path.rglob("*.npy"))
    files = {str(path.relative_to(snapshot.path)): path.read_bytes() for path in places}
    return json.dumps(manifest), names, files
