"""Reader of MMRec's folders.

`<name>.inter`: tab-separated `userID`, `itemID`, optional `rating` and `timestamp`, and `x_label`: 0 for training, 1
for validation, 2 for test. Row r of `image_feat.npy`, `text_feat.npy` and, in forks, `audio_feat.npy` is item r.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmbee_plugin.data.formats.columns import IDS, in_seconds, read_numbers
from mmbee_plugin.data.formats.discovery import find_features
from mmbee_plugin.data.formats.numbered import count_of_ids, item_count, numbered_content, open_source
from mmbee_plugin.data.recbole_files import read_header
from mmbee_plugin.data.writer import SPLITS, DatasetContent, Interactions
from mmbee_plugin.errors import InputError

FEATURES = {"visual": ("image_feat",), "acoustic": ("audio_feat",), "text": ("text_feat",)}
COLUMNS = {"userID": IDS, "itemID": IDS, "x_label": len(SPLITS)}


def read(source: Path) -> DatasetContent:
    """Reads the folder; raises InputError naming the bad file, line, column and value."""
    files = sorted(source.glob("*.inter"))
    if len(files) != 1:
        there = ", ".join(file.name for file in files) or "none"
        raise InputError(f"{source}: one .inter file is needed, found: {there}")
    columns = _read_columns(files[0])
    users, items, labels = (columns[name].astype(np.int64) for name in COLUMNS)
    found = find_features(source, FEATURES, (".npy",))
    features = {modality: open_source(path) for modality, path in found.files.items()}
    n_users = count_of_ids(int(users.max(initial=-1)), len(users), files[0])
    n_items = count_of_ids(int(items.max(initial=-1)), len(users), files[0])
    n_items = item_count(n_items, features, exact=False)
    splits = {}
    for label, split in enumerate(SPLITS):
        chosen = labels == label
        ratings, timestamps = (
            columns[name][chosen] if name in columns else None for name in ("rating", "timestamp")
        )
        splits[split] = Interactions(users[chosen], items[chosen], ratings, timestamps)
    return numbered_content("mmrec", source, (n_users, n_items), splits, features, found, files)


def _read_columns(path: Path) -> dict[str, np.ndarray]:
    """Columns of the `.inter` file, (n,) float64 each: ids and labels checked, times in seconds."""
    header = read_header(path)
    for name in COLUMNS:
        if name not in header:
            raise InputError(
                f"{path}, line 1: no column {name!r}, found {', '.join(header)[:200]!r}, separated by tabs"
            )
    wanted: dict[str, int | None] = {**COLUMNS}
    wanted |= {name: None for name in ("rating", "timestamp") if name in header}
    columns = read_numbers(path, "\t", header, wanted)
    if "timestamp" in columns:
        columns["timestamp"] = in_seconds(columns["timestamp"], path)
    return columns
