"""Cells: one trained model's outcome, kept as files, so that a table goes on after a kill with what is finished.

A cell is ``<key>.npz`` with its arrays and ``<key>.json`` with everything else. The JSON is put in place last: a cell
without it is not finished.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.errors import InputError, one_line
from mmbee_plugin.files import replaced


@dataclass(frozen=True)
class Cell:
    """What one trained model leaves behind."""

    arrays: dict[str, NDArray] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    """plain values, as JSON has them."""


@dataclass(frozen=True)
class Job:
    """A cell to make: ``work(*arguments)``, in a process of its own."""

    name: str
    """shown while it runs; the same cell may stand in tables under several names."""
    key: Mapping[str, Any]
    """everything that the outcome depends on, as JSON has it."""
    work: Callable[..., Cell]
    """a function of a module, so that another process finds it."""
    arguments: tuple[Any, ...]


def seed_jobs(
    name: str,
    key: Mapping[str, Any],
    work: Callable[..., Cell],
    arguments: tuple[Any, ...],
    seeds: Sequence[int],
) -> list[Job]:
    """A row's jobs, ``work(*arguments, seed)`` for each seed."""
    return [Job(f"{name}, seed {seed}", {**key, "seed": seed}, work, (*arguments, seed)) for seed in seeds]


def alike(
    cells: Mapping[str, Sequence[Cell]], split: str, columns: Sequence[str], did: str, cure: str
) -> Cell:
    """The first of a table's cells, if all of them have the same columns of a split.

    Args:
        did: what a cell did to which rows, as ``scored {} rows``. cure: what makes them the same.

    Raises:
        InputError: two cells differ.
    """
    first = next(iter(cells.values()))[0]
    for name, of_row in cells.items():
        for cell in of_row:
            arrays = ((each.arrays[f"{split} {column}"] for each in (cell, first)) for column in columns)
            if not all(np.array_equal(own, other) for own, other in arrays):
                raise InputError(f"{name}: {did.format(f'other {split}')} than {next(iter(cells))}; {cure}")
    return first


class CellStore:
    """A folder of finished cells.

    Args:
        folder: made with the first cell.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, key: Mapping[str, Any]) -> Path:
        """Where the JSON of the cell with this key stands."""
        text = json.dumps(dict(key), sort_keys=True)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"

    def get(self, key: Mapping[str, Any]) -> Cell | None:
        """The finished cell, or None.

        Raises:
            InputError: its files are damaged.
        """
        file = self.file(key)
        if not file.exists():
            return None
        try:
            facts = json.loads(file.read_text(encoding="utf-8"))["facts"]
            with np.load(file.with_suffix(".npz")) as arrays:
                return Cell({name: arrays[name] for name in arrays.files}, facts)
        except Exception as error:  # zip, zlib, JSON and npy each have their own
            raise InputError(f"{file}: damaged cell ({error}); delete it and it is made again") from None

    def put(self, key: Mapping[str, Any], cell: Cell) -> None:
        """Keeps a cell. Raises InputError where nothing can be written."""
        file = self.file(key)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replaced(file.with_suffix(".npz"), "wb") as stream:
                np.savez_compressed(stream, **cell.arrays)
            with replaced(file) as stream:
                stream.write(json.dumps({"key": dict(key), "facts": cell.facts}, indent=1) + "\n")
        except OSError as error:
            raise InputError(f"{file}: the cell cannot be kept: {one_line(error)}") from None
