"""Reads files of a released log as lazy tables: ids as text, times in milliseconds, bad rows counted and dropped."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import polars as pl

from mmbee_plugin.errors import InputError, one_line
from mmbee_plugin.logs.counts import Counts
from mmbee_plugin.logs.formats.times import ALL_FORMS, as_time, days_agree, forms_of, in_range, without_zone

Spellings = Mapping[str, Sequence[str]]
"""column of the schema to its possible names in a file"""

PLACE: Spellings = {
    "user_id": ("user_id",),
    "author_id": ("author_id", "streamer_id"),
    "room_id": ("live_id", "live_stream_id"),
}
DAY_COLUMN = "p_date"
AGREE = 0.9
"""least share of rows whose day must match their time; below it the zone is assumed wrong"""
ENDINGS = (".csv", ".csv.gz", ".parquet")
TIMES = ("enter", "exit", "start", "end", "time")
_UNREADABLE = " is neither a time of 2000 to 2100 nor a date with one"
"""suffix of the flag column that `scan` adds per time; the name is the reason for leaving rows out"""


class SourceFolder:
    """The folder of a released log, with files at any depth.

    Args:
        path: the folder.
        zone: hours ahead of UTC of dates without a zone; None: not given, UTC is assumed.
    """

    def __init__(self, path: Path, zone: float | None = None) -> None:
        self.path, self.zone = path, zone

    @cached_property
    def files(self) -> list[Path]:
        """All files without hidden ones: those below a folder `live` first, then by depth, then by name."""
        found = []
        for path in sorted(self.path.rglob("*")):
            parts = path.relative_to(self.path).parts
            hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
            if path.is_file() and not hidden:
                live = "live" in (part.lower() for part in parts[:-1])
                found.append((not live, len(parts), path))
        return [path for *_, path in sorted(found)]

    def table(self, *names: str) -> SourceTable:
        """The table with one of these names."""
        return SourceTable(self, names)

    def file(self, *names: str) -> Path | None:
        """The file with one of these names (lower case; files may be in any case), or None."""
        for name in names:
            for path in self.files:
                if path.name.lower() == name:
                    return path
        return None


class SourceTable:
    """One table of a released log: `<name>` with an ending of `ENDINGS`, or parts: `<name>_part*`, `<name>_YYYY-MM`,
    `<name>/*`.

    Case is ignored. Of several places the first in the order of `SourceFolder.files` counts.

    Args:
        source: the folder with the files.
        names: possible names of the table, as releases differ.

    Attributes:
        files: files of the table by name; [] if it is missing.
        others: further files of the table, which are not read.
    """

    def __init__(self, source: SourceFolder, names: Sequence[str]) -> None:
        self.source, self.names = source, names
        self.files: list[Path] = []
        self.others: list[Path] = []
        for name in names:
            for group in self._files(name):
                if self.files:
                    self.others += group
                else:
                    self.files = group

    def __bool__(self) -> bool:
        return bool(self.files)

    def _files(self, name: str) -> list[list[Path]]:
        """Candidate file groups of the table, by place, then ending, then form: a single file, parts, a folder."""
        groups: dict[tuple[int, int, int], list[Path]] = {}
        places: list[Path] = []
        part = re.compile(rf"{re.escape(name)}(_part.*|_\d{{4}}-\d{{2}})?", re.IGNORECASE)
        for path in self.source.files:
            ending = next((end for end in ENDINGS if path.name.lower().endswith(end)), None)
            if ending is None:
                continue
            named = part.fullmatch(path.name[: -len(ending)])
            inside = path.parent != self.source.path and path.parent.name.lower() == name
            if named or inside:
                form = 2 if inside else 1 if named and named[1] else 0
                place = path.parent.parent if inside else path.parent
                if place not in places:
                    places.append(place)
                groups.setdefault((places.index(place), ENDINGS.index(ending), form), []).append(path)
        found = []
        for key in sorted(groups):
            files = sorted(groups[key])
            found += [files] if key[-1] else [[file] for file in files]
        return found

    def needed(self) -> SourceTable:
        """The table itself; raises InputError if it has no file."""
        if not self.files:
            names = " or ".join(self.names)
            there = sorted(str(path.relative_to(self.source.path)) for path in self.source.files)
            found = f"found {', '.join(there)[:300]}" if there else "it has no files"
            raise InputError(
                f"{self.source.path}: no file {names}.csv, .csv.gz or .parquet, nor parts of it, in the folder or in "
                f"one of its folders; {found}"
            )
        return self

    def described(self) -> str:
        """Files of the table, relative to the folder, in one line."""
        if not self.files:
            return f"not found: {' or '.join(self.names)}"
        read, other = (_listed(files, self.source.path) for files in (self.files, self.others))
        return f"{self.names[0]}: {read}" + (f"; not read: {other}" if other else "")

    def scan(
        self,
        file: Path,
        *,
        ids: Spellings,
        times: Spellings,
        others: Spellings | None = None,
        optional: Spellings | None = None,
    ) -> pl.LazyFrame:
        """Scans one file: ids as text, times as int64 ms, other columns unchanged; null if missing or unreadable.

        Adds one flag column per time that marks unreadable values, as opposed to missing ones; `sound` removes it.

        Args:
            file: a file of the table.
            ids, times, others: required columns.
            optional: columns that the file may lack; those named in `TIMES` are times.

        Raises:
            InputError: an unreadable file, or a required column under none of its names.
        """
        found = columns_of(file)
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
        texts = [name for column, name in chosen.items() if column in TIMES and found[name] == pl.String]
        try:
            forms = forms_of(opened(file), texts)
        except pl.exceptions.PolarsError as error:
            raise InputError(f"{file}: not readable ({one_line(error)})") from None
        reads = {}
        for column, name in chosen.items():
            if column in ids:
                reads[column] = _as_id(pl.col(name), found[name])
            elif column in TIMES:
                time = as_time(pl.col(name), found[name], self.source.zone or 0.0, forms.get(name, ALL_FORMS))
                reads |= {column: time.value, column + _UNREADABLE: time.there}
            else:
                reads[column] = pl.col(name)
        # A separate step, because each value is used twice.
        frame = opened(file).select(**reads)
        for column in [column for column in reads if column in TIMES]:
            value, there = pl.col(column), pl.col(column + _UNREADABLE)
            frame = frame.with_columns(pl.when(in_range(value)).then(value), there & ~in_range(value))
        return frame

    def check_days(
        self, file: Path, first: Sequence[str], last: Sequence[str], ahead: int, counts: Counts
    ) -> None:
        """Compares the column `p_date`, if there is one, with the days of the file's times; adds a remark to `counts`.

        Args:
            first, last: names of the columns of times between which a row's day lies.
            ahead: hours ahead of UTC of the days' clock.

        Raises:
            InputError: fewer than `AGREE` match, the times are dates without a zone, no zone was given, and another one
                fits better.
        """
        found = columns_of(file)
        if DAY_COLUMN not in found:
            return
        frame = self.scan(file, ids={}, times={"start": first, "end": last}, others={"day": (DAY_COLUMN,)})
        agree = days_agree(frame.select("day", first="start", last="end"))
        best = max(agree, key=lambda hours: (agree[hours], -abs(hours - ahead)))
        line = f"{file.name}: {DAY_COLUMN} is the day at UTC{ahead:+d} of {agree[ahead]:.1%} of the rows"
        if agree[ahead] >= AGREE or agree[best] <= agree[ahead]:
            counts.say(line)
            return
        name = next(spelling for spelling in first if spelling in found)
        values = opened(file).select(name).drop_nulls().head(1).collect().to_series()
        zone = (self.source.zone or 0) + ahead - best
        if without_zone(values) and self.source.zone is None:
            raise InputError(
                f"{file.parent}, {line}, as dates without a zone are taken for UTC; --zone={zone:g} would make it "
                f"{agree[best]:.1%}"
            )
        counts.say(f"warning: {line}; of {agree[best]:.1%} it is that at UTC{best:+d}")


def _listed(files: Sequence[Path], folder: Path) -> str:
    shown = ", ".join(str(file.relative_to(folder)) for file in files[:3])
    return shown + (f" and {len(files) - 3:,} more" if len(files) > 3 else "")


def opened(file: Path) -> pl.LazyFrame:
    """A lazy scan of a file; columns of a CSV are text."""
    return (
        pl.scan_parquet(file) if file.suffix.lower() == ".parquet" else pl.scan_csv(file, infer_schema=False)
    )


def columns_of(file: Path) -> dict[str, pl.DataType]:
    """Columns of a file with their types. Raises InputError if it is unreadable."""
    try:
        return dict(opened(file).collect_schema())
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = one_line(error)
        raise InputError(f"{file}: not readable ({reason})") from None


def sound(
    frame: pl.LazyFrame, reasons: Mapping[str, pl.Expr], what: str, counts: Counts, *, file: Path
) -> pl.LazyFrame:
    """Rows without a fault; the others are counted by their first reason and left out.

    Args:
        frame: rows of `file` in its order.
        reasons: reason to the expression that detects it; unreadable times are always reasons and come first.
        what: name of the rows in counts, such as "gifts".
        file: named in errors.

    Raises:
        InputError: a file that cannot be read to its end.
    """
    unreadable = [name for name in frame.collect_schema() if name.endswith(_UNREADABLE)]
    tests = {name: pl.col(name) for name in unreadable} | dict(reasons)
    number = pl.lit(None, dtype=pl.Int8)
    for at, test in reversed([*enumerate(tests.values())]):
        number = pl.when(test.fill_null(False)).then(pl.lit(at, dtype=pl.Int8)).otherwise(number)
    first = pl.col("row of the file").min()
    rows = frame.with_row_index("row of the file").group_by(number.alias("reason")).agg(pl.len(), first)
    try:
        found = {reason: (count, row) for reason, count, row in rows.collect(engine="streaming").iter_rows()}
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{file}: not readable ({one_line(error)})") from None
    counts.read(what, sum(count for count, _ in found.values()))
    counts.add(f"{what} written", found.get(None, (0, 0))[0])
    for at, why in enumerate(tests):
        if at in found:
            count, row = found[at]
            counts.drop(what, why, count, lambda row=row: _shown(file, row))  # type: ignore[misc]
    return frame.filter(number.is_null()).drop(unreadable)


def missing(*columns: str) -> dict[str, pl.Expr]:
    """Reasons for `sound`: null in one of the columns."""
    return {f"no {column}": pl.col(column).is_null() for column in columns}


def number(column: str) -> pl.Expr:
    """A column as float64, null for other than numbers."""
    return pl.col(column).cast(pl.Float64, strict=False)


def _shown(file: Path, row: int) -> str:
    """File, number and unconverted values of a row."""
    plain = [name for name, kind in columns_of(file).items() if not kind.is_nested()]
    values = opened(file).select(plain).slice(row, 1).collect().row(0)
    shown = ", ".join(f"{name}={value}" for name, value in zip(plain, values, strict=True))
    return f"{file}, row {row:,}: {shown[:300]}"


def _as_id(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """Ids as text, equal for 12, "12" and 12.0 (pandas' form in columns with gaps); null if empty."""
    if kind.is_float():
        column = column.cast(pl.Int64, strict=False)
    text = column.cast(pl.String).str.strip_chars().str.strip_suffix(".0")
    return pl.when(text != "").then(text)
