import errno
import json
import os
import resource
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph import files, snapshot
from mmbee_plugin.graph.attributes import Attributes, mean_attributes
from mmbee_plugin.graph.donations import donation_graph, fold_of, weigh
from mmbee_plugin.graph.metapaths import PAPER_METAPATHS, Metapath, expand
from mmbee_plugin.graph.snapshot import GraphSettings, Interactions, NodeStage, Snapshot, build
from mmbee_plugin.graph.swing import swing

SETTINGS = GraphSettings(top_k=5)


@pytest.fixture
def interactions():
    random = np.random.default_rng(0)
    return Interactions(
        random.integers(0, 30, 150), random.integers(0, 20, 150), random.integers(1, 9, 150), 30, 20
    )


@pytest.fixture
def features():
    random = np.random.default_rng(1)
    return {"visual": Attributes(random.normal(size=(20, 6)).astype(np.float32), random.random(20) < 0.7)}


def node_stage(width=3):
    return NodeStage(
        {"width": width}, lambda u2a, users, authors: (np.ones((30, width)), np.full((20, width), 2.0))
    )


def names(root):
    return sorted(entry.name for entry in root.iterdir())


def test_everything_is_stored_as_computed(tmp_path, interactions, features):
    built = build(interactions, SETTINGS, tmp_path, attributes=features, nodes=node_stage())
    stored = Snapshot.open(built.path)
    graph = donation_graph(interactions.users, interactions.authors, interactions.amounts, 30, 20)
    u2a = weigh(graph, "log1p")
    a2a = swing(u2a)
    np.testing.assert_array_equal(stored.u2a().toarray(), u2a.toarray())
    np.testing.assert_array_equal(stored.a2a().toarray(), a2a.toarray())
    for name in PAPER_METAPATHS:
        expected = expand(Metapath.parse(name), u2a, a2a, top_k=5)
        found = stored.neighbours(name)
        for part in ("indptr", "ids", "weights"):
            np.testing.assert_array_equal(getattr(found, part), getattr(expected, part))
        if name.endswith("a"):
            mean = mean_attributes(expected, features["visual"])
            np.testing.assert_array_equal(stored.attributes("visual", name).values, mean.values)
            np.testing.assert_array_equal(stored.attributes("visual", name).fraction, mean.fraction)
    users, authors = stored.nodes()
    assert isinstance(users, np.memmap)
    assert users.dtype == np.float32 and users.shape == (30, 3) and (authors == 2).all()
    manifest = json.loads((built.path / "manifest.json").read_text())
    assert manifest["counts"] == {"users": 30, "authors": 20, "interactions": 150}
    assert [stage["stage"] for stage in manifest["stages"]][:3] == ["u2a", "a2a", "u2a2u"]
    assert all(stage["seconds"] >= 0 for stage in manifest["stages"])
    assert stored.settings == SETTINGS
    assert names(tmp_path) == [built.path.name]
    with pytest.raises(InputError, match=r"attributes/audio\.a2a\.npy: not in this snapshot"):
        stored.attributes("audio", "a2a")


def test_folds_have_not_seen_their_edges(tmp_path, interactions, features):
    settings = replace(SETTINGS, folds=3, fold_seed=4)
    built = build(interactions, settings, tmp_path, attributes=features)
    users, authors = interactions.users, interactions.authors
    part = fold_of(users, authors, 3, 4)
    np.testing.assert_array_equal(built.folds_of(users, authors), part)
    for fold in range(3):
        seen = part != fold
        u2a = weigh(donation_graph(users[seen], authors[seen], interactions.amounts[seen], 30, 20), "log1p")
        for name in PAPER_METAPATHS:
            expected = expand(Metapath.parse(name), u2a, swing(u2a), top_k=5)
            found = built.neighbours(name, fold)
            np.testing.assert_array_equal(found.ids, expected.ids)
            np.testing.assert_array_equal(found.weights, expected.weights)
        mean = mean_attributes(built.neighbours("a2a", fold), features["visual"])
        np.testing.assert_array_equal(built.attributes("visual", "a2a", fold).values, mean.values)
    assert (built.neighbours("a2u2a", 0).weights.sum() != built.neighbours("a2u2a").weights.sum()).any()
    with pytest.raises(InputError, match="without folds"):
        build(interactions, SETTINGS, tmp_path).folds_of(users, authors)


