"""File of received segments, from which a restarted encoder has its windows again.

A record is a length and a CRC-32, of 4 bytes each, and msgpack: author, start, end, and the bytes of each modality.
Records are written before their segments are answered, without waiting for the disk: they outlive the process, not the
machine.
A record goes to the end of the last whole one, so the next overwrites what a write that failed has left; reading ends
at the first that is not whole.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from mmbee_plugin.errors import InputError
from mmbee_plugin.files import replaced
from mmbee_plugin.serving.board.segment import Segment
from mmbee_plugin.serving.bundle.source import LiveContent

FORMAT = 2
"""of the records"""
NUMBER = 4
"""bytes of a record's length, and of its CRC-32"""
ENOUGH = 10_000
"""records below which a journal is not written anew"""

Segments = Iterable[tuple[str, Segment]]


class NotKept(InputError):
    """The journal cannot be written, such as on a full disk; the segment was not taken, and may be sent again."""


class Journal:
    """The journal of one writer, who reads what is in it before the first append.

    Args:
        folder: of the file, whose name has a hash of the formats of records and features.
        content: format of the features.

    Attributes:
        path: of the file.
        count: segments in it, as far as it was read.
    """

    def __init__(self, folder: Path, content: LiveContent) -> None:
        formats = hashlib.sha256(repr((FORMAT, content.shapes)).encode()).hexdigest()[:16]
        self.path, self.content = folder / f"segments-{formats}", content
        self.path.touch()
        self._file = self.path.open("r+b", buffering=0)
        self.count = self._end = 0

    def read(self) -> Iterator[tuple[str, Segment]]:
        """The segments in it, up to the first record that is not whole."""
        for size, (author, start, end, values) in _records(self.path.read_bytes()):
            kinds = {name: self.content.modalities[name] for name in values}
            arrays = {
                name: np.frombuffer(values[name], kind.dtype).reshape(kind.frames, kind.width)
                for name, kind in kinds.items()
            }
            self._end += size
            self.count += 1
            yield author, Segment(start, end, arrays)

    def append(self, author: str, segment: Segment) -> None:
        """Adds a segment. Raises OSError; then it has what it had before."""
        record, written = _record(author, segment), 0
        while written < len(record):  # a disk that fills up takes a part of it, and raises at the next
            written += os.pwrite(self._file.fileno(), record[written:], self._end + written)
        self._end += len(record)
        self.count += 1

    def write_anew(self, segments: Segments) -> None:
        """Replaces all by these segments. Raises OSError; then it has what it had before."""
        count = end = 0
        with ExitStack() as undo:
            with replaced(self.path, "wb") as file:
                new = undo.enter_context(os.fdopen(os.dup(file.fileno()), "wb", buffering=0))
                for author, segment in segments:
                    end += file.write(_record(author, segment))
                    count += 1
            undo.pop_all()
        self._file.close()
        self._file, self._end, self.count = new, end, count


def _record(author: str, segment: Segment) -> bytes:
    values = {name: array.tobytes() for name, array in segment.values.items()}
    packed = msgspec.msgpack.encode([author, segment.start, segment.end, values])
    return b"".join((*(one.to_bytes(NUMBER, "big") for one in (len(packed), zlib.crc32(packed))), packed))


def _records(content: bytes) -> Iterator[tuple[int, Any]]:
    """Size and content of the whole records at the start of a file."""
    place, numbers = 0, 2 * NUMBER
    while place + numbers <= len(content):
        length, check = (int.from_bytes(content[at : at + NUMBER], "big") for at in (place, place + NUMBER))
        packed = content[place + numbers : place + numbers + length]
        if not length or len(packed) < length or zlib.crc32(packed) != check:
            return
        yield numbers + length, msgspec.msgpack.decode(packed)
        place += numbers + length
