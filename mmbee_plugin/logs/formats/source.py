"""Files of a released log as lazy tables: ids as text, times in milliseconds, bad rows counted and left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from mmbee_plugin.errors import InputError
from mmbee_plugin.logs.checks import EARLIEST, LATEST
from mmbee_plugin.logs.counts import Counts

Spellings = Mapping[str, Sequence[str]]
"""To each column of the schema the names it may have in a file."""

PLACE: Spellings = {
    "user_id": ("user_id",),
    "author_id": ("author_id", "streamer_id"),
    "room_id": ("live_id", "live_stream_id"),
}
TIMES = ("enter", "exit", "start", "end", "time")
_OUTSIDE = -1
_DATES = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.fZ")


class SourceTable:
    """One table of a released log: `<name>.csv` or `.parquet`, or part files `<name>_part*` or `<name>/*`.

    Args:
        source: the folder with the files.
        name: of the table, or several names that releases give it.

    Attributes:
        files: in the order of their names; empty where there are none.
    """

    def __init__(self, source: Path, *names: str) -> None:
        self.source, self.names = source, names
        self.files: list[Path] = []
        for name in names:
            patterns = [f"{name}.{{}}", f"{name}_part*.{{}}", f"{name}/*.{{}}"]
            found = [
                sorted(source.glob(pattern.format(ending)))
                for ending in ("csv", "parquet")
                for pattern in patterns
            ]
            self.files = next((files for files in found if files), self.files)

    def __bool__(self) -> bool:
        return bool(self.files)

    def needed(self) -> SourceTable:
        """Itself; raises InputError where there is no such file."""
        if not self.files:
            raise InputError(f"{self.source}: no file {self.names[0]}.csv or .parquet, nor parts of it")
        return self

    @property
    def where(self) -> str:
        """The file, or the folder and the name of several, to name in an error."""
        return str(self.files[0]) if len(self.files) == 1 else f"{self.source}, files of {self.names[0]}"

    def columns(self, file: Path) -> dict[str, pl.DataType]:
        """The columns of a file with their types; those of a CSV are all text."""
        try:
            if file.suffix == ".parquet":
                return dict(pl.read_parquet_schema(file))
            return dict(pl.scan_csv(file, infer_schema=False).collect_schema())
        except (OSError, pl.exceptions.PolarsError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{file}: not readable ({reason})") from None

    def scan(
        self,
        file: Path,
        *,
        ids: Spellings,
        times: Spellings,
        others: Spellings | None = None,
        optional: Spellings | None = None,
    ) -> pl.LazyFrame:
        """One file: ids as text, times as int64 ms, other columns as they are; null what cannot be read as such.

        Raises InputError naming a column that none of its spellings has.
        """
        found = self.columns(file)
        wanted = {**ids, **times, **(others or {})}
        chosen = {}
        for column, spellings in {**wanted, **(optional or {})}.items():
            name = next((spelling for spelling in spellings if spelling in found), None)
            if name is None and column in wanted:
                raise InputError(
                    f"{file}: no column {' or '.join(spellings)}; found {', '.join(found)[:200]}"
                )
            if name is not None:
                chosen[column] = name
        scan = pl.scan_parquet(file) if file.suffix == ".parquet" else pl.scan_csv(file, infer_schema=False)
        reads = {}
        for column, name in chosen.items():
            if column in ids:
                reads[column] = _as_id(pl.col(name), found[name])
            elif column in times:
                reads[column] = _as_time(scan, name, found[name])
            else:
                reads[column] = pl.col(name)
        return scan.select(**reads)


def sound(
    frame: pl.LazyFrame, reasons: Mapping[str, pl.Expr], what: str, counts: Counts, *, where: object
) -> pl.LazyFrame:
    """The rows without a fault; the others are counted by their first reason, and left out.

    Args:
        frame: the rows.
        reasons: why a row is left out, to whether it is.
        what: the rows are, e.g. "gifts".
        where: the file or folder to name in an error.

    Raises InputError for a file that cannot be read to its end, or naming the first row whose time is in another unit.
    """
    times = [name for name in TIMES if name in frame.collect_schema()]
    outside = pl.any_horizontal(
        pl.lit(False), *(~pl.col(time).is_between(EARLIEST, LATEST) for time in times)
    )
    number = pl.lit(None, dtype=pl.Int8)
    for at, test in reversed([*enumerate(reasons.values()), (_OUTSIDE, outside)]):
        number = pl.when(test.fill_null(False)).then(pl.lit(at, dtype=pl.Int8)).otherwise(number)
    try:
        found = dict(frame.group_by(number.alias("reason")).len().collect(engine="streaming").iter_rows())
        bad = (
            frame.select(times).with_row_index("row").filter(outside).head(1).collect()
            if _OUTSIDE in found
            else None
        )
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{where}: not readable ({' '.join(str(error).split())[:200]})") from None
    if bad is not None:
        row, *values = bad.row(0)
        shown = ", ".join(f"{time}={value}" for time, value in zip(times, values, strict=True))
        raise InputError(f"{where}, row {row:,}: {shown} is no time in milliseconds from 2000 to 2100")
    counts.add(f"{what} written", found.get(None, 0))
    for at, why in enumerate(reasons):
        if at in found:
            counts.add(f"{what} left out: {why}", found[at])
    return frame.filter(number.is_null())


def missing(*columns: str) -> dict[str, pl.Expr]:
    """Reasons for `sound`: a column that is null."""
    return {f"no {column}": pl.col(column).is_null() for column in columns}


def number(column: str) -> pl.Expr:
    """A column as float64, null what is no number."""
    return pl.col(column).cast(pl.Float64, strict=False)


def _as_id(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """Ids differ in type between files: 12, "12" and 12.0, which pandas makes of a column with gaps, are one."""
    if kind.is_float():
        column = column.cast(pl.Int64, strict=False)
    text = column.cast(pl.String).str.strip_chars().str.strip_suffix(".0")
    return pl.when(text != "").then(text)


def _as_time(scan: pl.LazyFrame, name: str, kind: pl.DataType) -> pl.Expr:
    """Milliseconds, whole or not, or dates with a time, which are in UTC; of a text column the first value decides."""
    column = pl.col(name)
    if isinstance(kind, pl.Datetime):
        return column.dt.epoch("ms")
    if kind.is_numeric():
        return column.cast(pl.Int64, strict=False)
    text = column.cast(pl.String)
    numbers = (
        text.cast(pl.Int64, strict=False),
        text.cast(pl.Float64, strict=False).cast(pl.Int64, strict=False),
    )
    first = scan.select(column).drop_nulls().head(1).select(pl.coalesce(numbers)).collect()
    if first[name].null_count():
        forms = (text.str.to_datetime(form, time_unit="ms", strict=False) for form in _DATES)
        return pl.coalesce(form.dt.epoch("ms") for form in forms)
    return pl.coalesce(numbers)
