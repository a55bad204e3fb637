"""The interface of a store, and the backend that maps the bundle's own file."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.serving.bundle.arrays import mapped
from mmbee_plugin.serving.bundle.tokens import TokenIndex


class StoreDown(Exception):
    """The store did not answer in time; the request is scored without the user's record and flagged."""


class Store(Protocol):
    """The records of one bundle's users."""

    def read(self, user: str) -> NDArray | None:
        """Copy of a user's record (1,) by token; None for an unknown user.

        Raises:
            StoreDown: no valid answer in time.
        """
        ...


class MappedStore:
    """Records from the bundle's memory-mapped file, in the page cache that processes of a machine share.

    Args:
        folder: of the bundle.
    """

    def __init__(self, folder: Path) -> None:
        self.index = TokenIndex(folder / "tokens" / "users")
        self.records = mapped(folder / "users.npy")

    def read(self, user: str) -> NDArray | None:
        row = self.index.row(user)
        return np.array(self.records[row : row + 1]) if row else None
