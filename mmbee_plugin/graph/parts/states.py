"""Folders of arrays that are there whole or not at all: what one step of the parts was given, planned or made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmbee_plugin.errors import InputError
from mmbee_plugin.files import folder_beside, publish, write_json
from mmbee_plugin.graph.files import SnapshotFile, write_npy

FACTS = "facts.json"


@dataclass(frozen=True)
class State:
    """A published folder: arrays, and facts about them.

    Attributes:
        path: the folder.
        facts: what was given to :func:`write_state`, and ``files``, the size and sha256 of each array.
    """

    path: Path
    facts: dict[str, Any] = field(repr=False)

    @classmethod
    def open(cls, path: Path) -> State:
        """Reads the facts and checks the sizes of the files. Raises InputError if it is not there, or damaged."""
        try:
            facts = json.loads((path / FACTS).read_text(encoding="utf-8"))
            state = cls(path, facts)
            for name in facts["files"]:
                state.file(name).check_size()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path / FACTS}: not the facts of arrays made here ({error})") from None
        return state

    def file(self, name: str) -> SnapshotFile:
        return SnapshotFile(self.path / f"{name}.npy", **self.facts["files"][name])

    def array(self, name: str) -> np.ndarray:
        """An array, mapped; a change of it reaches no file."""
        # Writable arrays are of the type that kernels are compiled for.
        return np.lib.format.open_memmap(self.file(name).path, mode="c").view(np.ndarray)

    def check(self) -> None:
        """Checks the hashes of all arrays; raises InputError for one that differs."""
        for name in self.facts["files"]:
            self.file(name).check_hash()


def write_state(
    path: Path, arrays: Mapping[str, np.ndarray | Sequence[np.ndarray]], facts: Mapping[str, object]
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
            file = write_npy(writing / f"{name}.npy", *parts)
            files[name] = {"size": file.size, "sha256": file.sha256}
        write_json(writing / FACTS, {**facts, "files": files})
        publish(writing, path, keeps=lambda there: True)
    return State.open(path)