def test_same_inputs_are_reused_and_others_are_not(tmp_path, interactions, features):
    stages = []
    first = build(interactions, SETTINGS, tmp_path, progress=stages.append)
    assert stages[0] == "u2a"
    stages.clear()
    assert build(interactions, SETTINGS, tmp_path, progress=stages.append).path == first.path
    assert stages == []
    others = [
        build(interactions, replace(SETTINGS, swing_alpha=2.0), tmp_path),
        build(replace(interactions, amounts=None), SETTINGS, tmp_path),
        build(replace(interactions, users=interactions.users[::-1].copy()), SETTINGS, tmp_path),
        build(replace(interactions, n_users=31), SETTINGS, tmp_path),
        build(interactions, SETTINGS, tmp_path, attributes=features),
        build(interactions, SETTINGS, tmp_path, nodes=node_stage(3)),
        build(interactions, SETTINGS, tmp_path, nodes=node_stage(4)),
    ]
    assert len({first.path, *(other.path for other in others)}) == 8
    moved = {"visual": replace(features["visual"], values=features["visual"].values + 1)}
    assert build(interactions, SETTINGS, tmp_path, attributes=moved).path != others[4].path


@pytest.mark.parametrize("name", ["manifest.json", "u2a.npz", "neighbours/a2u2a.npz", "nodes_user.npy"])
@pytest.mark.parametrize("harm", ["missing", "cut", "flipped"])
def test_damage_is_named_and_mended_by_a_build(tmp_path, interactions, name, harm):
    built = build(interactions, SETTINGS, tmp_path, nodes=node_stage())
    victim = built.path / name
    content = victim.read_bytes()
    if harm == "missing":
        victim.unlink()
    elif harm == "cut":
        victim.write_bytes(content[: len(content) // 2])
    else:
        place = len(content) // 2 if name != "manifest.json" else content.index(b"{")
        victim.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
    with pytest.raises(InputError, match=name) as caught:
        opened = Snapshot.open(built.path)
        opened.u2a(), opened.neighbours("a2u2a"), opened.nodes()
    assert "\n" not in str(caught.value)
    notes = []
    mended = build(interactions, SETTINGS, tmp_path, nodes=node_stage(), progress=notes.append)
    assert notes[0].startswith("the stored snapshot is damaged")
    mended.check()
    assert names(tmp_path) == [built.path.name]


def forge(path, name, write):
    """Replaces a file and its entry in the manifest, as another program would."""
    write(path / name)
    manifest = json.loads((path / "manifest.json").read_text())
    described = files._described(path / name)
    manifest["files"][name] = {"size": described.size, "sha256": described.sha256}
    (path / "manifest.json").write_text(json.dumps(manifest))


def test_foreign_content_is_refused(tmp_path, interactions):
    path = build(interactions, SETTINGS, tmp_path, nodes=node_stage()).path
    lists = {"ids": np.zeros(3, np.int32), "weights": np.ones(3, np.float32)}
    for forged in (
        lambda place: np.savez(place, indptr=np.arange(4), **lists),  # 3 nodes where 20 are
        lambda place: np.savez(place, indptr=np.arange(4)),
        lambda place: np.savez(place, indptr=np.array([{}], dtype=object), **lists),  # a pickle
        lambda place: place.write_bytes(b"PK\x03\x04 no archive"),
    ):
        forge(path, "a2a.npz", lambda place, forged=forged: forged(place))
        forge(path, "neighbours/a2u2a.npz", lambda place, forged=forged: forged(place))
        with pytest.raises(InputError, match=r"a2u2a\.npz"):
            Snapshot.open(path).neighbours("a2u2a")
        with pytest.raises(InputError, match=r"a2a\.npz"):
            Snapshot.open(path).a2a()
    for table in (np.zeros((29, 3), np.float32), np.zeros((30, 3)), np.zeros(30, np.float32)):
        forge(path, "nodes_user.npy", lambda place, table=table: np.save(place, table))
        with pytest.raises(InputError, match=r"nodes_user\.npy.*expected float32 with 30 rows"):
            Snapshot.open(path).nodes()


def test_another_schema_or_a_renamed_folder_is_refused(tmp_path, interactions):
    path = build(interactions, SETTINGS, tmp_path).path
    shutil.copytree(path, tmp_path / "renamed")
    with pytest.raises(InputError, match=r"manifest\.json: its key"):
        Snapshot.open(tmp_path / "renamed")
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | {"schema": "mmbee-graph-0"}))
    with pytest.raises(InputError, match=r"manifest\.json: schema 'mmbee-graph-0', expected"):
        Snapshot.open(path)
    (path / "manifest.json").write_text("[]")
    with pytest.raises(InputError, match=r"manifest\.json: schema \[\]"):
        Snapshot.open(path)
    with pytest.raises(InputError, match=r"nowhere/manifest\.json: no such file"):
        Snapshot.open(tmp_path / "nowhere")


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path, monkeypatch, interactions):
    plain, written = files._write, []

    def full(file, array):
        written.append(array)
        if len(written) == 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain(file, array)

    monkeypatch.setattr(files, "_write", full)
    with pytest.raises(InputError, match=r"cannot write a graph snapshot \(No space left on device\)"):
        build(interactions, SETTINGS, tmp_path)
    assert names(tmp_path) == []
    monkeypatch.setattr(files, "_write", plain)
    build(interactions, SETTINGS, tmp_path).check()


