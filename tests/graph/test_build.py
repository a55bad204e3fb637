import json
import os
from dataclasses import replace

import numpy as np
import pytest

from mmbee_plugin.data.folds import fold_of, fold_of_time
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.attributes import Attributes, mean_attributes
from mmbee_plugin.graph.build import build
from mmbee_plugin.graph.donations import donation_graph, weigh
from mmbee_plugin.graph.expansion import expand
from mmbee_plugin.graph.metapaths import PAPER_METAPATHS, Metapath
from mmbee_plugin.graph.reach import reach
from mmbee_plugin.graph.settings import GraphSettings, Interactions
from mmbee_plugin.graph.snapshot import Snapshot
from mmbee_plugin.graph.swing import swing

SETTINGS = GraphSettings(top_k=5, reach_top_k=4)


def assert_built_from(snapshot, interactions, rows, features, fold=None):
    """The snapshot's files, or those of one fold, are those of a graph of these rows alone."""
    chosen = (column[rows] for column in (interactions.users, interactions.authors, interactions.amounts))
    u2a = weigh(donation_graph(*chosen, interactions.n_users, interactions.n_authors), "log1p")
    a2a = swing(u2a)
    expected = {name: expand(Metapath.parse(name), u2a, a2a, top_k=5) for name in PAPER_METAPATHS}
    found = {name: snapshot.neighbours(name, fold) for name in PAPER_METAPATHS}
    expected["reach"], found["reach"] = reach(u2a, 4), snapshot.reach(fold)
    for name, lists in expected.items():
        for part in ("indptr", "ids", "weights"):
            np.testing.assert_array_equal(getattr(found[name], part), getattr(lists, part), err_msg=name)
    for name in ("u2a2u2a", "u2a2a", "a2a", "a2u2a"):
        mean, stored = (
            mean_attributes(expected[name], features["visual"]),
            snapshot.attributes("visual", name, fold),
        )
        np.testing.assert_array_equal(stored.values, mean.values)
        np.testing.assert_array_equal(stored.fraction, mean.fraction)
    return u2a, a2a


def test_everything_is_stored_as_computed(tmp_path, interactions, features, node_stage):
    built = build(interactions, SETTINGS, tmp_path, features=features, nodes=node_stage(3))
    stored = Snapshot.open(built.path)
    u2a, a2a = assert_built_from(stored, interactions, slice(None), features)
    np.testing.assert_array_equal(stored.u2a().toarray(), u2a.toarray())
    np.testing.assert_array_equal(stored.a2a().toarray(), a2a.toarray())
    users, authors = stored.nodes()
    assert isinstance(users, np.memmap)
    assert users.dtype == np.float32 and users.shape == (30, 3) and (authors == 2).all()
    manifest = json.loads((built.path / "manifest.json").read_text())
    assert manifest["counts"] == {"users": 30, "authors": 20, "interactions": 150}
    assert [stage["stage"] for stage in manifest["stages"]][:4] == ["U2A", "A2A", "reach", "u2a2u2a"]
    assert all(stage["seconds"] >= 0 for stage in manifest["stages"])
    assert stored.settings == SETTINGS
    assert os.listdir(tmp_path) == [built.path.name]
    with pytest.raises(InputError, match=r"attributes/audio\.a2a\.npy: not in this snapshot"):
        stored.attributes("audio", "a2a")


def test_reach_is_stored_only_where_asked_for(tmp_path, interactions):
    built = build(interactions, SETTINGS.replace(reach_top_k=0, folds=2), tmp_path)
    for fold in (None, 0):
        with pytest.raises(InputError, match=r"reach/indptr\.npy: not in this snapshot"):
            built.reach(fold)


def test_folds_by_pair_have_not_seen_their_edges(tmp_path, interactions, features):
    settings = SETTINGS.replace(folds=3, fold_seed=4)
    built = build(interactions, settings, tmp_path, features=features)
    part = fold_of(interactions.users, interactions.authors, 3, 4)
    for fold in range(3):
        assert_built_from(built, interactions, part != fold, features, fold)
    assert built.neighbours("a2u2a", 0).weights.sum() != built.neighbours("a2u2a").weights.sum()
    with pytest.raises(InputError, match=r"fold-3/lists/a/indptr\.npy: not in this snapshot"):
        built.neighbours("a2u2a", 3)


@pytest.mark.parametrize("folds", [1, 3])
def test_folds_by_order_have_seen_only_what_came_before(tmp_path, interactions, features, folds):
    settings = SETTINGS.replace(folds=folds, fold_by="order")
    built = build(interactions, settings, tmp_path, features=features)
    for fold in range(folds):
        earlier = []
        for user in range(30):
            rows = np.flatnonzero(interactions.users == user)  # in the order of time
            earlier += list(rows[: max(len(rows) - fold - 1, 0)])
        assert_built_from(built, interactions, np.sort(earlier), features, fold)
    assert_built_from(built, interactions, slice(None), features)
    assert sorted(built.path.glob("fold-*")) == [built.path / f"fold-{fold}" for fold in range(folds)]


