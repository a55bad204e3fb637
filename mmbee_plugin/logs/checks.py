"""Checks the tables of a log for impossible values; errors name the first one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from mmbee_plugin.errors import InputError
from mmbee_plugin.logs.each import Each, in_turn
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.schema import TABLES

# Milliseconds; times outside are in another unit.
EARLIEST, LATEST = 946_684_800_000, 4_102_444_800_000  # 2000 and 2100
_ORDER = {"visits": ("enter", "exit"), "segments": ("start", "end"), "rooms": ("start", "end")}


def check_tables(log: LogFolder, names: Sequence[str] | None = None, each: Each = in_turn) -> None:
    """Checks every row of some tables, by default of all, streaming.

    Args:
        log: the log.
        names: the tables to check.
        each: runs a task for each of their files.

    Raises:
        InputError: a null or empty id, a null time, a time in another unit than milliseconds, an exit before its enter
            (an end before its start), an amount not finite and above 0, a probability outside 0 to 1, an empty table
            that is required. Names the table, the row (from 0 over all files of the table) and the value.
    """
    chosen = log.tables if names is None else names
    files = [(name, file) for name in chosen for file in log.files(name)]
    kinds = {name: log.columns(name) for name in chosen}

    def rows_if_sound(number: int) -> int:
        name, file = files[number]
        bad = pl.any_horizontal(_conditions(name, kinds[name]).values()).any()
        found = (
            pl.scan_parquet(file, glob=False).select(pl.len(), bad.alias("bad")).collect(engine="streaming")
        )
        rows, any_bad = found.row(0)
        return 0 if any_bad else rows

    if all(each(len(files), rows_if_sound)):
        return
    for name in chosen:
        wrong = _conditions(name, kinds[name])
        counted = log.scan(name).select(
            pl.len().alias("rows"), *(test.sum().alias(why) for why, test in wrong.items())
        )
        counts = counted.collect(engine="streaming").row(0, named=True)
        if TABLES[name].required and not counts.pop("rows"):
            raise InputError(f"{log.path}: table {name} has no rows")
        for why, test in wrong.items():
            if counts[why]:
                raise _first(log, name, test, why, counts[why])


def _conditions(name: str, found: Mapping[str, pl.DataType]) -> dict[str, pl.Expr]:
    """Faults of a row of a table with these columns, to the expressions that detect them."""
    table = TABLES[name]
    wrong = {}
    for column in table.ids:
        wrong[f"{column} is empty; an id is needed"] = pl.col(column).is_null() | (pl.col(column) == "")
    times = [column for column, kind in found.items() if kind == pl.Int64 and column in _times(name)]
    for column in times:
        if column in table.times:
            wrong[f"{column} is null; a time is needed"] = pl.col(column).is_null()
        outside = ~pl.col(column).is_between(EARLIEST, LATEST)
        wrong[f"{column} is outside the years 2000 to 2100; milliseconds since 1970 are needed"] = outside
    if name in _ORDER:
        first, last = _ORDER[name]
        wrong[f"{last} is before {first}"] = pl.col(last) < pl.col(first)
    if name == "gifts":
        amount = pl.col("amount")
        good = (amount > 0) & amount.is_finite()
        wrong["amount is no finite number above 0"] = ~good.fill_null(False)
    if name == "truth":
        wrong["p is no probability"] = ~pl.col("p").is_between(0, 1).fill_null(False)
    return {why: test.fill_null(False) for why, test in wrong.items()}


def _times(name: str) -> tuple[str, ...]:
    return (*TABLES[name].times, *_ORDER.get(name, ()), *(TABLES[name].optional or ()))


def _first(log: LogFolder, name: str, test: pl.Expr, why: str, count: int) -> InputError:
    columns = [column for column in log.columns(name) if column in TABLES[name].columns]
    bad = log.scan(name).select(columns).with_row_index("row").filter(test).head(1).collect()
    row, *values = bad.row(0)
    shown = ", ".join(f"{column}={value!r}" for column, value in zip(columns, values, strict=True))
    others = f" ({count:,} such rows)" if count > 1 else ""
    return InputError(f"{log.path}, {name}, row {row:,}: {why}{others}; found {shown[:300]}")
