"""Walked, a node's neighbours are those that are stored, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from mmbee_plugin.graph import routes
from mmbee_plugin.graph.build import build
from mmbee_plugin.graph.metapaths import every_metapath
from mmbee_plugin.graph.neighbourhoods import MappedRows, StoredNeighbours, WalkedNeighbours
from mmbee_plugin.graph.settings import GraphSettings, Interactions
from mmbee_plugin.graph.topology import Topology, with_topology

PATHS = tuple(path.name for path in every_metapath())
CASES = [
    {},
    {"normalisation": "symmetric"},
    {"exclude_own": False},
    {"walk_max_users": 4, "swing_max_users": 6, "swing_top_k": 5},
    {"normalisation": "symmetric", "walk_max_users": 4},
]


@pytest.fixture
def snapshot_of(tmp_path):
    """A function that builds a snapshot of 400 gifts of 80 users to 50 authors, few to most; some have none."""

    def make(**given):
        rng = np.random.default_rng(0)
        users, authors = (70 * rng.random(400) ** 1.5).astype(int), (45 * rng.random(400) ** 2).astype(int)
        gifts = Interactions(users, authors, rng.uniform(1, 9, 400), 80, 50)
        return build(gifts, GraphSettings(top_k=7, metapaths=PATHS, **given), tmp_path)

    return make


@pytest.mark.parametrize("work", [0, 1_000_000], ids=["no product stored", "products stored"])
@pytest.mark.parametrize("given", CASES, ids=str)
def test_every_walk_is_the_stored_list_to_the_last_bit(snapshot_of, monkeypatch, given, work):
    monkeypatch.setattr(routes, "_STORED", work)
    snapshot = with_topology(snapshot_of(**given))
    topology = Topology.open(snapshot)
    assert bool(topology.joined) == bool(work)
    walked = WalkedNeighbours.of(topology)
    stored = StoredNeighbours(MappedRows([snapshot.lists(side) for side in "ua"]), snapshot.settings)
    for path in every_metapath():
        expected = snapshot.lists(path.start).along(path.name)
        for node in range(expected.n_nodes):
            whole = expected.of(node)
            for one in (walked, stored):
                found = one.neighbours(node, path.name)
                for part, other in zip(found, whole, strict=True):
                    assert part.dtype == other.dtype
                    np.testing.assert_array_equal(part, other, err_msg=f"{path.name} of {node}")
    assert {len(walked.neighbours(node, "u2a2u")[0]) for node in range(80)} >= {0, 7}


def test_the_topology_is_stored_once_beside_the_lists(snapshot_of, tmp_path):
    plain = snapshot_of()
    made = with_topology(plain)
    assert made.path != plain.path and with_topology(plain).path == made.path == with_topology(made).path
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([plain.path.name, made.path.name])
    new = made.manifest["files"].keys() - plain.manifest["files"].keys()
    assert new == {f"steps/{side}/{name}.npy" for side in "ua" for name in ("indptr", "entries")}
    again, fresh = Topology.open(made), Topology.of(plain.u2a(), plain.a2a(), plain.settings)
    assert again.joined == fresh.joined
    for side in ("users", "authors"):
        for name, array in getattr(fresh, side).arrays().items():
            np.testing.assert_array_equal(getattr(again, side).arrays()[name], array)
