"""Files of a released log as lazy tables: ids as text, times in milliseconds, bad rows counted and left out."""

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
"""To each column of the schema the names it may have in a file."""

PLACE: Spellings = {
    "user_id": ("user_id",),
    "author_id": ("author_id", "streamer_id"),
    "room_id": ("live_id", "live_stream_id"),
}
DAY_COLUMN = "p_date"
AGREE = 0.9
"""Share of the rows whose day must be that of their time; below it the zone is taken to be wrong."""
ENDINGS = (".csv", ".csv.gz", ".parquet")
TIMES = ("enter", "exit", "start", "end", "time")
_UNREADABLE = " is neither a time of 2000 to 2100 nor a date with one"
"""Ends the names of the columns that `scan` adds, one a time, and is the reason that rows are left out for."""


class SourceFolder:
    """The folder of a released log; its files may be in folders of it, at any depth.

    Args:
        path: the folder.
        zone: hours ahead of UTC of dates without a zone; None for UTC, where nobody said.
    """

    def __init__(self, path: Path, zone: float | None = None) -> None:
        self.path, self.zone = path, zone

    @cached_property
    def files(self) -> list[Path]:
        """All files in order: those of a folder `live` before those of the folder itself, then the less deep."""
        found = []
        for path in sorted(self.path.rglob("*")):
            parts = path.relative_to(self.path).parts
            hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
            if path.is_file() and not hidden:
                live = "live" in (part.lower() for part in parts[:-1])
                found.append((not live, len(parts), path))
        return [path for *_, path in sorted(found)]

    def table(self, *names: str) -> SourceTable:
        """The table of one of these names."""
        return SourceTable(self, names)

    def file(self, *names: str) -> Path | None:
        """The file of one of these names, upper or lower case; None where there is none."""
        for name in names:
            for path in self.files:
                if path.name.lower() == name:
                    return path
        return None


class SourceTable:
    """One table of a released log: `<name>.csv`, `.csv.gz` or `.parquet`, or parts `<name>_part*` or `<name>/*`.

    Upper and lower case are one. Of several places the first in the order of `SourceFolder.files` counts.

    Args:
        source: the folder with the files.
        names: of the table; several where releases call it differently.

    Attributes:
        files: in the order of their names; empty where there are none.
        others: files of the same table that are not read.
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
        """The files that could be the table, those that count first: by place; then one file, parts, a folder."""
        groups: dict[tuple[int, int, int], list[Path]] = {}
        places: list[Path] = []
        part = re.compile(rf"{re.escape(name)}(_part.*)?", re.IGNORECASE)
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
        """Itself; raises InputError where there is no such file."""
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
        """Where the table was found, relative to the folder; one line."""
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
        """One file: ids as text, times as int64 ms, other columns as they are; null what cannot be read as such.

        A column a time says besides where it is unreadable rather than missing; `sound` takes it away again.

        Args:
            optional: columns that the file may lack; those with the name of a time are times.

        Raises InputError naming a column that none of its spellings has.
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
        # Values in a step of their own, as they are looked at twice.
        frame = opened(file).select(**reads)
        for column in [column for column in reads if column in TIMES]:
            value, there = pl.col(column), pl.col(column + _UNREADABLE)
            frame = frame.with_columns(pl.when(in_range(value)).then(value), there & ~in_range(value))
        return frame

    def check_days(
        self, file: Path, first: Sequence[str], last: Sequence[str], ahead: int, counts: Counts
    ) -> None:
        """Compares `p_date`, where the file has it, with the days of its times, and says how many agree.

        Args:
            first, last: spellings of the times that a row's day lies between.
            ahead: hours ahead of UTC of the clock that the days are of.

        Raises InputError where most dates disagree, and would not if dates without a zone were of another one.
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
    """A file as it is, columns of a CSV as text."""
    return (
        pl.scan_parquet(file) if file.suffix.lower() == ".parquet" else pl.scan_csv(file, infer_schema=False)
    )


def columns_of(file: Path) -> dict[str, pl.DataType]:
    """The columns of a file with their types. Raises InputError for one that is not readable."""
    try:
        return dict(opened(file).collect_schema())
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = one_line(error)
        raise InputError(f"{file}: not readable ({reason})") from None


def sound(
    frame: pl.LazyFrame, reasons: Mapping[str, pl.Expr], what: str, counts: Counts, *, file: Path
) -> pl.LazyFrame:
    """The rows without a fault; the others are counted by their first reason, and left out.

    Args:
        frame: the rows, one a row of `file` and in its order.
        reasons: why a row is left out, to whether it is; a time that is not readable is always one, and comes first.
        what: the rows are, e.g. "gifts".
        file: to name in an error.

    Raises InputError for a file that cannot be read to its end.
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
    """Reasons for `sound`: a column that is null."""
    return {f"no {column}": pl.col(column).is_null() for column in columns}


def number(column: str) -> pl.Expr:
    """A column as float64, null what is no number."""
    return pl.col(column).cast(pl.Float64, strict=False)


def _shown(file: Path, row: int) -> str:
    """A row as the file has it."""
    plain = [name for name, kind in columns_of(file).items() if not kind.is_nested()]
    values = opened(file).select(plain).slice(row, 1).collect().row(0)
    shown = ", ".join(f"{name}={value}" for name, value in zip(plain, values, strict=True))
    return f"{file}, row {row:,}: {shown[:300]}"


def _as_id(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """Ids differ in type between files: 12, "12" and 12.0, which pandas makes of a column with gaps, are one."""
    if kind.is_float():
        column = column.cast(pl.Int64, strict=False)
    text = column.cast(pl.String).str.strip_chars().str.strip_suffix(".0")
    return pl.when(text != "").then(text)