def test_a_real_limit_on_file_size(tmp_path):
    script = f"""
import resource, sys
import numpy as np
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.snapshot import GraphSettings, Interactions, build
random = np.random.default_rng(0)
made = Interactions(random.integers(0, 3000, 20000), random.integers(0, 50, 20000), None, 3000, 50)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    build(made, GraphSettings(metapaths=("u2a",)), {str(tmp_path / "graph")!r})
except InputError as error:
    sys.exit(str(error))
"""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache"), "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert "cannot write a graph snapshot (File too large)" in done.stderr
    assert "Traceback" not in done.stderr
    assert names(tmp_path / "graph") == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 100_000


def test_a_failing_stage_leaves_nothing(tmp_path, interactions):
    def broken(u2a, users, authors):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        build(interactions, SETTINGS, tmp_path, nodes=NodeStage({}, broken))
    assert names(tmp_path) == []


def test_a_sound_snapshot_published_meanwhile_is_kept(tmp_path, interactions):
    elsewhere = build(interactions, SETTINGS, tmp_path / "elsewhere")
    marks = []

    def publish_the_other(stage):
        if not marks:
            target = tmp_path / "root" / elsewhere.path.name
            shutil.copytree(elsewhere.path, target)
            marks.append(target.stat().st_ino)

    (tmp_path / "root").mkdir()
    built = build(interactions, SETTINGS, tmp_path / "root", progress=publish_the_other)
    assert built.path.stat().st_ino == marks[0]
    assert names(tmp_path / "root") == [built.path.name]


def test_bad_settings_and_inputs(tmp_path, interactions, features):
    with pytest.raises(InputError, match="metapath 'u2u'"):
        GraphSettings(metapaths=("u2u",))
    with pytest.raises(InputError, match="folds: 1"):
        GraphSettings(folds=1)
    with pytest.raises(InputError, match=r"attributes visual: shape \(19, 6\), expected 20 rows"):
        short = Attributes(features["visual"].values[:19], features["visual"].present)
        build(interactions, SETTINGS, tmp_path, attributes={"visual": short})
    with pytest.raises(InputError, match="users, row 0"):
        build(replace(interactions, n_users=1, users=interactions.users + 1), SETTINGS, tmp_path)
    assert names(tmp_path) == []


def test_archives_are_readable_by_others(tmp_path, interactions):
    path = build(interactions, SETTINGS, tmp_path).path
    with zipfile.ZipFile(path / "neighbours" / "u2a2u.npz") as archive:
        assert archive.testzip() is None
    assert snapshot.SCHEMA in (path / "manifest.json").read_text()
