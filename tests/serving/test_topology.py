"""A bundle with the topology of its snapshot gives, walked, the stored lists to the last bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.build import build
from mmbee_plugin.graph.metapaths import every_metapath
from mmbee_plugin.graph.neighbourhoods import WalkedNeighbours
from mmbee_plugin.graph.settings import GraphSettings, Interactions
from mmbee_plugin.serving.bundle.build import build_bundle
from mmbee_plugin.serving.bundle.opened import open_bundle
from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.serving.bundle.topology import open_topology


@pytest.fixture
def made(random_source, tmp_path):
    """A source, the snapshot that it says it was trained with, a shelf, and the bundle that has its topology."""
    source = random_source(0, live=False)
    rng = np.random.default_rng(0)
    n_users, n_authors = len(source.users_of), len(source.authors_of)
    gifts = Interactions(rng.integers(0, 50, 300), rng.integers(0, 35, 300), None, n_users, n_authors)
    paths = tuple(path.name for path in every_metapath())
    settings = GraphSettings(top_k=5, metapaths=paths, walk_max_users=6)
    snapshot = build(gifts, settings, tmp_path / "graph")
    source.facts = replace(source.facts, snapshot=snapshot.manifest["key"])
    shelf = Shelf(tmp_path / "bundles")
    return source, snapshot, shelf, build_bundle(source, shelf, snapshot=snapshot)


def check_walks(walker: WalkedNeighbours, snapshot) -> None:
    met = set()
    for path in every_metapath():
        expected = snapshot.lists(path.start).along(path.name)
        for node in range(expected.n_nodes):
            found = walker.neighbours(node, path.name)
            met.add(len(found[0]))
            for part, other in zip(found, expected.of(node), strict=True):
                assert part.dtype == other.dtype
                np.testing.assert_array_equal(part, other, err_msg=f"{path.name} of {node}")
    assert met >= {0, 5}


def test_walks_from_mapped_files_are_the_stored_lists(made):
    _, snapshot, shelf, bundle = made
    topology = open_topology(shelf.path / bundle, shelf.verify(bundle))
    check_walks(WalkedNeighbours.of(topology), snapshot)


def test_walks_from_redis_are_the_stored_lists(made, redis_url):
    from redis import Redis

    from mmbee_plugin.serving.store.records import StoreDown
    from mmbee_plugin.serving.store.redis import drop, fill
    from mmbee_plugin.serving.store.walks import drop_walks, fill_walks, walks

    source, snapshot, shelf, bundle = made
    folder = shelf.path / bundle
    topology = open_topology(folder, shelf.verify(bundle))
    fill(redis_url, folder, bundle)
    client = Redis.from_url(redis_url)
    for node in range(2):
        count = fill_walks(redis_url, bundle, topology)
        assert (
            count == len(source.users_of) + len(source.authors_of) == fill_walks(redis_url, bundle, topology)
        )
        assert client.delete(f"mmbee:{bundle}.steps:u:{node}", f"mmbee:{bundle}.steps:a:{node}") == 2
    fill_walks(redis_url, bundle, topology)  # writes what is gone
    walker = walks(redis_url, bundle, topology)
    check_walks(walker, snapshot)
    drop(redis_url, bundle)
    check_walks(walker, snapshot)
    drop_walks(redis_url, bundle)
    with pytest.raises(StoreDown, match="no row of node 0"):
        walker.neighbours(0, "u2a2u")


def test_its_files_are_the_snapshots_and_change_no_other(made):
    source, snapshot, shelf, bundle = made
    (beside,) = (path for path in snapshot.path.parent.iterdir() if path != snapshot.path)
    steps = sorted(file.relative_to(beside) for file in (beside / "steps").rglob("*.npy"))
    assert len(steps) == 4
    assert all((shelf.path / bundle / name).samefile(beside / name) for name in steps)
    plain = build_bundle(source, shelf)
    assert plain != bundle
    files = {one: shelf.verify(one)["files"] for one in (plain, bundle)}
    assert files[bundle] == files[plain] | {str(name): files[bundle][str(name)] for name in steps}
    with pytest.raises(InputError, match=r"has no topology; mmbee bundle build --topology=SNAPSHOT adds it"):
        open_topology(shelf.path / plain, shelf.verify(plain))


def test_a_changed_file_and_another_snapshot_are_refused(made, tmp_path):
    source, snapshot, shelf, bundle = made
    source.facts = replace(source.facts, snapshot="0" * 32)
    with pytest.raises(
        InputError, match=f"snapshot {snapshot.manifest['key']}, the model was trained with 0"
    ):
        build_bundle(source, shelf, snapshot=snapshot)
    file = shelf.path / bundle / "steps" / "a" / "entries.npy"
    whole = file.read_bytes()
    file.unlink()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(InputError, match=r"entries.npy: its content is not what was built"):
        shelf.verify(bundle)


def test_scorers_do_not_count_it_as_memory(made):
    _, _, shelf, bundle = made
    manifest = shelf.verify(bundle)
    for name, entry in manifest["files"].items():
        if name.startswith("steps/"):
            entry["size"] = 1 << 50
    assert open_bundle(shelf.path / bundle, manifest).id == bundle
