"""File of received segments, from which a restarted encoder has its windows again.

A record is a length (4 bytes) and msgpack: author, start, end, and the bytes of each modality. Records are appended
before their segments are answered, without waiting for the disk: they outlive the process, not the machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from mmbee_plugin.files import replaced
from mmbee_plugin.serving.board.segment import Segment
from mmbee_plugin.serving.bundle.source import LiveContent

LENGTH = 4
"""bytes of a record's length"""
ENOUGH = 10_000
"""records below which a journal is not written anew"""

Segments = Iterable[tuple[str, Segment]]


class Journal:
    """The journal of one writer.

    Args:
        folder: of the file, whose name has a hash of the features' format.
        content: that format.

    Attributes:
        path: of the file.
        found: the segments that were in it.
        count: segments in it now.
    """

    def __init__(self, folder: Path, content: LiveContent) -> None:
        shapes = hashlib.sha256(repr(content.shapes).encode()).hexdigest()[:16]
        self.path, self.count = folder / f"segments-{shapes}", 0
        self.found = list(self._read(content)) if self.path.exists() else []
        self._open(self.found)  # without a record that was cut short

    def append(self, author: str, segment: Segment) -> None:
        """Adds a segment. Raises OSError."""
        self._file.write(_record(_packed(author, segment)))
        self.count += 1

    def write_anew(self, segments: Segments) -> None:
        """Replaces all by these segments. Raises OSError."""
        self._file.close()
        self._open(segments)

    def _open(self, segments: Segments) -> None:
        self.count = 0
        with replaced(self.path, "wb") as file:
            for author, segment in segments:
                file.write(_record(_packed(author, segment)))
                self.count += 1
        self._file = self.path.open("ab", buffering=0)

    def _read(self, content: LiveContent) -> Iterator[tuple[str, Segment]]:
        for author, start, end, values in _records(self.path.read_bytes()):
            kinds = {name: content.modalities[name] for name in values}
            arrays = {
                name: np.frombuffer(values[name], kind.dtype).reshape(kind.frames, kind.width)
                for name, kind in kinds.items()
            }
            yield author, Segment(start, end, arrays)


def _packed(author: str, segment: Segment) -> list[Any]:
    values = {name: array.tobytes() for name, array in segment.values.items()}
    return [author, segment.start, segment.end, values]


def _record(content: Any) -> bytes:
    packed = msgspec.msgpack.encode(content)
    return len(packed).to_bytes(LENGTH, "big") + packed


def _records(content: bytes) -> Iterator[Any]:
    place = 0
    while place + LENGTH <= len(content):
        start = place + LENGTH
        place = start + int.from_bytes(content[place:start], "big")
        if place <= len(content):
            yield msgspec.msgpack.decode(content[start:place])
