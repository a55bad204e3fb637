from __future__ import annotations

import json
import re

import numpy as np
import pytest

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.inspect.info import read_info, report
from mmbee_plugin.data.writer import write_folder
from mmbee_plugin.errors import InputError


@pytest.fixture
def toy(tmp_path, content):
    write_folder(tmp_path / "toy", content)
    return tmp_path / "toy"


@pytest.fixture
def bare(tmp_path):
    """An `.inter` and nothing else."""
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "bare.inter").write_text("user_id:token\titem_id:token\nzoe\tb\nann\ta\nzoe\ta\n")
    return folder


def test_an_inter_alone_is_normal(bare):
    folder = DatasetFolder(bare)
    folder.validate_interactions()
    assert (folder.name, folder.kind, folder.source, folder.ordered) == ("bare", "real", "unknown", False)
    assert folder.user_tokens == ["zoe", "ann"] and folder.item_tokens == ["b", "a"]
    assert folder.counts == {"users": 2, "items": 2, "interactions": 3}
    assert folder.modalities == {} and len(folder.hash) == 64
    assert folder.interactions().items.tolist() == [0, 1, 1]
    assert (
        folder.provenance() == "bare (real): 2 users x 2 items, 3 interactions; without time; source: unknown"
    )
    with pytest.raises(InputError, match="no modality 'visual'; it has: none"):
        folder.features("visual")


def test_timestamps_make_it_ordered(bare):
    (bare / "bare.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\nz\tb\t1\nz\ta\t2\n")
    folder = DatasetFolder(bare)
    assert folder.ordered and "; with time; " in folder.provenance()
    assert folder.interactions().timestamps.tolist() == [1, 2]


def test_features_put_there_by_hand(bare):
    np.save(bare / "visual.npy", np.array([[1, 2], [0, 0]], np.float32))
    with pytest.raises(InputError, match=r"visual\.npy: needs bare\.item beside it"):
        _ = DatasetFolder(bare).modalities
    (bare / "bare.item").write_text("item_id:token\na\nb\n")
    folder = DatasetFolder(bare)
    assert folder.modalities == {"visual": {"file": "visual.npy", "kind": "dense", "width": 2, "missing": 1}}
    assert folder.interactions().items.tolist() == [1, 0, 0]
    assert folder.features("visual") is folder.features("visual")  # read through once


def test_whole_and_split_interactions(toy):
    folder = DatasetFolder(toy)
    parts = [folder.interactions(split) for split in folder.splits]
    assert np.array_equal(folder.interactions().users, np.concatenate([part.users for part in parts]))
    with pytest.raises(InputError, match="no split 'dev'; it has: train, valid, test"):
        folder.interactions("dev")


def test_provenance_of_a_sample_is_loud(tmp_path, content):
    content.kind, content.get_real = "sample", "ask"
    write_folder(tmp_path / "toy", content)
    folder = DatasetFolder(tmp_path / "toy")
    assert folder.provenance().startswith(
        "toy (SAMPLE, generated: not the real data): 3 users x 4 items, 8 inter"
    )
    assert folder.get_real == "ask"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "ann\tq",
            r"toy\.test\.inter, line 3, column item_id:token: 'q' is unknown; the dataset lists 4 such",
        ),
        ("eve\tw", r"line 3, column user_id:token: 'eve' is unknown; the dataset lists 3"),
        ("ann", "line 3: 1 columns"),
        ("bob\tw", "2 rows, dataset.json counts 1; convert the data again"),
    ],
)
def test_a_bad_interaction(toy, line, message):
    with (toy / "toy.test.inter").open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(InputError, match=message):
        DatasetFolder(toy).validate_interactions()


def test_too_small_to_split(bare, toy):
    (bare / "bare.inter").write_text("user_id:token\titem_id:token\nzoe\tb\nann\ta\n")
    with pytest.raises(InputError, match="2 interactions; too few to train, validate and test on"):
        DatasetFolder(bare).validate_interactions()
    (toy / "toy.valid.inter").write_text("user_id:token\titem_id:token\n")
    with pytest.raises(InputError, match=r"toy\.valid\.inter: 0 interactions; too few"):
        DatasetFolder(toy).validate_interactions()


def test_which_files_make_a_dataset(tmp_path, toy):
    with pytest.raises(InputError, match="no such dataset folder"):
        DatasetFolder(tmp_path / "none")
    (toy / "toy.valid.inter").unlink()
    with pytest.raises(
        InputError, match=r"neither toy\.inter nor a full pre-split set; missing: toy\.valid\.inter"
    ):
        DatasetFolder(toy)
    (toy / "toy.inter").write_text("")
    with pytest.raises(InputError, match=r"toy\.inter: stands beside toy\.train\.inter"):
        DatasetFolder(toy)


