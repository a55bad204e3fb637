from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.sparse

from mmbee_plugin.builtin import sample
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("datasets") / "tiktok"
    sample.write(path)
    return DatasetFolder(path)


def _found(folder: DatasetFolder, scores: np.ndarray, k: int = 20) -> np.ndarray:
    """Whether each test pair is among the user's best k, training items masked."""
    train, test = folder.interactions("train"), folder.interactions("test")
    scores = scores.astype(float)
    scores[train.users, train.items] = -np.inf
    own = scores[test.users, test.items][:, None]
    return ((scores[test.users] >= own).sum(axis=1) <= k) & np.isfinite(own.ravel())


def test_schema_is_that_of_the_real_data(folder):
    folder.validate_interactions()
    assert (folder.kind, folder.ordered, folder.splits) == ("sample", False, ("train", "valid", "test"))
    assert {name: entry["kind"] for name, entry in folder.modalities.items()} == {
        "visual": "dense", "acoustic": "dense", "text": "bag",
    }  # fmt: skip
    assert folder.modalities["visual"]["width"] == folder.modalities["acoustic"]["width"] == 128
    assert folder.counts == {
        "users": 600, "items": 1696, "interactions": 5155, "train": 3955, "valid": 600, "test": 600,
    }  # fmt: skip
    assert "mmbee data convert" in folder.get_real
    assert folder.warnings == []  # no pair of validation or test is in training


def test_gaps_are_there(folder):
    assert [folder.modalities[name]["missing"] for name in ("visual", "acoustic", "text")] == [0, 70, 100]
    assert not folder.features("text").present.all()
    train = np.unique(folder.interactions("train").items)
    held_out = np.union1d(folder.interactions("valid").items, folder.interactions("test").items)
    assert len(np.setdiff1d(held_out, train)) >= 10


def test_it_is_the_same_every_time(folder, tmp_path):
    sample.write(tmp_path / "tiktok")
    first, second = (
        json.loads((path / "dataset.json").read_text()) for path in (folder.path, tmp_path / "tiktok")
    )
    assert first == second


def test_the_graph_finds_one_part_and_content_the_other(folder):
    train, test = folder.interactions("train"), folder.interactions("test")
    shape = folder.counts["users"], folder.counts["items"]
    seen = scipy.sparse.csr_matrix((np.ones(len(train)), (train.users, train.items)), shape=shape)
    takers = np.asarray(seen.sum(axis=0)).ravel()
    new = takers[test.items] == 0
    assert 0.65 < new.mean() < 0.75

    walk = (seen @ seen.T @ seen).toarray()
    assert _found(folder, walk)[~new].mean() > 0.95 and _found(folder, walk)[new].mean() < 0.05
    assert _found(folder, np.tile(takers, (shape[0], 1))).mean() < 0.05

    # what one user of the circle has and nobody else
    of_circle = (seen @ seen.T > 0).astype(float) @ seen.multiply(takers == 1).tocsr()
    bag = folder.features("text")
    words = scipy.sparse.csr_matrix(
        (np.ones(len(bag.words)), bag.words, bag.indptr), shape=(shape[1], bag.vocabulary)
    ).toarray()
    for vectors in (folder.features("visual").values, folder.features("acoustic").values, words):
        centred = vectors - vectors.mean(axis=0)
        likeness = (of_circle @ centred) @ centred.T
        likeness[:, takers > 0] = -np.inf  # among the new items
        assert _found(folder, likeness)[new].mean() > 0.6  # by chance 20 / 96
        assert _found(folder, likeness)[~new].mean() == 0


def test_an_unknown_schema(tmp_path):
    with pytest.raises(InputError, match="schema 'kuai' is unknown"):
        sample.write(tmp_path / "x", schema="kuai")


def test_ensure_makes_once_and_opens_afterwards(tmp_path):
    made = sample.ensure("tiktok", tmp_path)
    assert made.kind == "sample"
    stamp = (made.path / "dataset.json").stat().st_mtime_ns
    assert sample.ensure("tiktok", tmp_path).path == made.path
    assert (made.path / "dataset.json").stat().st_mtime_ns == stamp


def test_ensure_opens_what_is_there_and_names_what_is_known(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/mine.inter").write_text("user_id:token\titem_id:token\na\tb\n")
    (tmp_path / "empty").mkdir()
    assert sample.ensure("mine", tmp_path).counts["interactions"] == 1
    for name in ("tiktak", "../mine", "empty", ""):
        with pytest.raises(
            InputError, match=r"is unknown in .*; known: livesim, livesim2, mine, ml-100k, tiktok$"
        ):
            sample.ensure(name, tmp_path)
    with pytest.raises(InputError, match=r"known: livesim, livesim2, ml-100k, tiktok$"):
        sample.ensure("mine", tmp_path / "none")


def test_ensure_accepts_what_another_process_made_meanwhile(tmp_path, monkeypatch):
    def late(folder):
        sample.write(folder)
        raise InputError("the folder is there already")

    monkeypatch.setitem(sample._MAKERS, "tiktok", late)
    assert sample.ensure("tiktok", tmp_path).kind == "sample"
