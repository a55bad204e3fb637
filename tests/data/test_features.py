from __future__ import annotations

import numpy as np
import pytest

from mmbee_plugin.data import features as module
from mmbee_plugin.data.features import (
    bag_from_pairs,
    open_bag,
    open_dense,
    present_path,
    save_bag,
    save_dense,
)
from mmbee_plugin.errors import InputError


@pytest.mark.parametrize(("given", "stored"), [("f2", "f2"), ("f4", "f4"), ("f8", "f4"), (">f4", "f4")])
def test_dense_round_trip(tmp_path, given, stored):
    values = np.array([[1, 2], [0, 0], [-3, 0.5]], dtype=given)
    path = tmp_path / "visual.npy"
    assert save_dense(values, path, "source").tolist() == [True, False, True]
    features = open_dense(path, 3)
    assert isinstance(features.values, np.memmap) and features.values.dtype == np.dtype(stored)
    assert np.array_equal(features.values, values)
    assert features.present.tolist() == [True, False, True]


def test_chunks_cover_all_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_ROWS", 3)
    values = np.arange(20, dtype=np.float32).reshape(10, 2)
    values[7] = 0
    present = save_dense(values, tmp_path / "a.npy", "source")
    assert np.flatnonzero(~present).tolist() == [7]
    features = open_dense(tmp_path / "a.npy", 10)
    assert np.array_equal(features.values, values) and np.array_equal(features.present, present)
    values[8, 1] = np.inf
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(InputError, match=r"a\.npy, row 8, column 1: inf is not a finite float32"):
        open_dense(tmp_path / "a.npy", 10)


def test_a_value_too_large_for_float32_is_named(tmp_path):
    with pytest.raises(InputError, match=r"v\.pt, row 1, column 0: inf is not a finite float32"):
        save_dense(np.array([[1.0], [1e39]]), tmp_path / "a.npy", "v.pt")


def test_stored_presence_wins_over_zero_rows(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 2), np.float32))
    np.save(present_path(tmp_path / "a.npy"), np.array([True, False]))
    assert open_dense(tmp_path / "a.npy", 2).present.tolist() == [True, False]
    np.save(present_path(tmp_path / "a.npy"), np.array([True]))
    with pytest.raises(InputError, match=r"a\.present\.npy: 1 rows for 2 items"):
        open_dense(tmp_path / "a.npy", 2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((3, 2), np.float32), "3 rows for 2 items"),
        (
            np.ones((2, 2), np.float64),
            r"float64; float16 or float32 is needed, save array.astype\('float32'\)",
        ),
        (np.ones((2, 2), np.int32), "2 dimensions of floats are needed"),
        (np.ones(2, np.float32), r"shape \(2,\); 2 dimensions"),
    ],
)
def test_bad_dense_features(tmp_path, values, message):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(InputError, match=rf"a\.npy: .*{message}"):
        open_dense(tmp_path / "a.npy", 2)


def test_bags_keep_every_occurrence(tmp_path):
    rows, words = np.array([2, 0, 2, 0, 2]), np.array([5, 1, 3, 1, 5])
    bag = bag_from_pairs(rows, words, 4, 6)
    assert bag.indptr.tolist() == [0, 2, 2, 5, 5]
    assert bag.words.tolist() == [1, 1, 5, 3, 5] and bag.words.dtype == np.int32
    save_bag(bag, tmp_path / "text.npz")
    read = open_bag(tmp_path / "text.npz", 4)
    assert read.words.tolist() == bag.words.tolist() and read.indptr.tolist() == bag.indptr.tolist()
    assert read.vocabulary == 6 and read.present.tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"words": [0, 6, 1]}, "row 1: word id 6 is outside 0 .. 5"),
        ({"words": [-1, 0, 1]}, "row 0: word id -1 is outside"),
        ({"words": [0, 1]}, "indptr must rise from 0 to the 2 words"),
        ({"indptr": [0, 2, 1, 3]}, "indptr must rise"),
        ({"indptr": [0, 3]}, "1 rows for 3 items"),
        ({"indptr": []}, "must be whole numbers"),
        ({"vocabulary": [6]}, "must be whole numbers"),
        ({"vocabulary": 2**40}, "must be whole numbers"),
        ({"words": [0.0, 1.0, 2.0]}, "must be whole numbers"),
    ],
)
def test_bad_bags(tmp_path, change, message):
    arrays = {"indptr": [0, 1, 3, 3], "words": [0, 1, 1], "vocabulary": 6} | change
    np.savez(tmp_path / "text.npz", **{name: np.array(array) for name, array in arrays.items()})
    with pytest.raises(InputError, match=rf"text\.npz.*{message}"):
        open_bag(tmp_path / "text.npz", 3)


def test_an_archive_with_objects_or_without_members_is_refused(tmp_path):
    np.savez(tmp_path / "text.npz", indptr=np.array([0, 1]), words=np.array([{}]), vocabulary=1)
    with pytest.raises(InputError, match="not a word bag"):
        open_bag(tmp_path / "text.npz", 1)
    np.savez(tmp_path / "text.npz", indptr=np.array([0, 1]))
    with pytest.raises(InputError, match="not a word bag"):
        open_bag(tmp_path / "text.npz", 1)
