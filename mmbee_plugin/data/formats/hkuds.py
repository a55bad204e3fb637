"""Reader of the files of MMSSL (JSON) and DiffMM (pickled matrices).

One of, also in a sub-folder `5-core` (see `FORMS`):
* `trnMat.pkl`, `valMat.pkl`, `tstMat.pkl`: scipy sparse matrices users x items;
* `train.json`, `val.json`, `test.json`: `{"uid": [iid, …]}`; the shape of `train_mat` beside them counts users, items;
* `train_mat`, `val_mat`, `test_mat`, or `<name>_train.pkl` and so on: matrices again.

Row r of `image_feat.npy`, `audio_feat.npy`, `text_feat.npy` is item r.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmbee_plugin.data.formats.discovery import find_features, one_file
from mmbee_plugin.data.formats.numbered import count_of_ids, item_count, numbered_content, open_source
from mmbee_plugin.data.jsons import read_object
from mmbee_plugin.data.pickles import read_sparse
from mmbee_plugin.data.writer import SPLITS, DatasetContent, Interactions, SourceFeatures
from mmbee_plugin.errors import InputError

PREFIXES = {"train": ("trn", "train"), "valid": ("val", "valid"), "test": ("tst", "test")}
MATRICES, LISTS, OTHER_MATRICES = FORMS = (
    ("{}Mat.pkl",),
    ("{}.json", "*_{}.json"),
    ("{}_mat", "{}_mat.pkl", "{}.pkl", "*_{}.pkl"),
)
"""file names of the splits; the first form with a training file is read"""
FEATURES = {"visual": ("image_feat",), "acoustic": ("audio_feat",), "text": ("text_feat",)}


def read(source: Path) -> DatasetContent:
    """Reads the folder; raises InputError naming the bad file and its entry or user."""
    found = find_features(source, FEATURES, (".npy",))
    features = {modality: open_source(path) for modality, path in found.files.items()}
    form, files = _split_files(source)
    if form == LISTS:
        matrix = one_file(files[0].parent, "train", _names("train", OTHER_MATRICES))
        read = [*files, *([matrix] if matrix else [])]
        splits, n_users, n_items = _from_lists(files, matrix, features)
    else:
        read = files
        splits, n_users, n_items = _from_matrices(files, features)
    return numbered_content("hkuds", source, (n_users, n_items), splits, features, found, read)


def _split_files(source: Path) -> tuple[tuple[str, ...], list[Path]]:
    """Form and files of the splits, in the folder itself or a sub-folder `*-core`."""
    for folder in (source, *sorted(path for path in source.glob("*-core") if path.is_dir())):
        for form in FORMS:
            train = one_file(folder, "train", _names("train", form))
            if train is None:
                continue
            files = [train]
            for split in SPLITS[1:]:
                names = _names(split, form)
                path = one_file(folder, split, names)
                if path is None:
                    raise InputError(
                        f"{folder}: no {split} file beside {train.name}; looked for {', '.join(names)}"
                    )
                files.append(path)
            return form, files
    wanted = ", ".join(name for form in FORMS for name in _names("train", form))
    raise InputError(f"{source}: no training file, also in no *-core folder of it; looked for {wanted}")


def _names(split: str, form: tuple[str, ...]) -> list[str]:
    return [name.format(prefix) for prefix in PREFIXES[split] for name in form]


def _from_matrices(
    paths: list[Path], features: dict[str, SourceFeatures]
) -> tuple[dict[str, Interactions], int, int]:
    pairs = [read_sparse(path) for path in paths]
    for path, matrix in zip(paths[1:], pairs[1:], strict=True):
        if matrix.shape != pairs[0].shape:
            raise InputError(
                f"{path}: a matrix of {matrix.shape}, {paths[0].name} is {pairs[0].shape}; all must agree"
            )
    n_users, n_items = pairs[0].shape
    n_pairs = sum(len(matrix.rows) for matrix in pairs)
    for count in (n_users, n_items):
        count_of_ids(count - 1, n_pairs, paths[0])
    splits = {
        split: Interactions(matrix.rows, matrix.columns) for split, matrix in zip(SPLITS, pairs, strict=True)
    }
    return splits, n_users, item_count(n_items, features, exact=True)


def _from_lists(
    paths: list[Path], matrix: Path | None, features: dict[str, SourceFeatures]
) -> tuple[dict[str, Interactions], int, int]:
    splits = {split: _read_lists(path) for split, path in zip(SPLITS, paths, strict=True)}
    users, items = (
        np.concatenate([getattr(rows, side) for rows in splits.values()]) for side in ("users", "items")
    )
    # The last users and items may be in no pair; the matrix counts them too.
    shape = (0, 0) if matrix is None else read_sparse(matrix).shape
    n_users, n_items = (
        count_of_ids(max(int(ids.max(initial=-1)), length - 1), len(ids), paths[0])
        for ids, length in zip((users, items), shape, strict=True)
    )
    return splits, n_users, item_count(n_items, features, exact=False)


def _read_lists(path: Path) -> Interactions:
    lists = read_object(path, 'an object {"user": [item, …]}')
    users: list[int] = []
    items: list[int] = []
    for user, row in lists.items():
        if not (user.isascii() and user.isdigit() and len(user) < 10):
            raise InputError(f"{path}: user {user[:40]!r} is no id; whole numbers from 0 are needed")
        if not isinstance(row, list):
            raise InputError(f"{path}, user {user}: a list of items is needed, found {type(row).__name__}")
        for item in row:
            if type(item) is not int or not 0 <= item < 2**31:
                raise InputError(
                    f"{path}, user {user}: item {str(item)[:40]!r} is no id; whole numbers from 0 are needed"
                )
        users.extend([int(user)] * len(row))
        items.extend(row)
    return Interactions(np.array(users, dtype=np.int64), np.array(items, dtype=np.int64))
