"""Writes array files with their sha256, and checks it on reading."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from mmbee_plugin.errors import InputError, one_line


@dataclass(frozen=True)
class SnapshotFile:
    """A file with its expected size (bytes) and sha256."""

    path: Path
    size: int
    sha256: str

    def check_size(self) -> None:
        """Raises InputError if the file is missing or has another size."""
        try:
            found = self.path.stat().st_size
        except OSError as error:
            raise InputError(f"{self.path}: {one_line(error)}; build the snapshot again") from None
        if found != self.size:
            raise InputError(f"{self.path}: {found} bytes, expected {self.size}; build the snapshot again")

    def check_hash(self) -> None:
        """Raises InputError if the file is missing or its content differs."""
        self.check_size()
        with open(self.path, "rb") as file:
            found = _digest(file)
        if found != self.sha256:
            raise InputError(f"{self.path}: its content is not what was built; build the snapshot again")


def write_npy(path: Path, array: np.ndarray) -> SnapshotFile:
    """Writes one array, as :func:`store`, and hashes it."""
    store(path, array)
    return described(path)


def store(path: Path, *arrays: np.ndarray) -> None:
    """Writes arrays of one type, one after the other, as one array, with plain writes: on a full disk numpy's ``save``
    loses the reason."""
    with open(path, "wb") as file:
        _write(file, arrays)
        file.flush()
        os.fsync(file.fileno())


def described(path: Path) -> SnapshotFile:
    """A file as it is."""
    with open(path, "rb") as file:
        digest = _digest(file)
    return SnapshotFile(path, path.stat().st_size, digest)


def read_npy(file: SnapshotFile) -> np.ndarray:
    """Opens the array memory-mapped, read-only; raises InputError if the file is missing or changed."""
    file.check_hash()
    try:
        return np.lib.format.open_memmap(file.path, mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{file.path}: not an array ({error}); build the snapshot again") from None


def _write(file: IO[bytes], arrays: tuple[np.ndarray, ...]) -> None:
    described = np.lib.format.header_data_from_array_1_0(np.ascontiguousarray(arrays[0]))
    if len(arrays) > 1:
        described["shape"] = (sum(len(array) for array in arrays), *arrays[0].shape[1:])
    np.lib.format.write_array_header_1_0(file, described)
    for array in arrays:
        file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _digest(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
