from __future__ import annotations

import numpy as np
import pytest

from mmbee_plugin.data import features as module
from mmbee_plugin.data.features import (
    bag_from_pairs,
    column_moments,
    open_bag,
    open_dense,
    present_path,
    save_bag,
    save_dense,
    standardise,
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


@pytest.mark.parametrize("dtype", ["f2", "f4"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_what_is_not_finite_is_refused_in_either_type(tmp_path, dtype, value):
    values = np.ones((3, 2), dtype)
    values[2, 1] = value
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(InputError, match=rf"a\.npy, row 2, column 1: {value} is not a finite float(16|32)"):
        open_dense(tmp_path / "a.npy", 3)


@pytest.mark.parametrize("value", [1e30, -1e30, 2e18, 3e38])
def test_features_whose_square_is_no_float32_are_refused(tmp_path, value):
    values = np.ones((3, 2), np.float32)
    values[1, 0] = value
    message = rf"row 1, column 0: {value:g} is beyond 1e\+18: its square is no float32; rescale"
    with pytest.raises(InputError, match=message.replace("e+", r"e\+")):
        save_dense(values, tmp_path / "b.npy", "source.npy")
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(InputError, match=rf"a\.npy, {message}".replace("e+", r"e\+")):
        open_dense(tmp_path / "a.npy", 3)


NOISE = np.random.default_rng(0).normal(size=3000)


@pytest.mark.parametrize(
    "column",
    [NOISE, 1e6 + NOISE, 1e-30 * NOISE, 1e17 * NOISE, 1e-30 + 1e-33 * NOISE, 100 + 1e-3 * NOISE],
    ids=["ordinary", "offset", "tiny", "huge", "tiny offset", "narrow"],
)
def test_a_column_of_any_unit_is_standardised(column):
    stored = column.astype(np.float32)
    exact = stored.astype(np.float64)
    exact = (exact - exact.mean()) / exact.std()
    present = np.arange(3000) % 7 > 0
    found = standardise(np.stack([stored, NOISE.astype(np.float32)], axis=1), np.ones(3000, bool))
    np.testing.assert_allclose(found[:, 0], exact, atol=1e-3)
    part = standardise(stored[:, None], present)[:, 0]
    assert (
        not part[~present].any() and abs(part[present].std() - 1) < 1e-3 and abs(part[present].mean()) < 1e-3
    )


@pytest.mark.parametrize("value", [0.0, 0.1, 3.3, 1e6 + 0.1, 1e-30, -1e17, 1e-44])
def test_a_constant_column_becomes_zero(value):
    found = standardise(np.full((3000, 1), value, np.float32), np.ones(3000, bool))
    assert not found.any()


def test_ordinary_columns_are_standardised_in_float32_as_ever():
    """Bit for bit, so that runs on the same features stay what they were."""
    values = (33 + 3 * np.random.default_rng(1).normal(size=(2000, 4))).astype(np.float16)
    known = values.astype(np.float32)
    expected = (known - known.mean(axis=0)) / known.std(axis=0)
    assert np.array_equal(standardise(values, np.ones(2000, bool)), expected)


def test_moments_do_not_depend_on_chunks():
    rows = 1e6 + np.random.default_rng(2).normal(size=(10_000, 3))
    whole, parts = column_moments([rows], 3), column_moments(np.array_split(rows, 7), 3)
    np.testing.assert_allclose(whole.mean, rows.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(whole.deviation, rows.std(axis=0), rtol=1e-9)
    np.testing.assert_allclose(parts.deviation, whole.deviation, rtol=1e-9)
    assert not np.any(column_moments([], 3))
