from __future__ import annotations

import numpy as np
import pytest
import torch

from mmbee_plugin.data.formats import convert
from mmbee_plugin.errors import InputError


@pytest.mark.parametrize("offset", [0, 3])
@pytest.mark.parametrize(
    "names",
    [
        {},
        {"train": "train_sample.npy", "valid": "val_sample.npy", "test": "test_sample.npy"},
        {"valid": "val.npy", "test": "test.npy"},
    ],
)
def test_every_spelling_and_both_ways_to_count_items(write_mmgcn, tmp_path, pairs, offset, names):
    folder = convert("mmgcn", write_mmgcn(offset, **names), tmp_path / "out")
    for split, rows in pairs.items():
        read = folder.interactions(split)
        assert sorted(zip(read.users, read.items, strict=True)) == sorted(rows)
    assert folder.counts["users"] == 3 and folder.counts["items"] == 4
    assert folder.modalities == {}


def test_items_that_fit_the_features_are_not_offset(write_mmgcn, tmp_path):
    source = write_mmgcn(3)
    np.save(source / "feat_v.npy", np.ones((7, 2), np.float32))  # items 3..6 are rows 3..6
    folder = convert("mmgcn", source, tmp_path / "out")
    assert folder.counts["items"] == 7 and folder.interactions().items.min() == 3


SPELLINGS = {
    "visual": ("FeatureVideo_normal", "feat_v", "v_feat", "v_feat_sample"),
    "acoustic": ("FeatureAudio_avg_normal", "feat_a", "a_feat", "a_feat_sample"),
    "text": ("FeatureText_stl_normal", "feat_t", "t_feat", "t_feat_sample"),
}


@pytest.mark.parametrize(
    ("modality", "spelling"), [(m, name) for m, names in SPELLINGS.items() for name in names]
)
@pytest.mark.parametrize("suffix", [".npy", ".pt", ".legacy.pt"])
def test_every_spelling_of_features(write_mmgcn, tmp_path, modality, spelling, suffix):
    source = write_mmgcn(3)
    values = np.arange(10.0).reshape(5, 2)  # one item more than the interactions know
    if suffix == ".npy":
        np.save(source / f"{spelling}.npy", values)
    else:
        legacy = suffix == ".legacy.pt"
        torch.save(torch.tensor(values), source / f"{spelling}.pt", _use_new_zipfile_serialization=not legacy)
    folder = convert("mmgcn", source, tmp_path / "out")
    assert folder.counts["items"] == 5 and list(folder.modalities) == [modality]
    read = folder.features(modality)
    assert read.values.dtype == np.float32 and read.values.tolist() == values.tolist()
    assert read.present.tolist() == [True] * 5


@pytest.mark.parametrize("offset", [0, 3])
def test_text_is_a_bag_and_may_be_missing_for_some(write_mmgcn, tmp_path, offset):
    source = write_mmgcn(offset)
    np.save(source / "FeatureAudio_avg_normal.npy", np.ones((4, 2)))
    torch.save(torch.tensor([[3, 0, 3], [7, 2, 1]]), source / "t_feat_sample.pt")
    folder = convert("mmgcn", source, tmp_path / "out")
    assert folder.modalities["text"] == {"file": "text.npz", "kind": "bag", "vocabulary": 8, "missing": 2}
    bag = folder.features("text")
    assert bag.indptr.tolist() == [0, 1, 1, 1, 3] and bag.words.tolist() == [2, 7, 1]
    assert bag.present.tolist() == [True, False, False, True]


