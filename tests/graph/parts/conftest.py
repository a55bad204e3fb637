import json

import numpy as np
import pytest

from mmbee_plugin.graph.build import build
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
    """A function that gives inputs with these settings, a modality and node vectors."""

    def chosen(**settings):
        given = GraphSettings(**(DEFAULTS | settings))
        return Inputs(interactions, given, features, NodeStage({"width": 2}, summed_positives))

    return chosen


@pytest.fixture
def whole(tmp_path):
    """A function that builds inputs in one process; returns the contents of the snapshot."""

    def built(inputs):
        made = build(
            inputs.interactions,
            inputs.settings,
            tmp_path / "whole",
            features=inputs.features,
            nodes=inputs.nodes,
        )
        return _contents(made)

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
