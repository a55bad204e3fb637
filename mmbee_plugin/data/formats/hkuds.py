"""Reader of the files of MMSSL (JSON) and DiffMM (pickled matrices).

`trnMat.pkl`, `valMat.pkl`, `tstMat.pkl`: scipy sparse matrices users x items. Or `train.json`, `val.json`,
`test.json`: `{"uid": [iid, …]}`, with a matrix `train_mat` beside them that says how many users and items there are;
or `train_mat`, `val_mat`, `test_mat` alone. Row r of `image_feat.npy`, `audio_feat.npy`, `text_feat.npy` is item r.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmbee_plugin.data.formats.numbered import (
    count_of_ids,
    item_count,
    number_tokens,
    open_source,
    source_line,
)
from mmbee_plugin.data.jsons import read_object
from mmbee_plugin.data.pickles import read_sparse
from mmbee_plugin.data.writer import SPLITS, DatasetContent, Interactions, SourceFeatures
from mmbee_plugin.errors import InputError

MATRICES = ("trnMat.pkl", "valMat.pkl", "tstMat.pkl")
MMSSL_MATRICES = ("train_mat", "val_mat", "test_mat")
LISTS = ("train.json", "val.json", "test.json")
FEATURES = {"visual": "image_feat.npy", "acoustic": "audio_feat.npy", "text": "text_feat.npy"}


def read(source: Path) -> DatasetContent:
    """Reads such a folder; raises InputError naming the file, and the entry or user, that is wrong."""
    features = {
        modality: open_source(source / name)
        for modality, name in FEATURES.items()
        if (source / name).exists()
    }
    matrices, others, lists = (
        [source / name for name in names] for names in (MATRICES, MMSSL_MATRICES, LISTS)
    )
    if matrices[0].exists():
        splits, n_users, n_items = _from_matrices(matrices, features)
    elif lists[0].exists():
        splits, n_users, n_items = _from_lists(lists, others[0], features)
    elif others[0].exists():
        splits, n_users, n_items = _from_matrices(others, features)
    else:
        raise InputError(f"{source}: neither {MATRICES[0]} nor {LISTS[0]} is there")
    return DatasetContent(
        source=source_line("hkuds", source),
        kind="real",
        users=number_tokens(n_users),
        items=number_tokens(n_items),
        interactions=splits,
        features={**features},
    )


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
    paths: list[Path], matrix: Path, features: dict[str, SourceFeatures]
) -> tuple[dict[str, Interactions], int, int]:
    splits = {split: _read_lists(path) for split, path in zip(SPLITS, paths, strict=True)}
    users, items = (
        np.concatenate([getattr(rows, side) for rows in splits.values()]) for side in ("users", "items")
    )
    # Users and items at the end may have no pair at all: the matrix knows of them.
    shape = read_sparse(matrix).shape if matrix.exists() else (0, 0)
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
