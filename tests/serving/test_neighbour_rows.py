"""Rows of lists and edges in Redis are those of the files, whole or refused."""

from __future__ import annotations

import numpy as np
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.build import build
from mmbee_plugin.graph.metapaths import every_metapath
from mmbee_plugin.graph.neighbourhoods import MappedRows, StoredNeighbours, WalkedNeighbours
from mmbee_plugin.graph.settings import GraphSettings, Interactions
from mmbee_plugin.graph.topology import Topology
from mmbee_plugin.serving.store.records import StoreDown


@pytest.fixture
def snapshot(tmp_path):
    rng = np.random.default_rng(0)
    gifts = Interactions(rng.integers(0, 30, 120), rng.integers(0, 20, 120), None, 35, 22)
    paths = tuple(path.name for path in every_metapath())
    return build(gifts, GraphSettings(top_k=5, metapaths=paths, walk_max_users=4), tmp_path)


def test_lists_and_walks_over_redis_are_those_over_files(snapshot, redis_url):
    from mmbee_plugin.serving.store.redis import drop
    from mmbee_plugin.serving.store.rows import RedisRows, fill_rows

    settings, topology = snapshot.settings, Topology.of(snapshot.u2a(), snapshot.a2a(), snapshot.settings)
    packed = {
        "lists": {side: snapshot.lists(side) for side in "ua"},
        "steps": {"u": topology.users, "a": topology.authors},
    }
    places = {kind: f"{snapshot.path.name}:{kind}" for kind in packed}
    for kind, sides in packed.items():
        assert fill_rows(redis_url, places[kind], sides) == 57
        files, keys = MappedRows(list(sides.values())), RedisRows(redis_url, places[kind], sides)
        for name in next(iter(sides.values())).paths:
            nodes = np.array([7, 3, 7, 21])
            for starts, stops, entries in (files.take(name, nodes), keys.take(name, nodes)):
                rows = [entries[low:high].tolist() for low, high in zip(starts, stops, strict=True)]
                assert rows[0] == rows[2] and len(rows) == 4
        assert all(len(part) == 0 for part in keys.take(name, np.array([], int)))
    stored = StoredNeighbours(RedisRows(redis_url, places["lists"], packed["lists"]), settings)
    walker = WalkedNeighbours(
        RedisRows(redis_url, places["steps"], packed["steps"]), settings, topology.counts, topology.joined
    )
    for path in every_metapath():
        expected = snapshot.lists(path.start).along(path.name)
        for node in range(0, expected.n_nodes, 3):
            for one in (stored, walker):
                for part, other in zip(one.neighbours(node, path.name), expected.of(node), strict=True):
                    np.testing.assert_array_equal(part, other, err_msg=f"{path.name} of {node}")
    drop(redis_url, places["lists"])
    with pytest.raises(StoreDown, match="no row of node 3"):
        stored.neighbours(3, "u2a2u")
    assert len(walker.neighbours(3, "u2a2u")[0])


def test_figure_6_times_rows_in_a_store(snapshot, redis_url):
    pytest.importorskip("recbole", reason="RecBole is not installed")
    from mmbee_plugin.figures.response import measure

    found = measure(snapshot, 5, redis_url)  # a walk that differs from the stored list raises
    assert set(found) == set(snapshot.settings.metapaths)
    with pytest.raises(InputError, match="redis://localhost:1"):
        measure(snapshot, 5, "redis://localhost:1/0")
