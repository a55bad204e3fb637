"""Reader of MMRec's folders.

`<name>.inter`: tab-separated `userID`, `itemID`, [`rating`, `timestamp`] and `x_label`: 0 for training, 1 for
validation, 2 for test. Row r of `image_feat.npy` and `text_feat.npy` is item r.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from mmbee_plugin.data.atomic import read_header
from mmbee_plugin.data.formats.numbered import (
    count_of_ids,
    item_count,
    number_tokens,
    open_source,
    source_line,
)
from mmbee_plugin.data.writer import SPLITS, DatasetContent, Interactions
from mmbee_plugin.errors import InputError

FEATURES = {"visual": "image_feat.npy", "text": "text_feat.npy"}
IDS = ("userID", "itemID", "x_label")


def read(source: Path) -> DatasetContent:
    """Reads such a folder; raises InputError naming the file, line, column and value that is wrong."""
    files = sorted(source.glob("*.inter"))
    if len(files) != 1:
        found = ", ".join(file.name for file in files) or "none"
        raise InputError(f"{source}: one .inter file is needed, found: {found}")
    columns = _read_columns(files[0])
    users, items, labels = (columns[name].astype(np.int64) for name in IDS)
    features = {
        modality: open_source(source / name)
        for modality, name in FEATURES.items()
        if (source / name).exists()
    }
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
    return DatasetContent(
        source=source_line("mmrec", source),
        kind="real",
        users=number_tokens(n_users),
        items=number_tokens(n_items),
        interactions=splits,
        features={**features},
    )


def _read_columns(path: Path) -> dict[str, np.ndarray]:
    """The columns of the `.inter` file, (n,) float64 each; ids and labels are checked."""
    header = read_header(path)
    for name in IDS:
        if name not in header:
            raise InputError(
                f"{path}, line 1: no column {name!r}, found {', '.join(header)[:200]!r}, separated by tabs"
            )
    wanted = [name for name in (*IDS, "rating", "timestamp") if name in header]
    try:
        frame = pd.read_csv(
            path,
            sep="\t",
            header=0,
            names=header,
            dtype=str,
            na_filter=False,
            quoting=3,
            skip_blank_lines=False,
        )
    except (ValueError, OverflowError) as error:
        raise InputError(f"{path}: not a readable table: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(frame.index, pd.RangeIndex):
        raise InputError(f"{path}, line 2: more columns than the header's {len(header)}")
    columns = {}
    for name in wanted:
        values = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=np.float64)
        if name in IDS:
            limit = len(SPLITS) if name == "x_label" else 2**31
            good = (values >= 0) & (values < limit) & (values == np.floor(values))
            need = "0, 1 or 2" if name == "x_label" else "a whole number from 0"
        else:
            good, need = np.isfinite(values), "a finite number"
        if not good.all():
            row = int(np.argmin(good))
            value = str(frame[name].iloc[row])[:80]
            raise InputError(f"{path}, line {row + 2}, column {name}: {value!r}; {need} is needed")
        columns[name] = values
    return columns
