"""Rows of encoded authors in memory that processes share: one process writes them, any number read.

A row has two slots and a generation, whose parity names the slot to read. The writer fills the other slot and then
counts the generation up; a reader copies the slot and tries again if the generation has moved meanwhile. So nobody
waits, no reader sees half a row, and a writer that is killed leaves every row readable. This relies on stores becoming
visible in order, as they do on x86-64.

The memory begins with a page of JSON: schema, bundle, number of rows and widths. Rows that nobody wrote take none.
"""

from __future__ import annotations

import json
import mmap
import os
import weakref

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.errors import InputError

SCHEMA = "mmbee-board-1"
HEADER = 4096
"""bytes of the header"""


class SharedRows:
    """The encoded authors (n, ·) of one bundle, by row; ends of their newest segments, 0 for rows never written.

    Args:
        opened: file descriptor of the memory; it is closed with the object.
        writable: whether this process may write.
    """

    def __init__(self, opened: int, writable: bool) -> None:
        self._opened = opened
        weakref.finalize(self, os.close, opened)
        memory = mmap.mmap(opened, 0, access=mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ)
        header = json.loads(memory[:HEADER].rstrip(b"\0"))
        self.bundle: str = header["bundle"]
        count = header["count"]
        kind = _kind(header["top"], header["views"])
        self.ends = np.frombuffer(memory, np.float64, count, HEADER)
        self._generations = np.frombuffer(memory, np.uint64, count, HEADER + self.ends.nbytes)
        start = HEADER + self.ends.nbytes + self._generations.nbytes
        self._slots = np.frombuffer(memory, kind, 2 * count, start)

    @classmethod
    def create(cls, bundle: str, count: int, top: int, views: int) -> SharedRows:
        """New rows; ``top`` and ``views`` are the widths of these fields of an encoded author, 0 for none."""
        opened = os.memfd_create(f"mmbee-board-{bundle}")
        os.truncate(opened, HEADER + count * (8 + 8 + 2 * _kind(top, views).itemsize))
        header = {"schema": SCHEMA, "bundle": bundle, "count": count, "top": top, "views": views}
        os.write(opened, json.dumps(header).encode())
        return cls(opened, writable=True)

    @classmethod
    def open(cls, path: str, bundle: str) -> SharedRows:
        """Another process's rows, to read.

        Args:
            path: as `path` there.

        Raises:
            InputError: that process has ended, or the rows are not the bundle's.
        """
        try:
            opened = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise InputError(f"the board of bundle {bundle} is gone with its encoder ({error})") from None
        found = cls(opened, writable=False)
        if found.bundle != bundle:
            raise InputError(f"{path}: the board of bundle {found.bundle}, not of {bundle}")
        return found

    @property
    def path(self) -> str:
        """Opens the same memory in other processes of this user, as long as this object lives."""
        return f"/proc/{os.getpid()}/fd/{self._opened}"

    def write(
        self, rows: NDArray[np.int64], ends: NDArray[np.float64], fields: dict[str, NDArray[np.float32]]
    ) -> None:
        """Writes distinct rows (B,): their ends (B,) and fields (B, ·). One thread writes at a time."""
        generations = self._generations[rows] + np.uint64(1)
        slots = _slots(rows, generations)
        self._slots["end"][slots] = ends
        for name, values in fields.items():
            self._slots[name][slots] = values
        self._generations[rows] = generations
        self.ends[rows] = ends

    def read(self, rows: NDArray[np.int64]) -> NDArray:
        """Copies of rows (B,), each as one `write` left it: ``end``, ``top``, and ``views`` if there are any."""
        while True:
            before = self._generations[rows]
            copied = self._slots.take(_slots(rows, before))
            if np.array_equal(self._generations[rows], before):
                return copied


def _kind(top: int, views: int) -> np.dtype:
    fields = [("end", np.float64, ()), ("top", np.float32, (top,)), ("views", np.float32, (views,))]
    return np.dtype([field for field in fields if field[2] != (0,)])


def _slots(rows: NDArray[np.int64], generations: NDArray[np.uint64]) -> NDArray[np.int64]:
    return 2 * rows + (generations & np.uint64(1)).astype(np.int64)
