"""Files of public sets under other names and in other places: found and named, or refused in one line."""

from __future__ import annotations

import collections
import gzip
import json
import pickle
import shutil
import zipfile

import numpy as np
import pytest
import scipy.sparse

from mmbee_plugin.data.formats import convert
from mmbee_plugin.errors import InputError


def _noted(folder, *parts):
    """Whether one note holds all of the parts."""
    return any(all(part in note for part in parts) for note in folder.notes)


@pytest.mark.parametrize("where", ["the sub-folder", "the folder"])
def test_interactions_in_a_sub_folder_of_the_features(mmssl, tmp_path, pairs, where):
    """LATTICE's layout, whichever of the two is named."""
    (mmssl / "5-core").mkdir()
    for name in ("train.json", "val.json", "test.json"):
        (mmssl / name).rename(mmssl / "5-core" / name)
    folder = convert("hkuds", mmssl / "5-core" if where == "the sub-folder" else mmssl, tmp_path / "out")
    assert folder.counts["train"] == len(pairs["train"]) and list(folder.modalities) == ["text"]
    above = " of the folder above" if where == "the sub-folder" else ""
    assert _noted(folder, f"text is text_feat.npy{above}", "no visual (image_feat.npy)")


@pytest.mark.parametrize("place", ["feat", "features", ".."])
@pytest.mark.parametrize("form", ["hkuds", "mmrec", "mmgcn"])
def test_features_in_another_folder(hkuds, mmrec, write_mmgcn, tmp_path, form, place):
    source = {"hkuds": hkuds, "mmrec": mmrec, "mmgcn": write_mmgcn()}[form]
    inner = shutil.move(source, tmp_path / "raw" / "set")
    for file in inner.glob("*_feat.npy"):
        file.unlink()
    (inner / place).mkdir(exist_ok=True)
    stem = "v_feat" if form == "mmgcn" else "image_feat"
    np.save(inner / place / f"{stem}.npy", np.ones((4, 2), np.float32))
    folder = convert(form, inner, tmp_path / "out")
    assert list(folder.modalities) == ["visual"]
    shown = f"{stem}.npy of the folder above" if place == ".." else f"{place}/{stem}.npy"
    assert _noted(folder, f"visual is {shown}")
    np.save(inner / place / f"{stem}.npy", np.ones((3, 2), np.float32))
    with pytest.raises(InputError, match=rf"{stem}\.npy: 3 rows, the interactions need 4 items"):
        convert(form, inner, tmp_path / "other")


@pytest.mark.parametrize(
    ("form", "stem", "name"),
    [
        (form, stem, name)
        for form, stem in (("hkuds", "image_feat"), ("mmrec", "image_feat"), ("mmgcn", "feat_v"))
        for name in ("npy.zip", "npy.gz", "npz", "pt", "pkl", "NPY")
        if (form, name) != ("mmgcn", "pt")  # which is read
    ],
)
def test_features_that_are_packed_or_of_another_kind(hkuds, mmrec, write_mmgcn, tmp_path, form, stem, name):
    source = {"hkuds": hkuds, "mmrec": mmrec, "mmgcn": write_mmgcn()}[form]
    for file in source.glob("image_feat.npy"):
        file.unlink()
    values = np.ones((4, 2), np.float32)
    np.save(tmp_path / "packed.npy", values)
    if name == "npy.zip":
        with zipfile.ZipFile(source / f"{stem}.{name}", "w") as archive:
            archive.write(tmp_path / "packed.npy", f"{stem}.npy")
    elif name == "npz":
        np.savez(source / f"{stem}.npz", values)
    else:
        data = (tmp_path / "packed.npy").read_bytes()
        (source / f"{stem}.{name}").write_bytes(gzip.compress(data) if name == "npy.gz" else data)
    with pytest.raises(
        InputError, match=rf"{stem}\.{name}: is not read; unpack it, or save it as {stem}\.npy"
    ):
        convert(form, source, tmp_path / "out")


@pytest.mark.parametrize(
    "names",
    [
        ("trainMat.pkl", "validMat.pkl", "testMat.pkl"),
        ("trn_mat", "val_mat", "tst_mat"),
        ("train_mat.pkl", "valid_mat.pkl", "test_mat.pkl"),
        ("baby_train.pkl", "baby_valid.pkl", "baby_test.pkl"),
        ("train.pkl", "val.pkl", "test.pkl"),
    ],
)
def test_other_names_of_matrices(hkuds, tmp_path, pairs, names):
    for ours, theirs in zip(("trnMat.pkl", "valMat.pkl", "tstMat.pkl"), names, strict=True):
        (hkuds / ours).rename(hkuds / theirs)
    folder = convert("hkuds", hkuds, tmp_path / "out")
    assert {split: folder.counts[split] for split in pairs} == {
        split: len(rows) for split, rows in pairs.items()
    }
    (hkuds / names[1]).unlink()
    with pytest.raises(InputError, match=rf"no valid file beside {names[0]}; looked for .*valMat|.*val_mat"):
        convert("hkuds", hkuds, tmp_path / "other")


