"""From rows of users and authors to ids of their tables, and who reads the row of an unseen one.

Row r of the file is id r + 1. Whoever has no training row reads id 0, or, with ``model.unseen_rows``, one of so many
rows behind the table's own, which a hash of the token chooses: it is the same in every process and run, and on other
shards of the same users and authors. Those rows are trained by stand-ins: with ``model.unseen_rate``, one who is known
reads, for a batch, the row that it would read unseen.
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
        model: of its settings, the two about the unseen.

    Raises:
        InputError: shards without the hashes of the tokens, where they are needed.
    """

    def __init__(self, store: ShardStore, model: JobModelSettings) -> None:
        self.store = store
        self.hashed, self.rate = model.unseen_rows, model.unseen_rate
        self.counts: dict[Side, int] = {"users": store.n_users, "authors": store.n_authors}
        if self.hashed:
            self.keys = {side: store.keys(side) for side in self.counts}

    def users(self, rows: NDArray, place: Place | None = None) -> NDArray[np.int64]:
        """Ids (b,) of user rows (b,); at a place in training, with the stand-ins of that batch."""
        return self._ids("users", rows, self.store.user_ids(rows), place)

    def authors(self, rows: NDArray, place: Place | None = None) -> NDArray[np.int64]:
        """Ids (b,) of author rows (b,), as ``users``."""
        return self._ids("authors", rows, self.store.author_ids(rows), place)

    def unseen(self, side: Side, rows: NDArray) -> NDArray[np.int64]:
        """Ids (b,) that these rows have where they are unseen."""
        if not self.hashed:
            return np.zeros(len(rows), dtype=np.int64)
        chosen = self.keys[side][rows] % np.uint64(self.hashed)
        return self.counts[side] + 1 + chosen.astype(np.int64)

    def _ids(self, side: Side, rows: NDArray, ids: NDArray, place: Place | None) -> NDArray[np.int64]:
        replaced = ids == 0
        if place is not None and self.rate:
            drawn = mix(key(Purpose.STAND_INS, *place), rows) >> np.uint64(11)  # 53 bits, as of a float
            replaced = replaced | (drawn < self.rate * 2.0**53)
        return np.where(replaced, self.unseen(side, rows), ids)
