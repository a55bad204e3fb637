"""Categories of items: one column of the `.item` file, by which SIM's hard search compares authors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mmbee_plugin.data.recbole_files import MISSING_TOKENS, read_header
from mmbee_plugin.errors import InputError, one_line

DEFAULT = "category"
"""column that live data have if their log has room categories"""


def read_categories(file: Path, count: int, field: str | None = None) -> NDArray[np.int64] | None:
    """Category number of each item: 1, 2, … in order of the category names; 0 for unknown.

    Args:
        file: the `.item` file, which may be missing.
        count: number of its rows.
        field: name of a token column; None takes `category` if it exists and has a value.

    Shapes:
        - output: (count,) int64; None without categories

    Raises:
        InputError: an unreadable file, another number of rows; a named column that is missing, is not of type token,
            or has no value.
    """
    header = read_header(file) if file.exists() else []
    column = f"{field or DEFAULT}:token"
    if column not in header:
        if field is None:
            return None
        kind = next((one for one in header if one.startswith(f"{field}:")), None)
        found = f"column {kind!r} has no single tokens" if kind else f"no column {column!r}"
        known = ", ".join(one.removesuffix(":token") for one in header[1:] if one.endswith(":token"))
        raise InputError(
            f"{file}, category_field {field}: {found}; columns of one token an item: {known or 'none'}"
        )
    try:
        values = pd.read_csv(
            file, sep="\t", usecols=[column], dtype="str", na_filter=False, quoting=3, encoding="utf-8",
            skip_blank_lines=False,
        )[column]  # fmt: skip
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: not readable: {one_line(error)}") from None
    if len(values) != count:
        raise InputError(f"{file}: {len(values):,} rows, of which {count:,} name an item")
    known_values = ~values.isin(MISSING_TOKENS)
    if not known_values.any():
        if field is None:
            return None
        raise InputError(f"{file}, column {column}: no item has a value, so nothing can be searched by it")
    codes = np.unique(values[known_values].to_numpy(dtype=str), return_inverse=True)[1]
    categories = np.zeros(count, dtype=np.int64)
    categories[known_values.to_numpy()] = codes + 1
    return categories
