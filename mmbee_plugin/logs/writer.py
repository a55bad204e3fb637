"""Writes a log folder beside its destination, then renames it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import polars as pl

from mmbee_plugin.errors import InputError
from mmbee_plugin.files import published
from mmbee_plugin.logs.schema import TABLES, check_columns

INFO_FILE = "logs.json"


@dataclass
class LogInfo:
    """Content of `logs.json`.

    Args:
        name: of the log.
        kind: "real", "sample" or "simulated"; printed with every result.
        source: origin of the log, one line.
        version: of the release or the simulator.
        notes: caveats for readers of results, one sentence each.
        utc_offset: hours by which the local clock is ahead of UTC; days begin at local midnight.
        frames: frames per segment of each modality with several.
        days: first and last day with a visit, as YYYY-MM-DD; filled in by the writer.
    """

    name: str
    kind: str
    source: str
    version: str = ""
    notes: list[str] = field(default_factory=list)
    utc_offset: float = 0.0
    frames: dict[str, int] = field(default_factory=dict)
    days: list[str] = field(default_factory=list)


class LogWriter:
    """Writes the tables of one log; made by `writing`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._parts = dict.fromkeys(TABLES, 0)

    def add(self, name: str, frame: pl.DataFrame | pl.LazyFrame) -> None:
        """Writes the next part of table `name`; a lazy frame is streamed.

        Raises InputError if the columns break the schema.
        """
        lazy = frame.lazy()
        check_columns(name, lazy.collect_schema(), f"table {name}")
        path = self.folder / name / f"part-{self._parts[name]:05}.parquet"
        path.parent.mkdir(exist_ok=True)
        lazy.sink_parquet(path, maintain_order=False)
        self._parts[name] += 1

    def check_rows(self, source: object) -> None:
        """Raises InputError, naming `source`, if a required table has no rows."""
        for name, table in TABLES.items():
            if table.required and not self._rows(name):
                raise InputError(f"{source}: no {name} in it; a log without any is of no use")

    def _rows(self, name: str) -> int:
        parts = sorted((self.folder / name).glob("*.parquet"))
        return pl.scan_parquet(parts).select(pl.len()).collect().item() if parts else 0


@contextmanager
def writing(folder: Path, info: LogInfo, *, force: bool = False) -> Iterator[LogWriter]:
    """Yields a writer of the log folder `folder`, which appears when the block ends without an error.

        with writing(folder, LogInfo("tiny", "sample", "made by hand")) as log:
            log.add("visits", visits)
            log.add("gifts", gifts)

    Raises InputError for a missing required table, or a destination that `check_replaceable` refuses.
    """
    check_replaceable(folder, force)
    with published(folder) as beside:
        log = LogWriter(beside)
        yield log
        for name, table in TABLES.items():
            if table.required and not (beside / name).exists():
                raise InputError(f"{folder}: a log needs the table {name}")
        info.days = _days(beside, info.utc_offset)
        (beside / INFO_FILE).write_text(json.dumps(asdict(info), indent=2) + "\n", encoding="utf-8")


def check_replaceable(folder: Path, force: bool) -> None:
    """Raises InputError unless `folder` is missing, empty, a sample's log or, with `force`, another log."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    file = folder / INFO_FILE
    if not file.is_file():
        raise InputError(f"{folder}: exists and is no log folder; it is left alone, with --force too")
    try:
        kind = json.loads(file.read_bytes()).get("kind")
    except (OSError, ValueError, AttributeError):
        kind = None
    if kind != "sample" and not force:
        raise InputError(f"{folder}: holds a log that is not a generated sample; --force replaces it")


def _days(folder: Path, utc_offset: float) -> list[str]:
    """First and last day with a visit, by the local clock."""
    enter = pl.scan_parquet(folder / "visits" / "*.parquet").select(
        pl.col("enter").min().alias("first"), pl.col("enter").max().alias("last")
    )
    clock = (pl.all() + round(utc_offset * 3_600_000)).cast(pl.Datetime("ms")).dt.strftime("%Y-%m-%d")
    return [day for day in enter.select(clock).collect().row(0) if day is not None]
