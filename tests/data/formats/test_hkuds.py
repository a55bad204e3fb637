from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import scipy.sparse

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.formats import convert
from mmbee_plugin.errors import InputError


def _pairs(folder: DatasetFolder, split: str) -> list[tuple[int, int]]:
    rows = folder.interactions(split)
    tokens = (
        (folder.user_tokens[u], folder.item_tokens[i]) for u, i in zip(rows.users, rows.items, strict=True)
    )
    return sorted((int(user), int(item)) for user, item in tokens)


def test_matrices(hkuds, tmp_path, pairs):
    folder = convert("hkuds", hkuds, tmp_path / "out")
    folder.validate_interactions()
    for split, rows in pairs.items():
        assert _pairs(folder, split) == sorted(rows)
    assert folder.source == "hkuds files of the folder hkuds" and folder.kind == "real" and not folder.ordered
    assert list(folder.modalities) == ["visual", "acoustic"]
    visual = folder.features("visual").values
    assert visual.dtype == np.float16 and visual.tolist() == np.arange(8).reshape(4, 2).tolist()
    assert len(folder.user_tokens) == 3 and len(folder.item_tokens) == 4


def test_lists(mmssl, tmp_path, pairs):
    folder = convert("hkuds", mmssl, tmp_path / "out")
    for split, rows in pairs.items():
        assert _pairs(folder, split) == sorted(rows)
    assert folder.modalities == {"text": {"file": "text.npy", "kind": "dense", "width": 3, "missing": 0}}
    assert folder.features("text").values.dtype == np.float32


def test_matrix_beside_lists_knows_of_users_and_items_without_a_pair(mmssl, tmp_path, pairs):
    (mmssl / "text_feat.npy").unlink()
    (mmssl / "train_mat").write_bytes(pickle.dumps(scipy.sparse.csr_matrix((5, 7))))
    folder = convert("hkuds", mmssl, tmp_path / "out")
    assert folder.counts["users"] == 5 and folder.counts["items"] == 7
    assert _pairs(folder, "train") == sorted(pairs["train"])
    (mmssl / "train_mat").write_bytes(b"no pickle")
    with pytest.raises(InputError, match=r"train_mat: not a pickle of arrays"):
        convert("hkuds", mmssl, tmp_path / "other")


def test_matrices_by_mmssls_names(hkuds, tmp_path, pairs):
    for ours, theirs in zip(
        ("trnMat.pkl", "valMat.pkl", "tstMat.pkl"), ("train", "val", "test"), strict=True
    ):
        (hkuds / ours).rename(hkuds / f"{theirs}_mat")
    folder = convert("hkuds", hkuds, tmp_path / "out")
    assert all(_pairs(folder, split) == sorted(rows) for split, rows in pairs.items())


def test_no_features_are_normal(hkuds, tmp_path):
    for file in hkuds.glob("*.npy"):
        file.unlink()
    assert convert("hkuds", hkuds, tmp_path / "out").modalities == {}


def test_matrices_of_different_shapes(hkuds, tmp_path):
    (hkuds / "valMat.pkl").write_bytes(pickle.dumps(scipy.sparse.coo_matrix(np.eye(3))))
    with pytest.raises(InputError, match=r"valMat\.pkl: a matrix of \(3, 3\), trnMat\.pkl is \(3, 4\)"):
        convert("hkuds", hkuds, tmp_path / "out")


@pytest.mark.parametrize("shape", [(3, 2_000_000_000), (2_000_000_000, 4)])
def test_an_absurd_shape_does_not_fill_the_memory(hkuds, tmp_path, shape):
    for name in ("trnMat.pkl", "valMat.pkl", "tstMat.pkl"):
        matrix = scipy.sparse.coo_matrix(([1.0], ([0], [0])), shape=shape)
        (hkuds / name).write_bytes(pickle.dumps(matrix))
    with pytest.raises(InputError, match="ids run up to 1,999,999,999 with 3 interactions"):
        convert("hkuds", hkuds, tmp_path / "out")


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ([], r"an object \{\"user\": \[item, …\]\} is needed"),
        ({"ann": [1]}, "user 'ann' is no id"),
        ({"-1": [1]}, "user '-1' is no id"),
        ({"0": 1}, "user 0: a list of items is needed, found int"),
        ({"0": [-1]}, "user 0: item '-1' is no id"),
        ({"0": ["1"]}, "user 0: item '1' is no id"),
        ({"0": [4]}, r"text_feat\.npy: 4 rows, the interactions need 5 items"),
        ({"0": [2_000_000_000]}, "ids run up to 2,000,000,000"),
        ({}, "no valid interaction"),
    ],
)
def test_bad_lists(mmssl, tmp_path, lists, message):
    (mmssl / "val.json").write_text(json.dumps(lists))
    with pytest.raises(InputError, match=message):
        convert("hkuds", mmssl, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("missing", ["trnMat.pkl", "tstMat.pkl"])
def test_a_missing_file(hkuds, tmp_path, missing):
    (hkuds / missing).unlink()
    with pytest.raises(InputError, match=missing):
        convert("hkuds", hkuds, tmp_path / "out")


@pytest.mark.parametrize("rows", [3, 5])
def test_features_of_other_items(hkuds, tmp_path, rows):
    np.save(hkuds / "audio_feat.npy", np.ones((rows, 3), np.float32))
    with pytest.raises(InputError, match=rf"audio_feat\.npy: {rows} rows, the interactions need 4 items"):
        convert("hkuds", hkuds, tmp_path / "out")


def test_the_real_small_tiktok(real, tmp_path):
    folder = convert("hkuds", real("tiktok-hkuds"), tmp_path / "tiktok")
    folder.validate_interactions()
    assert folder.counts == {
        "users": 9308, "items": 6710, "interactions": 62592, "train": 59541, "valid": 1525, "test": 1526,
    }  # fmt: skip
    assert (folder.kind, folder.ordered, list(folder.modalities)) == ("real", False, ["visual", "acoustic"])
    for name, source in (("visual", "image_feat.npy"), ("acoustic", "audio_feat.npy")):
        values = folder.features(name).values
        assert values.dtype == np.float16
        assert np.array_equal(values, np.load(real("tiktok-hkuds") / source))
    train = folder.interactions("train")
    users_without = 9308 - len(np.unique(train.users))
    assert users_without == 10
