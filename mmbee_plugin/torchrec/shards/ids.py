"""Maps rows of users and authors to ids of their tables; those unseen in training share rows.

Row r of the file is id r + 1. Users and authors without a training row read id 0 or, with ``model.unseen_rows``, one
of that many rows behind the table's own, chosen by a hash of the token: the same in every process and run, and in
other shards of the same users and authors. Stand-ins train these rows: in each batch a share ``model.unseen_rate`` of
the known read the row that they would read unseen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.randomness.mixing import mix
from mmbee_plugin.randomness.streams import Purpose, key
from mmbee_plugin.torchrec.settings import JobModelSettings
from mmbee_plugin.torchrec.shards.store import ShardStore, Side

Place = tuple[int, int, int]
"""seed, epoch and number of a global batch."""


def token_keys(tokens: Iterable[str]) -> NDArray[np.uint64]:
    """(n,) a 64-bit hash of each token, the same on every machine."""
    digests = b"".join(hashlib.blake2b(token.encode(), digest_size=8).digest() for token in tokens)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


class TableIds:
    """Ids of the tables ``user`` and ``author``.

    Args:
        store: the shards.
        model: settings, for ``unseen_rows`` and ``unseen_rate``.

    Raises:
        InputError: ``unseen_rows`` of shards without hashes of the tokens.
    """

    def __init__(self, store: ShardStore, model: JobModelSettings) -> None:
        self.store = store
        self.hashed, self.rate = model.unseen_rows, model.unseen_rate
        self.counts: dict[Side, int] = {"users": store.n_users, "authors": store.n_authors}
        if self.hashed:
            self.keys = {side: store.keys(side) for side in self.counts}

    def users(self, rows: NDArray, place: Place | None = None) -> NDArray[np.int64]:
        """Ids (b,) of user rows (b,); for a training batch at ``place`` with its stand-ins."""
        return self._ids("users", rows, self.store.user_ids(rows), place)

    def authors(self, rows: NDArray, place: Place | None = None) -> NDArray[np.int64]:
        """Ids (b,) of author rows (b,), as ``users``."""
        return self._ids("authors", rows, self.store.author_ids(rows), place)

    def unseen(self, side: Side, rows: NDArray) -> NDArray[np.int64]:
        """Ids (b,) that these rows read if unseen."""
        if not self.hashed:
            return np.zeros(len(rows), dtype=np.int64)
        chosen = self.keys[side][rows] % np.uint64(self.hashed)
        return self.counts[side] + 1 + chosen.astype(np.int64)

    def _ids(self, side: Side, rows: NDArray, ids: NDArray, place: Place | None) -> NDArray[np.int64]:
        replaced = ids == 0
        if place is not None and self.rate:
            drawn = mix(key(Purpose.STAND_INS, *place), rows) >> np.uint64(11)  # 53 bits, a float's precision
            replaced = replaced | (drawn < self.rate * 2.0**53)
        return np.where(replaced, self.unseen(side, rows), ids)