def test_rows_must_match_the_items(toy):
    np.save(toy / "visual.npy", np.ones((3, 2), np.float32))
    with pytest.raises(InputError, match=r"visual\.npy: 3 rows for 4 items"):
        DatasetFolder(toy).features("visual")
    (toy / "toy.item").write_text("item_id:token\nw\nx\ny\n")
    with pytest.raises(InputError, match=r"toy\.item: 3 rows, dataset\.json counts 4"):
        DatasetFolder(toy).features("visual")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "imagined"}, "kind: 'imagined'; one of real, sample, simulated"),
        ({"counts": []}, "counts: a dict is needed, found list"),
        ({"counts": {"users": 3}}, "counts: 'items' is missing"),
        (
            {"modalities": {"visual": {"file": "../visual.npy", "kind": "dense"}}},
            "'visual' needs a file of its name",
        ),
        ({"modalities": {"visual": 1}}, "'visual' needs a file of its name"),
        ({"modalities": {"visual": {"file": "visual.npy", "kind": "dense"}}}, "'visual' needs its width"),
        ({"notes": "x"}, "notes: a list is needed"),
    ],
)
def test_a_bad_description(toy, change, message):
    file = toy / "dataset.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(InputError, match=rf"dataset\.json, .*{message}"):
        DatasetFolder(toy)


@pytest.mark.parametrize("text", ["", '{"kind": ', "[]", "[" * 100_000, "\xff"])
def test_a_foreign_description(toy, text):
    (toy / "dataset.json").write_text(text, encoding="latin1")
    with pytest.raises(InputError, match=r"dataset\.json"):
        DatasetFolder(toy)


def _with_items(bare):
    (bare / "bare.item").write_text("item_id:token\na\nb\n")
    return np.array([[1, 2], [0, 3]], np.float32)


@pytest.mark.parametrize(
    "name", ["clip.vit", "keys", "画 像", "visual.present.x", "a.present.npz", "x%2Ey", "1", "_x"]
)
def test_a_modality_may_have_any_name(bare, name):
    np.save(bare / f"{name}.npy", _with_items(bare))
    np.save(bare / f"{name}.present.npy", np.array([True, False]))
    folder = DatasetFolder(bare)
    assert list(folder.modalities) == [name] and folder.unread == []
    assert folder.features(name).present.tolist() == [True, False]


@pytest.mark.parametrize(
    ("file", "remedy"),
    [
        ("visual.pt", r"save it as visual\.npy, \(rows, width\) float32, row r for row r of bare\.item"),
        *((f"v.x.{suffix}", r"save it as v\.x\.npy") for suffix in ("pkl", "parquet", "csv", "h5", "NPY")),
        ("visual.npy.gz", "unpack it"),
        ("visual.zip", "unpack it"),
        ("visual.present.npy", r"it would say which items have visual\.npy or \.npz, which is not there"),
    ],
)
def test_features_that_are_not_read_are_named(bare, file, remedy):
    np.save(bare / "text.npy", _with_items(bare))
    np.save(bare / "text.present.npy", np.array([True, False]))
    for other in (".hidden.pt", "._text.npy", "readme.md", "bare.link"):
        (bare / other).touch()
    assert DatasetFolder(bare).unread == []
    (bare / file).touch()
    folder = DatasetFolder(bare)
    assert list(folder.modalities) == ["text"]
    (line,) = folder.unread
    assert re.match(rf"{re.escape(file)} lies in the folder and is not read: {remedy}", line)


def test_features_that_the_description_does_not_list_are_named(toy):
    assert DatasetFolder(toy).unread == []  # with its visual.present.npy
    np.save(toy / "text.npy", np.ones((4, 2), np.float32))
    (line,) = DatasetFolder(toy).unread
    assert line.startswith(
        "text.npy lies in the folder and is not read: dataset.json lists the modalities, and not"
    )
    assert f"warning: {line}" in report(read_info(DatasetFolder(toy)))


@pytest.mark.parametrize("name", ["", ".x", "a/b", "visual.present"])
def test_names_that_no_modality_can_have(tmp_path, content, toy, name):
    content.features = {name: content.features["visual"]}
    with pytest.raises(InputError, match=f"modality '{name}'; a name that"):
        write_folder(tmp_path / "other", content)
    file = toy / "dataset.json"
    entry = {"file": f"{name}.npy", "kind": "dense", "width": 2, "missing": 0}
    file.write_text(json.dumps(json.loads(file.read_text()) | {"modalities": {name: entry}}))
    with pytest.raises(InputError, match=rf"dataset\.json, modalities: modality '{name}'; a name that"):
        DatasetFolder(toy)
