"""Follows a folder of Parquet parts with live segments, and puts them on the board.

Parts have the columns of the table `segments` of logs: ``author_id``, ``start`` and ``end`` in milliseconds since 1970,
and a list of float32 for each modality that the model reads, its frames concatenated. A part must be complete when it
gets its name: written under one that starts with a dot or does not end in ``.parquet``, and renamed. It is read once. A
process that begins reads those whose authors may still be on the air; what another has read before are duplicates.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mmbee_plugin.errors import InputError, one_line
from mmbee_plugin.serving.board.journal import NotKept
from mmbee_plugin.serving.board.segment import Segment
from mmbee_plugin.serving.bundle.source import LiveContent
from mmbee_plugin.serving.intake.segments import segment_of, take
from mmbee_plugin.serving.swap.follower import Follower

POLL = 1.0
"""seconds between looks at the folder"""
AT_ONCE = 1024
"""segments taken at once, so that posted ones are not held up"""
COLUMNS = {"author_id": "String", "start": "Int64", "end": "Int64"}
"""besides the modalities -> their types in polars"""
INCOMPLETE = "incomplete"
"""answer to a segment without author, start or end"""
READ, BAD = "read", "bad"

Key = tuple[str, int, int]
"""name, time of the last change in nanoseconds, and size of a part"""


class PartsFollower:
    """Reads new parts in a thread.

    Args:
        folder: of the parts.
        follower: takes the segments.
        count: called with a Counter of what became of a part's segments.
        tell: called with ``read`` or ``bad`` for each part, and one line.
    """

    def __init__(
        self,
        folder: Path,
        follower: Follower,
        count: Callable[[Counter[str]], None],
        tell: Callable[[str, str], None],
    ) -> None:
        self.folder, self.follower, self.count, self.tell = folder, follower, count, tell
        self._known: set[Key] | None = None
        self._waits_for: str | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="parts", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread, after the part that it reads."""
        self._stop.set()
        self._thread.join()

    def look(self) -> None:
        """Reads the parts that are new, the oldest first, while a bundle of live data serves."""
        if (live := self._live()) is None:
            return
        try:
            found = sorted(_parts(self.folder))
        except OSError as error:
            self.tell(BAD, f"{self.folder}: cannot be read ({one_line(error)})")
            return
        if self._known is None:
            oldest = time.time() - live.stays - live.length * live.seconds
            self._known = {key for changed, key in found if changed < oldest}
        self._known &= {key for _, key in found}  # a name that is gone may come again
        for _, key in found:
            if key not in self._known:
                if not self._read(self.folder / key[0], live):
                    return  # it is read again, for the bundle that serves then
                self._known.add(key)

    def _live(self) -> LiveContent | None:
        scorer = self.follower.scorer
        return None if scorer is None else scorer.bundle.live

    def _follow(self) -> None:
        while not self._stop.wait(POLL):
            self.look()

    def _read(self, path: Path, live: LiveContent) -> bool:
        """Reads a part; whether that is done, and not to be tried again."""
        became: Counter[str] = Counter()
        try:
            for segments in _segments(path, live):
                became.update(take(self.follower, segments, live))
        except NotKept as error:
            if str(error) != self._waits_for:
                self._waits_for = str(error)
                self.tell(BAD, f"{path} waits: {error}")
            return False
        except Exception as error:  # a part that polars cannot read must not hold up the others
            line = (
                str(error) if isinstance(error, InputError) else f"{path}: cannot be read ({one_line(error)})"
            )
            self.tell(BAD, line)
        else:
            self.tell(READ, f"{path}: {sum(became.values()):,} segments")
        self.count(became)
        self._waits_for = None
        return (now := self._live()) is not None and now.shapes == live.shapes


def _parts(folder: Path) -> Iterator[tuple[float, Key]]:
    """Time of the last change, in seconds, and key of each part."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".parquet") and not entry.name.startswith(".") and entry.is_file():
                state = entry.stat()
                yield state.st_mtime, (entry.name, state.st_mtime_ns, state.st_size)


def _segments(path: Path, live: LiveContent) -> Iterator[list[tuple[str, Segment | str]]]:
    """A part's authors with their segments, some at once. Raises InputError for missing columns or other types."""
    import polars as pl  # optional, so imported where a folder is followed

    with path.open("rb") as file:
        schema = pl.read_parquet_schema(file)
        for name in (*COLUMNS, *live.modalities):
            if name not in schema:
                raise InputError(f"{path}: no column {name!r}; found {', '.join(schema) or 'none'}")
            found, wanted = schema[name], COLUMNS.get(name, "List(Float32)")
            flat = pl.List(found.inner) if isinstance(found, pl.Array) else found
            if str(flat) != wanted:
                raise InputError(f"{path}, column {name}: type {found}; {wanted} is needed")
        file.seek(0)
        frame = pl.read_parquet(file, columns=[*COLUMNS, *live.modalities])
    for part in frame.iter_slices(AT_ONCE):
        yield [_segment(row, live) for row in part.iter_rows(named=True)]


def _segment(row: dict[str, Any], live: LiveContent) -> tuple[str, Segment | str]:
    author, start, end = row["author_id"], row["start"], row["end"]
    if not author or start is None or end is None:
        return "", INCOMPLETE
    features = {name: row[name] for name in live.modalities if row[name] is not None}
    return author, segment_of(start / 1000, end / 1000, features, live)
