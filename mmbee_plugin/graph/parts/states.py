"""Folders of arrays that are there whole or not at all: what one step of the parts was given, planned or made."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmbee_plugin.errors import InputError
from mmbee_plugin.files import folder_beside, publish, write_json
from mmbee_plugin.graph.files import store

FACTS = "facts.json"


@dataclass(frozen=True)
class State:
    """A published folder: arrays, and facts about them.

    Attributes:
        path: the folder.
        facts: what was given to :func:`write_state`, and ``files``, the size in bytes of each array's file.
    """

    path: Path
    facts: dict[str, Any] = field(repr=False)
    _opened: dict[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, path: Path) -> State:
        """Reads the facts and checks the sizes of the files. Raises InputError if it is not there, or damaged."""
        try:
            facts = json.loads((path / FACTS).read_text(encoding="utf-8"))
            state = cls(path, facts)
            for name, size in facts["files"].items():
                if (found := state.file(name).stat().st_size) != size:
                    raise InputError(f"{state.file(name)}: {found} bytes, expected {size}")
        except (OSError, KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise InputError(f"{path / FACTS}: not the facts of arrays made here ({error})") from None
        return state

    def file(self, name: str) -> Path:
        """Where an array is."""
        return self.path / f"{name}.npy"

    def array(self, name: str) -> np.ndarray:
        """An array, mapped; a change of it reaches no file."""
        if name not in self._opened:
            # Writable arrays are of the type that kernels are compiled for.
            self._opened[name] = np.lib.format.open_memmap(self.file(name), mode="c").view(np.ndarray)
        return self._opened[name]


def write_state(
    path: Path,
    arrays: Mapping[str, np.ndarray | Sequence[np.ndarray]],
    facts: Mapping[str, object],
) -> State:
    """Publishes a folder of arrays, unless it is there.

    Args:
        path: the folder.
        arrays: by name; a sequence of arrays is written as one, one after the other.
        facts: anything that JSON has.
    Raises:
        OSError: it cannot be written; nothing of it is left.
    """
    with folder_beside(path) as writing:
        files = {}
        for name, array in arrays.items():
            parts = (array,) if isinstance(array, np.ndarray) else tuple(array)
            place = writing / f"{name}.npy"
            store(place, *parts)
            files[name] = place.stat().st_size
        write_json(writing / FACTS, {**facts, "files": files})
        publish(writing, path, keeps=lambda there: True)
    return State.open(path)


def sweep(path: Path) -> None:
    """Removes what killed writers of a folder have left. Its lock must be held, so that no other writes it."""
    for left in path.parent.glob(f".{path.name}.writing-*"):
        shutil.rmtree(left, ignore_errors=True)
