import json
import os
import shutil
import zipfile

import numpy as np
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph import files, snapshot
from mmbee_plugin.graph.build import build
from mmbee_plugin.graph.pools import normalised
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.graph.snapshot import Snapshot

SETTINGS = GraphSettings(top_k=5, reach_top_k=4)


@pytest.mark.parametrize(
    "name", ["manifest.json", "u2a.npz", "neighbours/a2u2a.npz", "reach.npz", "nodes_user.npy"]
)
@pytest.mark.parametrize("harm", ["missing", "cut", "flipped"])
def test_damage_is_named_and_mended_by_a_build(tmp_path, interactions, node_stage, name, harm):
    built = build(interactions, SETTINGS, tmp_path, nodes=node_stage(3))
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
        opened.u2a(), opened.neighbours("a2u2a"), opened.reach(), opened.nodes()
    assert "\n" not in str(caught.value)
    notes = []
    mended = build(interactions, SETTINGS, tmp_path, nodes=node_stage(3), progress=notes.append)
    assert notes[0].startswith("the stored snapshot is damaged")
    mended.check()
    assert os.listdir(tmp_path) == [built.path.name]


def forge(path, name, write):
    """Replaces a file and its entry in the manifest, as another program would."""
    write(path / name)
    manifest = json.loads((path / "manifest.json").read_text())
    described = files._described(path / name)
    manifest["files"][name] = {"size": described.size, "sha256": described.sha256}
    (path / "manifest.json").write_text(json.dumps(manifest))


def test_foreign_content_is_refused(tmp_path, interactions, node_stage):
    path = build(interactions, SETTINGS, tmp_path, nodes=node_stage(3)).path
    lists = {"ids": np.zeros(3, np.int32), "weights": np.ones(3, np.float32)}
    for forged in (
        lambda place: np.savez(place, indptr=np.arange(4), **lists),  # 3 nodes where 20 or 30 are
        lambda place: np.savez(place, indptr=np.arange(4)),
        lambda place: np.savez(place, indptr=np.array([{}], dtype=object), **lists),  # a pickle
        lambda place: place.write_bytes(b"PK\x03\x04 no archive"),
    ):
        forge(path, "a2a.npz", lambda place, forged=forged: forged(place))
        forge(path, "neighbours/a2u2a.npz", lambda place, forged=forged: forged(place))
        with pytest.raises(InputError, match=r"a2u2a\.npz"):
            Snapshot.open(path).neighbours("a2u2a")
        forge(path, "reach.npz", lambda place, forged=forged: forged(place))
        with pytest.raises(InputError, match=r"a2a\.npz"):
            Snapshot.open(path).a2a()
        with pytest.raises(InputError, match=r"reach\.npz"):
            Snapshot.open(path).reach()
    for table in (np.zeros((29, 3), np.float32), np.zeros((30, 3)), np.zeros(30, np.float32)):
        forge(path, "nodes_user.npy", lambda place, table=table: np.save(place, table))
        with pytest.raises(InputError, match=r"nodes_user\.npy.*expected float32 with 30 rows"):
            Snapshot.open(path).nodes()


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("settings", []),
        ("counts", {"users": "20"}),
        ("files", None),
        ("files", {"u2a.npz": 3}),
        ("stages", {}),
    ],
)
def test_a_manifest_of_other_types_is_refused(tmp_path, interactions, entry, value):
    path = build(interactions, SETTINGS, tmp_path).path
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, entry: value}))
    with pytest.raises(InputError, match=entry):
        Snapshot.open(path)


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


def test_archives_are_readable_by_others(tmp_path, interactions):
    path = build(interactions, SETTINGS, tmp_path).path
    with zipfile.ZipFile(path / "neighbours" / "u2a2u.npz") as archive:
        assert archive.testzip() is None
    assert snapshot.SCHEMA in (path / "manifest.json").read_text()


def test_snapshots_that_list_no_columns_have_those_of_content(tmp_path, interactions, features):
    built = build(interactions, SETTINGS, tmp_path, attributes=features)
    manifest = json.loads((built.path / "manifest.json").read_text())
    assert manifest.pop("columns") == {"visual": "a"}
    (built.path / "manifest.json").write_text(json.dumps(manifest))
    older = Snapshot.open(built.path)
    assert older.columns == {"visual": "a"}
    (lists,) = normalised([older.neighbours("a2a")])
    means = older.attributes("visual", "a2a")
    brought = older.brought(lists, "a", stored="a2a")
    np.testing.assert_array_equal(brought, means.values * means.fraction[:, None])
    np.testing.assert_allclose(older.brought(lists, "a"), brought, atol=1e-4)
    assert older.brought(lists, "u") is None
    (built.path / "manifest.json").write_text(json.dumps(manifest | {"columns": ["visual"]}))
    with pytest.raises(InputError, match="columns"):
        Snapshot.open(built.path)