@pytest.mark.parametrize("author", [5, 20])
@pytest.mark.parametrize("fold_by", ["order", "pair", "time"])
def test_what_a_fold_leaves_out_leaves_no_trace_in_its_files(
    tmp_path, interactions, features, fold_by, author
):
    """One planted gift, the largest and its user's last, to an author of others (5) or of nobody (20)."""
    assert author not in interactions.authors[interactions.users == 7] and (interactions.authors == 5).any()
    without = replace(interactions, n_authors=21, later=interactions.later + (interactions.users == 7))
    planted = replace(
        without,
        users=np.append(without.users, 7),
        authors=np.append(without.authors, author),
        amounts=np.append(without.amounts, 1_000_000),
        later=np.append(without.later, 0),
        times=np.append(without.times, without.times[-1]),
    )
    visual = features["visual"]
    wider = Attributes(np.append(visual.values, visual.values[:1], 0), np.append(visual.present, True))
    settings = SETTINGS.replace(folds=3, fold_by=fold_by)
    hashes = []
    for made in (planted, without):
        built = build(made, settings, tmp_path, features={"visual": wider})
        hashes.append({name: entry["sha256"] for name, entry in built.manifest["files"].items()})
    assert hashes[0].keys() == hashes[1].keys()
    differing = {name for name in hashes[0] if hashes[0][name] != hashes[1][name]}
    fold = {"order": 0, "pair": int(fold_of([7], [author], 3, 0)[0]), "time": 2}[fold_by]
    assert not [name for name in differing if name.startswith(f"fold-{fold}/")]
    shown = {f"{folder}/entries.npy" for folder in ("reach", "lists/u", "lists/a")}
    assert {"u2a/indices.npy", *shown} <= differing
    if fold_by == "pair":
        assert {f"fold-{(fold + 1) % 3}/{name}" for name in shown} <= differing


def test_folds_by_time_have_seen_only_earlier_stretches(tmp_path, interactions, features):
    built = build(interactions, SETTINGS.replace(folds=3, fold_by="time"), tmp_path, features=features)
    part = fold_of_time(interactions.times, interactions.times, 3)
    for fold in (1, 2):
        assert_built_from(built, interactions, part < fold, features, fold)
    for name in PAPER_METAPATHS:
        assert len(built.neighbours(name, 0).ids) == 0
    assert not built.attributes("visual", "a2a", 0).fraction.any()
    with pytest.raises(InputError, match=r"^graph\.fold_by: time needs the time of each interaction"):
        build(replace(interactions, times=None), built.settings, tmp_path)


def test_folds_by_order_need_the_order(tmp_path, interactions):
    settings = SETTINGS.replace(folds=2, fold_by="order")
    with pytest.raises(InputError, match=r"^graph\.fold_by: order needs to know how many later interactions"):
        build(replace(interactions, later=None), settings, tmp_path / "graph")
    assert os.listdir(tmp_path) == []
    build(replace(interactions, later=None), settings.replace(folds=0), tmp_path)


def test_the_order_makes_another_snapshot_only_with_folds_by_order(tmp_path, interactions):
    moved = replace(interactions, later=interactions.later + 1)
    for settings, same in (
        (SETTINGS, True),
        (SETTINGS.replace(fold_by="order"), True),
        (SETTINGS.replace(folds=2), True),
        (SETTINGS.replace(folds=2, fold_by="order"), False),
    ):
        paths = {build(made, settings, tmp_path).path for made in (interactions, moved)}
        assert len(paths) == (1 if same else 2), settings
    by_order = SETTINGS.replace(folds=2, fold_by="order")
    narrow = replace(interactions, later=interactions.later.astype(np.int32))
    assert build(narrow, by_order, tmp_path).path == build(interactions, by_order, tmp_path).path


def test_same_inputs_are_reused_and_others_are_not(tmp_path, interactions, features, node_stage):
    stages = []
    first = build(interactions, SETTINGS, tmp_path, progress=stages.append)
    assert stages[0] == "U2A"
    stages.clear()
    assert build(interactions, SETTINGS, tmp_path, progress=stages.append).path == first.path
    assert stages == []
    others = [
        build(interactions, SETTINGS.replace(swing_alpha=2.0), tmp_path),
        build(interactions, SETTINGS.replace(reach_top_k=5), tmp_path),
        build(replace(interactions, amounts=None), SETTINGS, tmp_path),
        build(replace(interactions, users=interactions.users[::-1].copy()), SETTINGS, tmp_path),
        build(replace(interactions, n_users=31), SETTINGS, tmp_path),
        build(interactions, SETTINGS, tmp_path, features=features),
        build(interactions, SETTINGS, tmp_path, nodes=node_stage(3)),
        build(interactions, SETTINGS, tmp_path, nodes=node_stage(4)),
    ]
    assert len({first.path, *(other.path for other in others)}) == 9
    moved = {"visual": replace(features["visual"], values=features["visual"].values + 1)}
    assert build(interactions, SETTINGS, tmp_path, features=moved).path != others[5].path


def test_inputs_that_do_not_fit(tmp_path, interactions, features):
    with pytest.raises(InputError, match=r"attributes visual: shape \(19, 6\), expected 20 rows"):
        short = Attributes(features["visual"].values[:19], features["visual"].present)
        build(interactions, SETTINGS, tmp_path, features={"visual": short})
    with pytest.raises(InputError, match="users, row 0"):
        build(replace(interactions, n_users=1, users=interactions.users + 1), SETTINGS, tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (GraphSettings(), "3e49d5d9070c103063eae7f43119b7dd"),
        (GraphSettings(folds=2, fold_by="order", metapaths=("u2a",)), "9298ba0b3c7f40d46e99a6fa491eeb77"),
    ],
)
def test_keys_of_stored_snapshots_stay(tmp_path, settings, key):
    """A setting that is new leaves the key as it was where it is not used."""
    later, times = np.array([1, 0, 0, 0]), np.arange(4.0)
    gifts = Interactions(np.array([0, 1, 0, 2]), np.array([1, 0, 0, 1]), None, 3, 2, later, times)
    features = {"visual": Attributes(np.ones((2, 1), np.float32), np.ones(2, bool))}
    assert build(gifts, settings, tmp_path, features=features).manifest["key"] == key