def test_two_files_of_one_split(hkuds, tmp_path):
    shutil.copy(hkuds / "valMat.pkl", hkuds / "validMat.pkl")
    with pytest.raises(InputError, match=r"validMat\.pkl: stands beside valMat\.pkl; keep one valid file"):
        convert("hkuds", hkuds, tmp_path / "out")


def test_what_is_not_read_is_named(hkuds, microlens, tmp_path):
    for source, form in ((hkuds, "hkuds"), (microlens, "microlens")):
        np.save(source / "video_vectors.npy", np.ones(3))
        (source / "categories.csv").write_text("a,b\n")
        assert (
            "not read: categories.csv, video_vectors.npy"
            in convert(form, source, tmp_path / f"{form}-out").notes
        )


@pytest.mark.parametrize("name", ["user_item_train_dict.npy", "user_item_dict_train.npy"])
@pytest.mark.parametrize("kind", [list, set, tuple, np.array])
@pytest.mark.parametrize(
    "outer", [dict, lambda lists: collections.defaultdict(list, lists)], ids=["dict", "default"]
)
def test_training_pairs_as_a_dict(write_mmgcn, tmp_path, pairs, name, kind, outer):
    source = write_mmgcn()
    (source / "train.npy").unlink()
    lists = outer({user: kind([item for one, item in pairs["train"] if one == user]) for user in range(3)})
    np.save(source / name, np.array(lists, dtype=object), allow_pickle=True)
    train = convert("mmgcn", source, tmp_path / "out").interactions("train")
    assert sorted(zip(train.users, train.items, strict=True)) == sorted(pairs["train"])


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"ann": [1]}, "'ann' \\(str\\) is no whole number"),
        ({0: ["x"]}, "'x' \\(str\\) is no whole number"),
        ({0: 3}, "no list"),
        ({-1: [3]}, "-1 is no id"),
        ({0: {"a"}}, "is no whole number"),
    ],
)
def test_bad_dicts(write_mmgcn, tmp_path, lists, message):
    source = write_mmgcn()
    (source / "train.npy").unlink()
    np.save(source / "user_item_train_dict.npy", np.array(lists, dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=rf"user_item_train_dict\.npy, .*{message}"):
        convert("mmgcn", source, tmp_path / "out")


def test_a_dict_of_every_split_is_not_training(write_mmgcn, tmp_path):
    source = write_mmgcn()
    (source / "train.npy").rename(source / "user_item_dict.npy")
    with pytest.raises(
        InputError, match=r"no train file; one of train\.npy, .*user_item_train_dict\.npy.* is needed"
    ):
        convert("mmgcn", source, tmp_path / "out")


def _items(tokens):
    return "asin\titemID\n" + "".join(f"{token}\t{number}\n" for number, token in enumerate(tokens))


def test_pairing_of_features_and_items(mmrec, tmp_path):
    """Two sets of one name and size number their items differently; lists of items beside both tell."""

    def converted(name="out"):
        return convert("mmrec", mmrec, tmp_path / name, force=True)

    assert _noted(converted(), "that row r of the features is item r could not be checked")
    (mmrec / "i_id_mapping.csv").write_text(_items("abcde"))
    assert _noted(converted(), "could not be checked; i_id_mapping.csv numbers as many items")
    (mmrec / "i_id_mapping.csv").write_text(_items("abcdef"))
    with pytest.raises(InputError, match=r"i_id_mapping\.csv: lists 6 items, the data have 5"):
        converted()
    (mmrec / "i_id_mapping.csv").write_text(_items("abcde"))
    (mmrec / "feat").mkdir()
    (mmrec / "image_feat.npy").rename(mmrec / "feat" / "image_feat.npy")
    (mmrec / "feat" / "item_list.txt").write_text(
        "org_id remap_id\n" + "".join(f"{t} {n}\n" for n, t in enumerate("abcde"))
    )
    assert _noted(converted(), "are the same") and not _noted(converted(), "could not be checked")
    (mmrec / "feat" / "item_list.txt").write_text("org_id remap_id\nb 0\na 1\nc 2\nd 3\ne 4\n")
    with pytest.raises(InputError, match=r"item_list\.txt: item 0 is 'b', in .*i_id_mapping\.csv it is 'a'"):
        converted()
    (mmrec / "feat" / "item_list.txt").write_text("org_id remap_id\nb zero\n")
    with pytest.raises(InputError, match=r"item_list\.txt, line 2: 'b zero'"):
        converted()


def test_without_features_there_is_nothing_to_pair(hkuds, tmp_path):
    for file in hkuds.glob("*.npy"):
        file.unlink()
    folder = convert("hkuds", hkuds, tmp_path / "out")
    assert folder.notes == [
        "features: no visual (image_feat.npy), no acoustic (audio_feat.npy), no text (text_feat.npy)"
    ]
    assert json.loads((folder.path / "dataset.json").read_text())["notes"] == folder.notes


def test_matrix_beside_lists_by_either_name(mmssl, tmp_path):
    (mmssl / "text_feat.npy").unlink()
    (mmssl / "train_mat.pkl").write_bytes(pickle.dumps(scipy.sparse.csr_matrix((5, 7))))
    assert convert("hkuds", mmssl, tmp_path / "out").counts["items"] == 7
