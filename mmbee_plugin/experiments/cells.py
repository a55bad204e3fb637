"""Cells: cached outcomes of one trained model each, so that an interrupted table resumes.

A cell is ``<key>.npz`` with its arrays and ``<key>.json`` with its facts. The JSON is written last: a cell without it
is unfinished.
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
    """The outcome of one training."""

    arrays: dict[str, NDArray] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    """JSON values: settings, metrics, cost."""


@dataclass(frozen=True)
class Job:
    """A cell to make: ``work(*arguments)`` in another process."""

    name: str
    """shown on the progress bar; tables may give one cell different names."""
    key: Mapping[str, Any]
    """everything that the outcome depends on, as JSON values."""
    work: Callable[..., Cell]
    """a module-level function, so that it can be pickled."""
    arguments: tuple[Any, ...]


FIRST_SEED = 2020
"""RecBole's default, that of a run without a seed of its own"""


def seeds_of(count: int) -> range:
    """The seeds of so many trainings of one row."""
    return range(FIRST_SEED, FIRST_SEED + count)


def seed_jobs(
    name: str,
    key: Mapping[str, Any],
    work: Callable[..., Cell],
    arguments: tuple[Any, ...],
    seeds: Sequence[int],
) -> list[Job]:
    """A row's jobs: ``work(*arguments, seed)`` for each seed."""
    return [Job(f"{name}, seed {seed}", {**key, "seed": seed}, work, (*arguments, seed)) for seed in seeds]


def alike(
    cells: Mapping[str, Sequence[Cell]], split: str, columns: Sequence[str], did: str, cure: str
) -> Cell:
    """Checks that all cells of a table have equal ``columns`` of a split, and returns the first.

    Args:
        did, cure: of the error message: what a cell did, such as ``scored {} rows``, and how to make cells agree.

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
        folder: created with the first cell.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def file(self, key: Mapping[str, Any]) -> Path:
        """Path of the cell's JSON, named by a digest of its key."""
        text = json.dumps(dict(key), sort_keys=True)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"

    def get(self, key: Mapping[str, Any]) -> Cell | None:
        """The finished cell, or None.

        Raises:
            InputError: damaged files.
        """
        file = self.file(key)
        if not file.exists():
            return None
        try:
            facts = json.loads(file.read_text(encoding="utf-8"))["facts"]
            with np.load(file.with_suffix(".npz")) as arrays:
                return Cell({name: arrays[name] for name in arrays.files}, facts)
        except Exception as error:  # zip, zlib, JSON and npy raise different ones
            raise InputError(f"{file}: damaged cell ({error}); delete it and it is made again") from None

    def put(self, key: Mapping[str, Any], cell: Cell) -> None:
        """Writes a cell's files. Raises InputError if they cannot be written."""
        file = self.file(key)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with replaced(file.with_suffix(".npz"), "wb") as stream:
                np.savez_compressed(stream, **cell.arrays)
            with replaced(file) as stream:
                stream.write(json.dumps({"key": dict(key), "facts": cell.facts}, indent=1) + "\n")
        except OSError as error:
            raise InputError(f"{file}: the cell cannot be kept: {one_line(error)}") from None
