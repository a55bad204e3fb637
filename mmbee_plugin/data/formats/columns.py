"""Reads checked columns of numbers from text tables, and converts times to seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mmbee_plugin.data.recbole_files import MILLISECONDS
from mmbee_plugin.errors import InputError, one_line

IDS = 2**31
"""upper bound of ids, excluded"""
UNITS = (1e3, 1e6, 1e9)
"""milliseconds, microseconds and nanoseconds per second"""


def read_numbers(
    path: Path,
    separator: str,
    header: Sequence[str],
    wanted: Mapping[str, int | None],
    *,
    titled: bool = True,
) -> dict[str, np.ndarray]:
    """Reads columns, (n,) float64 each, of a table.

    Args:
        header: names of the columns.
        wanted: column name to the excluded upper bound of its whole numbers from 0; None allows any finite number.
        titled: whether the first line is the header.

    Raises:
        InputError: an unreadable table, or a bad value; names file, line, column and value.
    """
    try:
        frame = pd.read_csv(
            path,
            sep=separator,
            header=0 if titled else None,
            names=list(header),
            dtype=str,
            na_filter=False,
            quoting=3,
            skip_blank_lines=False,
            encoding="utf-8",
        )
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({one_line(error)})") from None
    except (ValueError, OverflowError) as error:
        raise InputError(f"{path}: not a readable table: {one_line(error)}") from None
    if not isinstance(frame.index, pd.RangeIndex):
        raise InputError(f"{path}, line {1 + titled}: more than {len(header)} columns")
    columns = {}
    for name, limit in wanted.items():
        values = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=np.float64)
        if limit is None:
            good, need = np.isfinite(values), "a finite number"
        else:
            good = (values >= 0) & (values < limit) & (values == np.floor(values))
            need = (
                "a whole number from 0"
                if limit == IDS
                else f"{', '.join(map(str, range(limit - 1)))} or {limit - 1}"
            )
        if not good.all():
            row = int(np.argmin(good))
            value = str(frame[name].iloc[row])[:80]
            raise InputError(f"{path}, line {row + 1 + titled}, column {name}: {value!r}; {need} is needed")
        columns[name] = values
    return columns


def in_seconds(times: np.ndarray, path: Path) -> np.ndarray:
    """Converts times since the epoch, (n,), from seconds, milliseconds, microseconds or nanoseconds to seconds.

    Raises InputError if the file seems to mix two units.
    """
    if not times.size or times.max() < MILLISECONDS:
        return times
    unit = max(unit for unit in UNITS if times.max() >= MILLISECONDS * unit / UNITS[0])
    if times.min() < MILLISECONDS * unit / UNITS[0]:
        row = int(times.argmin())
        raise InputError(
            f"{path}, line {row + 2}: time {times[row]:.0f} beside {times.max():.0f}; one unit is needed"
        )
    return times / unit
