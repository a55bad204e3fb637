"""Writes a dataset folder beside its destination, then renames it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mmbee_plugin.data.features import BagFeatures, present_path, save_bag, save_dense
from mmbee_plugin.data.hashing import content_hash
from mmbee_plugin.data.recbole_files import ITEM, RATING, TIMESTAMP, USER, write_table
from mmbee_plugin.data.unread import check_modality
from mmbee_plugin.data.writable import check_content
from mmbee_plugin.errors import InputError
from mmbee_plugin.files import published

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Interactions:
    """User and item rows of interactions.

    Shapes:
        - users, items: (n,) int64, rows of `.user` and `.item`
        - ratings: (n,) float64, or None
        - timestamps: (n,) float64 seconds, or None
    """

    users: np.ndarray
    items: np.ndarray
    ratings: np.ndarray | None = None
    timestamps: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.users)


@dataclass(frozen=True)
class SourceFeatures:
    """A dense modality to write: values, (n_items, D) floats, and their source file, for errors."""

    values: np.ndarray
    source: Path | str


@dataclass
class DatasetContent:
    """Content of a dataset folder to write.

    Args:
        source: origin of the data, one line.
        kind: "real", "sample" or "simulated".
        users, items: tokens, in the row order of every array.
        interactions: either `{"": all of them}` or one entry per name of `SPLITS`.
        features: dense values or bags by modality.
        user_columns, item_columns: further columns of `.user` and `.item`, `name:type` to one value per row.
        get_real: for a sample, how to get the real data.
        ordered: each user's rows are in order of time, without times.
        notes: caveats for readers of results, one sentence each.
    """

    source: str
    kind: str
    users: list[str]
    items: list[str]
    interactions: dict[str, Interactions]
    features: dict[str, SourceFeatures | BagFeatures] = field(default_factory=dict)
    user_columns: dict[str, list[str]] = field(default_factory=dict)
    item_columns: dict[str, list[str]] = field(default_factory=dict)
    get_real: str | None = None
    ordered: bool = False
    notes: list[str] = field(default_factory=list)


def check_replaceable(folder: Path, force: bool) -> None:
    """Raises InputError unless `folder` is missing, empty, a sample or, with `force`, another dataset folder."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not folder.is_dir():
        raise InputError(f"{folder}: exists and is not a folder; name a dataset folder to write")
    description = folder / "dataset.json"
    if not description.exists() and not any(folder.glob("*.inter")):
        raise InputError(f"{folder}: exists and is no dataset folder; it is left alone, with --force too")
    if not force and _kind(description) != "sample":
        raise InputError(f"{folder}: holds data that is not a generated sample; --force replaces it")


def write_folder(folder: Path, content: DatasetContent, *, force: bool = False) -> None:
    """Writes `content` as the dataset folder `folder`, whose last part is the dataset's name.

    Replaces a sample, and other data with `force`. On bad input, a full disk or an interruption the destination stays
    unchanged; the first two raise InputError.
    """
    check_replaceable(folder, force)
    if folder.name in ("", ".", ".."):
        raise InputError(f"{folder}: the last part of the path names the dataset")
    counts = {
        modality: len(one.present if isinstance(one, BagFeatures) else one.values)
        for modality, one in content.features.items()
    }
    check_content(content.source, content.users, content.items, content.interactions, counts)
    content = _without_idle_times(content)
    if content.ordered and _has_times(content.interactions):
        raise InputError(f"{content.source}: has times, which order its rows; ordered is for data without")
    with published(folder) as beside:
        _write_content(beside, folder.name, content)


def _write_content(folder: Path, name: str, content: DatasetContent) -> None:
    write_table(folder / f"{name}.user", {USER: content.users, **content.user_columns})
    write_table(folder / f"{name}.item", {ITEM: content.items, **content.item_columns})
    users, items = np.array(content.users, dtype=object), np.array(content.items, dtype=object)
    for split, rows in content.interactions.items():
        columns = {USER: users[rows.users], ITEM: items[rows.items]}
        for column, values in ((RATING, rows.ratings), (TIMESTAMP, rows.timestamps)):
            if values is not None:
                whole = (values == np.floor(values)).all() and (np.abs(values) < 2**53).all()
                columns[column] = values.astype(np.int64) if whole else values
        write_table(folder / (f"{name}.{split}.inter" if split else f"{name}.inter"), columns)
    modalities = {
        modality: _write_features(folder, modality, features)
        for modality, features in content.features.items()
    }
    counts = {"users": len(users), "items": len(items)}
    counts["interactions"] = sum(len(rows) for rows in content.interactions.values())
    counts |= {split: len(rows) for split, rows in content.interactions.items() if split}
    description = {
        "name": name,
        "kind": content.kind,
        "source": content.source,
        "ordered": content.ordered or _has_times(content.interactions),
        "splits": list(content.interactions) if "" not in content.interactions else None,
        "counts": counts,
        "modalities": modalities,
        "notes": content.notes,
        "warnings": _warnings(content.interactions),
        "hash": content_hash(folder),
        "get_real": content.get_real,
    }
    (folder / "dataset.json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def _write_features(folder: Path, modality: str, features: SourceFeatures | BagFeatures) -> dict[str, Any]:
    check_modality(modality, folder)
    path: Path
    if isinstance(features, BagFeatures):
        path = folder / f"{modality}.npz"
        present = save_bag(features, path)
        entry: dict[str, Any] = {"file": path.name, "kind": "bag", "vocabulary": features.vocabulary}
    else:
        path = folder / f"{modality}.npy"
        present = save_dense(features.values, path, features.source)
        entry = {"file": path.name, "kind": "dense", "width": int(features.values.shape[1])}
    if not present.all():
        np.save(present_path(path), present)
    return {**entry, "missing": int((~present).sum())}


def _has_times(interactions: dict[str, Interactions]) -> bool:
    return all(rows.timestamps is not None for rows in interactions.values())


def _without_idle_times(content: DatasetContent) -> DatasetContent:
    """Drops the times, and notes it, if those of the first part (training or all rows) are all equal."""
    first = next(iter(content.interactions.values())).timestamps
    if first is None or (first != first[0]).any():
        return content
    parts = {split: replace(rows, timestamps=None) for split, rows in content.interactions.items()}
    note = f"the times of the files are left out: they are {first[0]:g} in every row"
    return replace(content, interactions=parts, notes=[*content.notes, note])


def _warnings(interactions: dict[str, Interactions]) -> list[str]:
    """Lines on held-out pairs that are in training too, and on repeated pairs."""
    found = []
    keys = {split: rows.users << 32 | rows.items for split, rows in interactions.items()}
    for split, pairs in keys.items():
        if split in ("valid", "test") and (leaked := int(np.isin(pairs, keys["train"]).sum())):
            found.append(f"{leaked:,} of {len(pairs):,} {split} pairs are in training as well; kept as given")
        if split and (repeated := len(pairs) - len(np.unique(pairs))):
            found.append(f"{repeated:,} of {len(pairs):,} {split} pairs are repetitions; kept as given")
    return found


def _kind(description: Path) -> str | None:
    try:
        value = json.loads(description.read_bytes())
    except (OSError, ValueError):
        return None
    return value.get("kind") if isinstance(value, dict) else None
