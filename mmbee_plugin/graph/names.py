"""Who the nodes of a graph are: their tokens, kept with a snapshot so that a later one can find them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Names:
    """Tokens of the users and authors, in the order of their rows, and the zero of the gifts' times.

    Attributes:
        origin: seconds since 1970 at time 0 of :class:`~mmbee_plugin.graph.settings.Interactions`.
    """

    users: Sequence[str]
    authors: Sequence[str]
    origin: float = 0.0

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays to store, by name within a snapshot."""
        packed = {"u": packed_tokens(self.users), "a": packed_tokens(self.authors)}
        return {
            f"names/{side}/{name}.npy": array for side, both in packed.items() for name, array in both.items()
        }


def packed_tokens(tokens: Sequence[str]) -> dict[str, np.ndarray]:
    """``text``, uint8, the tokens in UTF-8 one after the other, and ``ends`` (n,) int64, where each ends."""
    encoded = [token.encode() for token in tokens]
    lengths = np.fromiter((len(token) for token in encoded), np.int64, count=len(encoded))
    return {"ends": np.cumsum(lengths), "text": np.frombuffer(b"".join(encoded), np.uint8)}


def unpacked_tokens(ends: np.ndarray, text: np.ndarray) -> list[str]:
    """The tokens of :func:`packed_tokens`.

    Example:
        >>> unpacked_tokens(**packed_tokens(["ä", "", "b1"]))
        ['ä', '', 'b1']
    """
    whole, found, start = text.tobytes(), [], 0
    for end in ends.tolist():
        found.append(whole[start:end].decode())
        start = end
    return found