def test_a_bag_alone_may_name_further_items(write_mmgcn, tmp_path):
    source = write_mmgcn()
    np.save(source / "feat_t.npy", np.array([[5, 0], [1, 0]]))
    assert convert("mmgcn", source, tmp_path / "out").counts["items"] == 6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([[0, 4], [1, 1]], "column 1: item row 4 is outside 0 .. 3"),
        ([[0, -1], [1, 1]], "column 1: item row -1 is outside"),
        ([[0, 1], [1, -2]], "column 1: word id -2 is outside"),
        ([[0, 1], [1, 2**31]], "column 1: word id 2147483648 is outside"),
        ([[0, 1], [1, 1], [1, 1]], r"whole numbers of shape \(3, 2\)"),
    ],
)
def test_bad_words(write_mmgcn, tmp_path, words, message):
    source = write_mmgcn()
    np.save(source / "feat_v.npy", np.ones((4, 2)))
    np.save(source / "feat_t.npy", np.array(words))
    with pytest.raises(InputError, match=rf"feat_t\.npy.*{message}"):
        convert("mmgcn", source, tmp_path / "out")


def test_features_of_too_few_items_or_not_finite(write_mmgcn, tmp_path):
    source = write_mmgcn(3)
    np.save(source / "feat_v.npy", np.ones((3, 2)))
    with pytest.raises(InputError, match=r"feat_v\.npy: 3 rows, the interactions need 4 items"):
        convert("mmgcn", source, tmp_path / "out")
    values = np.ones((4, 2))
    values[2, 1] = np.nan
    np.save(source / "feat_v.npy", values)
    with pytest.raises(InputError, match=r"feat_v\.npy, row 2, column 1: nan is not a finite float32"):
        convert("mmgcn", source, tmp_path / "out")
    np.save(source / "feat_v.npy", np.ones((4, 2)))
    np.save(source / "a_feat.npy", np.ones((5, 2)))
    with pytest.raises(InputError, match=r"a_feat\.npy: 5 rows, the interactions need 4 items"):
        convert("mmgcn", source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_ambiguous_or_missing_files(write_mmgcn, tmp_path):
    source = write_mmgcn()
    np.save(source / "feat_v.npy", np.ones((4, 2)))
    np.save(source / "v_feat.npy", np.ones((4, 2)))
    with pytest.raises(InputError, match=r"v_feat\.npy: stands beside feat_v\.npy; keep one visual file"):
        convert("mmgcn", source, tmp_path / "out")
    np.save(source / "train_sample.npy", np.ones((4, 2), int))
    with pytest.raises(InputError, match=r"train_sample\.npy: stands beside train\.npy"):
        convert("mmgcn", source, tmp_path / "out")
    (source / "train_sample.npy").unlink()
    (source / "test_full.npy").unlink()
    with pytest.raises(InputError, match=r"no test file; one of test_full\.npy, test\.npy, test_sample\.npy"):
        convert("mmgcn", source, tmp_path / "out")


def test_an_empty_row_or_no_validation(write_mmgcn, tmp_path):
    source = write_mmgcn()
    np.save(source / "val_full.npy", np.array([[0], [1], [2]], dtype=object))
    with pytest.raises(InputError, match="no valid interaction"):
        convert("mmgcn", source, tmp_path / "out")
    np.save(source / "val_full.npy", np.array([[0, 1], []], dtype=object))
    with pytest.raises(InputError, match=r"val_full\.npy, row 1: an empty list"):
        convert("mmgcn", source, tmp_path / "out")


TIKTOK = {"visual": "dense", "acoustic": "dense", "text": "bag"}


@pytest.mark.parametrize(
    ("name", "counts", "modalities", "leaks"),
    [
        ("tiktok", (100, 1651, 1929, 212, 170), TIKTOK, ["212 of 212", "10 of 170"]),
        ("movielens", (100, 1141, 2071, 263, 307), {"acoustic": "dense", "text": "dense"}, []),
        ("Kwai", (100, 3691, 3418, 421, 484), {}, []),
    ],
)
def test_the_authors_own_samples(real, tmp_path, name, counts, modalities, leaks):
    folder = convert("mmgcn", real("mmgcn-toy") / name, tmp_path / name)
    folder.validate_interactions()
    assert tuple(folder.counts[key] for key in ("users", "items", "train", "valid", "test")) == counts
    assert {modality: entry["kind"] for modality, entry in folder.modalities.items()} == modalities
    assert [one.split(" valid")[0].split(" test")[0] for one in folder.warnings] == leaks
    for modality in modalities:
        assert len(folder.features(modality).present) == counts[1]
