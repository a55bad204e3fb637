import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph import files, snapshot
from mmbee_plugin.graph.build import build
from mmbee_plugin.graph.metapaths import PAPER_METAPATHS
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.graph.snapshot import Snapshot

SETTINGS = GraphSettings(top_k=5, reach_top_k=4)


@pytest.mark.parametrize(
    "name",
    [
        "manifest.json",
        "u2a/indices.npy",
        "lists/a/entries.npy",
        "lists/u/rows.npy",
        "reach/indptr.npy",
        "nodes_user.npy",
    ],
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
        opened.u2a(), opened.neighbours("a2u2a"), opened.lists("u"), opened.reach(), opened.nodes()
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
    described = files.described(path / name)
    manifest["files"][name] = {"size": described.size, "sha256": described.sha256}
    (path / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("lists/a/indptr", np.arange(4), "offsets int64 .*, 2 lists a row"),  # a2a and a2u2a: pairs of lists
        ("lists/a/indptr", np.zeros(41), "offsets float64"),
        ("lists/a/indptr", np.arange(41), "offsets that do not divide"),
        ("lists/a/indptr", np.zeros(0, np.int64), "offsets"),
        ("lists/a/entries", np.zeros(3), "entries float64"),
        ("lists/u/rows", np.zeros(29, np.int64), "29 nodes, expected 30"),
        ("lists/u/rows", np.full(30, 30), r"rows outside 0\.\."),
        ("lists/u/rows", np.zeros(30, np.int32), "rows int32"),
        ("u2a/indptr", np.arange(31), "no graph of 30 rows over 20"),
        ("u2a/data", np.zeros(3), "no graph of 30 rows over 20"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, interactions, name, array, message):
    path = build(interactions, SETTINGS, tmp_path).path
    forge(path, f"{name}.npy", lambda place: np.save(place, array))
    opened = Snapshot.open(path)
    read = {"u2a": opened.u2a, "lists/a": lambda: opened.lists("a"), "lists/u": lambda: opened.lists("u")}
    with pytest.raises(InputError, match=f"{name.rpartition('/')[0]}: {message}") as caught:
        read[name.rpartition("/")[0]]()
    assert "\n" not in str(caught.value)


def test_a_neighbour_outside_the_graph_is_refused(tmp_path, interactions):
    path = build(interactions, SETTINGS, tmp_path).path
    lists = Snapshot.open(path).lists("u")
    along = np.repeat(np.arange(len(lists.indptr) - 1) % len(lists.paths), np.diff(lists.indptr))
    to_author = np.flatnonzero([lists.paths[place].endswith("a") for place in along])[0]
    entries = np.array(lists.entries)
    entries["id"][to_author] = 20
    forge(path, "lists/u/entries.npy", lambda place: np.save(place, entries))
    with pytest.raises(InputError, match="lists/u: neighbours outside the graph"):
        Snapshot.open(path).lists("u")


def test_foreign_files_are_refused(tmp_path, interactions, node_stage):
    path = build(interactions, SETTINGS, tmp_path, nodes=node_stage(3)).path
    for forged in (
        lambda place: np.save(place, np.array([{}], dtype=object), allow_pickle=True),
        lambda place: place.write_bytes(b"PK\x03\x04 no array"),
    ):
        for name in ("a2a/indptr.npy", "lists/u/entries.npy", "reach/rows.npy"):
            forge(path, name, forged)
        opened = Snapshot.open(path)
        for read, name in (
            (opened.a2a, "a2a/indptr"),
            (lambda opened=opened: opened.neighbours("u2a2u"), "lists/u/entries"),
            (opened.reach, "reach/rows"),
        ):
            with pytest.raises(InputError, match=rf"{name}\.npy: not an array"):
                read()
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
        ("files", {"u2a/data.npy": 3}),
        ("columns", ["visual"]),
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
    with pytest.raises(InputError, match=r"schema 'mmbee-graph-0', expected .*; `mmbee graph build`"):
        Snapshot.open(path)
    notes = []
    assert build(interactions, SETTINGS, tmp_path, progress=notes.append).path == path
    assert notes[0].endswith("of an older layout, building it again")
    Snapshot.open(path).check()
    (path / "manifest.json").write_text("[]")
    with pytest.raises(InputError, match=r"manifest\.json: schema \[\]"):
        Snapshot.open(path)
    with pytest.raises(InputError, match=r"nowhere/manifest\.json: no such file"):
        Snapshot.open(tmp_path / "nowhere")


def test_every_array_is_mapped_and_read_once(tmp_path, interactions, monkeypatch):
    opened = build(interactions, SETTINGS, tmp_path).path
    assert {file.suffix for file in opened.rglob("*") if file.is_file()} == {".npy", ".json"}
    read = []
    monkeypatch.setattr(snapshot, "read_npy", lambda file: read.append(file.path) or files.read_npy(file))
    stored = Snapshot.open(opened)
    for name in PAPER_METAPATHS:
        stored.neighbours(name)
    assert len(read) == len(set(read)) == 5
    lists = stored.lists("u")
    assert isinstance(lists.entries.base, np.memmap) or isinstance(lists.entries, np.memmap)
    with pytest.raises(InputError, match="a2u2a2a is not in this snapshot"):
        stored.neighbours("a2u2a2a")


def resident(path):
    """Bytes of this process's memory that are pages of the file."""
    found, ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if line.split()[0].count("-") == 1:  # an address range
            ours = line.endswith(str(path))
        elif ours and line.startswith("Rss:"):
            found += 1024 * int(line.split()[1])
    return found


def test_pages_that_were_read_are_given_back_and_read_again(tmp_path, interactions):
    opened = build(interactions, SETTINGS, tmp_path)
    lists, reach, file = opened.lists("u"), opened.reach_lists(), opened.path / "reach" / "entries.npy"
    before = lists.entries.copy(), reach.entries.copy()
    assert resident(file) > 0
    opened.rest()
    assert resident(file) == 0
    assert (lists.entries == before[0]).all() and (reach.entries == before[1]).all()
