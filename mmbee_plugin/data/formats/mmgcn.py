"""Reader of MMGCN's files, and of samples and re-releases under similar names.

`train*.npy`: whole numbers (E, 2) of (user, item); without it, `{user: [item, …]}` of `user_item_train_dict.npy` or
`user_item_dict_train.npy`. `val*.npy`, `test*.npy`: rows [user, item, item, …], possibly without an item. Item numbers
follow those of the users in the full sets and begin at 0 in the samples. Dense features are `.npy` or `.pt`; TikTok's
text is a bag of words, whole numbers (2, N) of item rows and word ids.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmbee_plugin.data.arrays import read_array, read_rows, read_tensor
from mmbee_plugin.data.features import BagFeatures, bag_from_pairs
from mmbee_plugin.data.formats.discovery import find_features, one_file
from mmbee_plugin.data.formats.numbered import count_of_ids, item_count, numbered_content
from mmbee_plugin.data.writer import DatasetContent, Interactions, SourceFeatures
from mmbee_plugin.errors import InputError

FILES = {
    "train": ("train.npy", "train_sample.npy"),
    "valid": ("val_full.npy", "val.npy", "val_sample.npy"),
    "test": ("test_full.npy", "test.npy", "test_sample.npy"),
}
TRAIN_DICTS = tuple(
    f"user_item_{name}{sample}.npy" for name in ("train_dict", "dict_train") for sample in ("", "_sample")
)
"""training files of forks without an array; `user_item_dict.npy` may hold all splits and is never read"""
FEATURES = {
    "visual": ("FeatureVideo*", "feat_v*", "v_feat*"),
    "acoustic": ("FeatureAudio*", "feat_a*", "a_feat*"),
    "text": ("FeatureText*", "feat_t*", "t_feat*"),
}


def read(source: Path) -> DatasetContent:
    """Reads the folder; raises InputError naming the bad file and row."""
    files = {split: _split_file(source, split, names) for split, names in FILES.items()}
    splits = {split: _read_split(path) for split, path in files.items()}
    found = find_features(source, FEATURES, (".npy", ".pt"))
    arrays = {modality: SourceFeatures(_read_feature(path), path) for modality, path in found.files.items()}
    dense = {modality: entry for modality, entry in arrays.items() if entry.values.dtype.kind == "f"}
    n_pairs = sum(len(pairs) for pairs, _ in splits.values())
    n_users = count_of_ids(max(largest for _, largest in splits.values()), n_pairs, files["train"])
    items = np.concatenate([pairs.items for pairs, _ in splits.values()])
    offset = _item_offset(items, n_users, dense)
    largest_item = int(items.max(initial=offset - 1)) - offset
    if not dense:
        # The last items may occur in the bags only.
        bag_rows = [int(entry.values[0].max(initial=-1)) for entry in arrays.values()]
        largest_item = max([largest_item, *bag_rows])
    n_items = item_count(count_of_ids(largest_item, n_pairs, files["train"]), dense, exact=False)
    features = {m: entry if m in dense else _bag(entry, n_items) for m, entry in arrays.items()}
    parts = {split: Interactions(pairs.users, pairs.items - offset) for split, (pairs, _) in splits.items()}
    counts = n_users, n_items
    return numbered_content("mmgcn", source, counts, parts, features, found, files.values())


def _split_file(source: Path, split: str, names: tuple[str, ...]) -> Path:
    found = one_file(source, split, names)
    if found is None and split == "train":
        found, names = one_file(source, split, TRAIN_DICTS), (*names, *TRAIN_DICTS)
    if found is None:
        raise InputError(f"{source}: no {split} file; one of {', '.join(names)} is needed")
    return found


def _read_split(path: Path) -> tuple[Interactions, int]:
    """Pairs of a split file, with the file's item numbers, and its largest user number."""
    rows = read_rows(path)
    for number, row in enumerate(rows):
        if not row:
            raise InputError(f"{path}, row {number}: an empty list; [user, item, …] is needed")
    users = np.array([row[0] for row in rows], dtype=np.int64)
    lengths = np.array([len(row) - 1 for row in rows], dtype=np.int64)
    items = np.fromiter((item for row in rows for item in row[1:]), dtype=np.int64)
    return Interactions(np.repeat(users, lengths), items), int(users.max(initial=-1))


def _read_feature(path: Path) -> np.ndarray:
    reader = read_tensor if path.suffix == ".pt" else read_array
    values = reader(path, dimensions=2, kinds="fiu")
    if values.dtype.kind in "iu" and len(values) != 2:
        raise InputError(
            f"{path}: whole numbers of shape {values.shape}; (2, N) of item rows and word ids is needed"
        )
    return values


def _item_offset(items: np.ndarray, n_users: int, dense: dict[str, SourceFeatures]) -> int:
    """Offset of the files' item numbers: `n_users` if they follow those of the users, else 0."""
    fits_as_it_is = any(int(items.max(initial=0)) < len(entry.values) for entry in dense.values())
    return n_users if items.size and int(items.min()) >= n_users and not fits_as_it_is else 0


def _bag(entry: SourceFeatures, n_items: int) -> BagFeatures:
    rows, words = (np.asarray(axis, dtype=np.int64) for axis in entry.values)
    for name, ids, limit in (("item row", rows, n_items), ("word id", words, 2**31 - 1)):
        outside = np.flatnonzero((ids < 0) | (ids >= limit))
        if outside.size:
            column = int(outside[0])
            raise InputError(
                f"{entry.source}, column {column}: {name} {int(ids[column])} is outside 0 .. {limit - 1}"
            )
    return bag_from_pairs(rows, words, n_items, vocabulary=int(words.max(initial=-1)) + 1)
