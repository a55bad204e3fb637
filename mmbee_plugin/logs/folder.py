"""Opens a log folder: tables as lazy scans, checked against the schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

import polars as pl

from mmbee_plugin.data.jsons import read_object
from mmbee_plugin.errors import InputError, one_line
from mmbee_plugin.logs.schema import TABLES, check_columns, modalities
from mmbee_plugin.logs.writer import INFO_FILE, LogInfo

PLANTED = "planted"
"""subfolder with the planted truth of a simulated log, and of a dataset made of it; no table of the log"""


class Tables(Protocol):
    """Tables that rows of samples are made of: those of a log folder, or all that they have of some of its rooms.

    Attributes:
        path: of the log, for messages.
        tables: names of the tables present in the log.
    """

    path: Path
    tables: tuple[str, ...]

    def scan(self, name: str) -> pl.LazyFrame:
        """A table as a lazy scan; a missing table is empty, with the schema's columns."""


class Modality(NamedTuple):
    """Shape of a modality: `frames` vectors of `width` per segment."""

    frames: int
    width: int


class LogFolder:
    """A log folder; its tables may be larger than memory.

    Args:
        path: the folder.

    Attributes:
        info: content of `logs.json`.
        tables: names of the tables present.
        absent: names of the schema's tables that are missing, except the planted `truth`.

    Raises:
        InputError: no such folder, a bad `logs.json`, a missing required table, an unreadable file, or columns that
            break the schema.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise InputError(f"{self.path}: no such log folder")
        self.info = _read_info(self.path / INFO_FILE)
        self.tables = tuple(name for name in TABLES if self.files(name))
        self.absent = tuple(name for name in TABLES if name not in self.tables and name != "truth")
        for name, table in TABLES.items():
            if table.required and name not in self.tables:
                raise InputError(f"{self.path}: no table {name}, neither {name}.parquet nor {name}/*.parquet")
        self._schemas = {name: self._check(name) for name in self.tables}

    def files(self, name: str) -> list[Path]:
        """Files of a table, in order of its rows; [] for a missing table."""
        single = self.path / f"{name}.parquet"
        return [single] if single.is_file() else sorted((self.path / name).glob("*.parquet"))

    def scan(self, name: str) -> pl.LazyFrame:
        """A table as a lazy scan; a missing table is empty, with the schema's columns."""
        if name not in self.tables:
            return pl.LazyFrame(schema=dict(TABLES[name].columns))
        return pl.scan_parquet(self.files(name), glob=False)

    def columns(self, name: str) -> Mapping[str, pl.DataType]:
        """Columns of a table with their types; of a missing table, those of the schema."""
        return self._schemas.get(name, TABLES[name].columns)

    @cached_property
    def modalities(self) -> dict[str, Modality]:
        """Modalities of the segments, without those that all segments lack.

        Raises InputError if a width is no multiple of the frames in `logs.json`.
        """
        found = {}
        for name in modalities(self.columns("segments")):
            kind = self.columns("segments")[name]
            if isinstance(kind, pl.Array):
                size = kind.size
            else:
                first = self.scan("segments").select(pl.col(name).drop_nulls().list.len()).head(1).collect()
                size = first.item() if len(first) else 0
            frames = self.info.frames.get(name, 1)
            if frames < 1 or size % frames:
                raise InputError(
                    f"{self.path}: {name} has {size} values a segment, which is not {frames} frames of one width"
                )
            if size:
                found[name] = Modality(frames, size // frames)
        return found

    def provenance(self) -> str:
        """One line that identifies the log."""
        kind = {"sample": "SAMPLE, not real data", "simulated": "SIMULATED"}.get(
            self.info.kind, self.info.kind
        )
        days = " to ".join(dict.fromkeys(self.info.days)) or "unknown days"
        version = f", {self.info.version}" if self.info.version else ""
        return f"{self.info.name} ({kind}{version}): {days}; source: {self.info.source}"

    def _check(self, name: str) -> Mapping[str, pl.DataType]:
        schemas: list[Mapping[str, pl.DataType]] = []
        for file in self.files(name):
            try:
                schema = pl.read_parquet_schema(file)
            except (OSError, pl.exceptions.PolarsError) as error:
                reason = one_line(error)
                raise InputError(f"{file}: not readable as Parquet ({reason})") from None
            check_columns(name, schema, file)
            if schemas and schema != schemas[0]:
                raise InputError(f"{file}: its columns are not those of {self.files(name)[0].name}")
            schemas.append(schema)
        return schemas[0]


def _read_info(file: Path) -> LogInfo:
    known = {field.name for field in fields(LogInfo)}
    needed = f"an object with name, kind, source and at most {', '.join(sorted(known))}"
    value = read_object(file, needed)
    if not {"name", "kind", "source"} <= set(value) <= known:
        raise InputError(f"{file}: {needed} is needed")
    info = LogInfo(**value)
    if info.kind not in ("real", "sample", "simulated"):
        raise InputError(f"{file}, kind: {info.kind!r}; one of real, sample, simulated is needed")
    if not isinstance(info.utc_offset, (int, float)) or not -24 <= info.utc_offset <= 24:
        raise InputError(f"{file}, utc_offset: {info.utc_offset!r}; hours from -24 to 24 are needed")
    if not isinstance(info.frames, dict) or not all(type(count) is int for count in info.frames.values()):
        raise InputError(f"{file}, frames: {info.frames!r}; modality names with whole numbers are needed")
    return info
