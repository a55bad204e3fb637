"""Memory-mapped index from tokens to rows and back: binary search of sorted hashes, verified against the tokens.

Row 0 is for unknown tokens; row r + 1 is that of token r. Four arrays, for n tokens of b bytes in total: ``keys`` (n,)
uint64, ascending hashes; ``rows`` (n,) int64, the row of each hash; ``ends`` (n + 1,) int64, the end of each row's
token in ``text`` (b,) uint8, UTF-8.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.serving.bundle.arrays import mapped

PARTS = ("keys", "rows", "ends", "text")


def key_of(token: bytes) -> int:
    """The 64-bit hash of a token, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(token, digest_size=8).digest(), "little")


def tokens_hash(tokens: Sequence[str]) -> str:
    """sha256 of a list of tokens, order included."""
    digest = hashlib.sha256()
    for token in tokens:
        encoded = token.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()


def write_tokens(folder: Path, tokens: Sequence[str]) -> None:
    """Writes the four arrays into a new folder."""
    folder.mkdir()
    encoded = [token.encode() for token in tokens]
    keys = np.fromiter((key_of(token) for token in encoded), dtype=np.uint64, count=len(encoded))
    order = np.argsort(keys, kind="stable")
    lengths = np.fromiter((len(token) for token in encoded), dtype=np.int64, count=len(encoded))
    arrays = {
        "keys": keys[order],
        "rows": order.astype(np.int64) + 1,
        "ends": np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        "text": np.frombuffer(b"".join(encoded), dtype=np.uint8),
    }
    for name in PARTS:
        np.save(folder / f"{name}.npy", arrays[name], allow_pickle=False)


class TokenIndex:
    """The tokens of a bundle's users or authors, mapped into memory.

    Args:
        folder: written by `write_tokens`.
    """

    def __init__(self, folder: Path) -> None:
        self._keys, self._rows, self._ends, self._text = (mapped(folder / f"{name}.npy") for name in PARTS)

    def __len__(self) -> int:
        return len(self._keys)

    def row(self, token: str) -> int:
        """The row of a token, 0 for an unknown one."""
        encoded = token.encode(errors="surrogatepass")
        key = np.uint64(key_of(encoded))
        place = int(np.searchsorted(self._keys, key))
        while place < len(self._keys) and self._keys[place] == key:  # hashes may collide
            row = int(self._rows[place])
            if self._bytes(row) == encoded:
                return row
            place += 1
        return 0

    def rows(self, tokens: Sequence[str]) -> NDArray[np.int64]:
        """(n,) rows of the tokens, 0 for unknown ones."""
        return np.fromiter((self.row(token) for token in tokens), dtype=np.int64, count=len(tokens))

    def token(self, row: int) -> str:
        """The token of a row >= 1."""
        return self._bytes(row).decode()

    def _bytes(self, row: int) -> bytes:
        return self._text[self._ends[row - 1] : self._ends[row]].tobytes()
