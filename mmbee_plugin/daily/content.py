"""Hash of what a log holds up to a day, so that later days may be added to it."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

import polars as pl

from mmbee_plugin.daily.stages import digest
from mmbee_plugin.files import write_json
from mmbee_plugin.logs.folder import LogFolder

FIRST = {"visits": "enter", "gifts": "time", "feedback": "time", "segments": "start"}
"""tables whose rows have a time -> the column of it; a file of one that begins after the day is not read"""


def content_until(log: LogFolder, end: int, cache: Path) -> str:
    """Hash of the description and of every file of the tables, except files in which all rows are later.

    Args:
        end: ms, excluded.
        cache: JSON file that keeps the hash and first time of each file, with size, inode and times; replaced.
    """
    kept: dict[str, list] = {}
    with suppress(OSError, ValueError, AttributeError):
        kept = dict(json.loads(cache.read_text(encoding="utf-8")).items())
    info = log.info
    described = [info.name, info.kind, info.source, info.version, info.utc_offset, info.notes, info.frames]
    known: dict[str, list] = {}
    content: list[object] = [described]
    for table in log.tables:
        for file in log.files(table):
            stat = file.stat()
            stamp = [stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]
            name = str(file.relative_to(log.path))
            found = kept.get(name)
            if not isinstance(found, list) or found[:-2] != stamp:
                with file.open("rb") as stream:
                    found = [*stamp, hashlib.file_digest(stream, "sha256").hexdigest(), _first(file, table)]
            known[name] = found
            if found[-1] is None or found[-1] < end:
                content.append([table, found[-2]])
    if known != kept:
        write_json(cache, known)
    return digest(content)


def _first(file: Path, table: str) -> int | None:
    """The earliest time of a file, ms; None for tables without and for an empty file."""
    if table not in FIRST:
        return None
    return pl.scan_parquet(file, glob=False).select(pl.col(FIRST[table]).min()).collect().item()
