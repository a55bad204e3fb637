"""Visits of a dataset folder: who was in whose room before training ended, with a gift or without.

`visits.npy` has one entry a visit, by its end, of :data:`VISIT`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmbee_plugin.data.arrays import read_array
from mmbee_plugin.errors import InputError

VISITS = "visits.npy"
VISIT = np.dtype([("user", "<i4"), ("author", "<i4"), ("end", "<f8")])
"""rows of `.user` and `.item`, and the end of the visit, in the unit of the interactions' timestamps"""


@dataclass(frozen=True)
class Visits:
    """Visits, by their end.

    Shapes:
        - users, authors: (n,) int32 file rows
        - ends: (n,) float64 seconds
    """

    users: np.ndarray
    authors: np.ndarray
    ends: np.ndarray

    def __len__(self) -> int:
        return len(self.users)

    def until(self, time: float) -> Visits:
        """Those that ended by then."""
        count = int(np.searchsorted(self.ends, time, side="right"))
        return Visits(self.users[:count], self.authors[:count], self.ends[:count])

    def since(self, origin: float) -> Visits:
        """The same with ends counted from another zero."""
        return Visits(self.users, self.authors, self.ends - origin)


def read_visits(folder: Path, n_users: int, n_authors: int) -> Visits | None:
    """The visits of a dataset folder; None if it has none.

    Raises:
        InputError: no array of :data:`VISIT`, a row outside the folder, or ends that are no numbers or descend.
    """
    file = folder / VISITS
    if not file.exists():
        return None
    found = read_array(file, dimensions=1, kinds="V")
    if found.dtype != VISIT:
        raise InputError(f"{file}: {found.dtype} {found.shape}, expected one entry a visit of {VISIT}")
    visits = Visits(*(np.ascontiguousarray(found[name]) for name in ("user", "author", "end")))
    for name, rows, count in (("user", visits.users, n_users), ("author", visits.authors, n_authors)):
        wrong = np.flatnonzero((rows < 0) | (rows >= count))
        if len(wrong):
            raise InputError(f"{file}, entry {wrong[0]}: {name} {rows[wrong[0]]} is outside 0..{count - 1}")
    if not np.isfinite(visits.ends).all() or (np.diff(visits.ends) < 0).any():
        raise InputError(f"{file}: ends that are no numbers, or descend")
    return visits
