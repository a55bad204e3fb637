"""The interface of a store, and the backend that maps the bundle's own file."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.serving.tokens import TokenIndex


class StoreDown(Exception):
    """The store did not answer, or not in time; a request is scored without it and says so."""


class Store(Protocol):
    """The records of one bundle's users."""

    def read(self, user: str) -> NDArray | None:
        """The record (1,) of a user by token, a copy of its own; None for an unknown user.

        Raises:
            StoreDown: no answer in time.
        """
        ...


class MappedStore:
    """Records from the bundle's file, through the page cache that all processes of a machine share.

    Args:
        folder: of the bundle.
    """

    def __init__(self, folder: Path) -> None:
        self.index = TokenIndex(folder / "tokens" / "users")
        self.records = np.load(folder / "users.npy", mmap_mode="r", allow_pickle=False)

    def read(self, user: str) -> NDArray | None:
        row = self.index.row(user)
        return np.array(self.records[row : row + 1]) if row else None
