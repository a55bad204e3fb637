"""Input of a bundle: a trained model with its data, as opened by an adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from mmbee_plugin.modules.batch import AuthorSide, UserSide
from mmbee_plugin.modules.exchange import Exchange
from mmbee_plugin.modules.gtr import GTRModel

ON_AIR = 20
"""segment lengths that an author stays on the board after the end of its newest segment, by default"""


@dataclass(frozen=True)
class Facts:
    """Facts of the data that a model was trained on."""

    name: str
    """of the dataset."""
    provenance: str
    """one line that describes the data, and whether they are real."""
    dataset: str
    """hash of the dataset folder's files."""
    snapshot: str | None
    """key of the graph snapshot; None without a graph."""
    origin: float
    """zero of the data's clock, in seconds since the epoch."""
    until: float | None
    """end of training on that clock; None for data without time."""
    chances: bool
    """whether the loss is logistic, so that the sigmoid of a logit is a chance among the training rows."""
    negatives: float | None = None
    """share of the log's negatives that were training rows; None where training drew negatives of its own."""


@dataclass(frozen=True)
class Longest:
    """Length of the longest list of each kind, to which records are padded."""

    history: int
    reach: int = 0
    user_peers: int = 0
    author_peers: int = 0


@dataclass(frozen=True)
class LiveModality:
    """Storage and standardisation of one modality of live segments."""

    frames: int
    width: int
    dtype: str
    """name of the stored numpy dtype."""
    mean: NDArray[np.float32]
    """(width,)"""
    deviation: NDArray[np.float32]
    """(width,) above zero."""


@dataclass(frozen=True)
class LiveContent:
    """Format of the content of live authors."""

    seconds: float
    """default length of a segment."""
    length: int
    """L, number of newest segments that an author is encoded from."""
    modalities: Mapping[str, LiveModality]
    on_air: float | None = None
    """seconds that an author stays on the board after the end of its newest segment; None: `ON_AIR` segment lengths."""

    @property
    def stays(self) -> float:
        """Seconds that an author stays on the board after the end of its newest segment."""
        return ON_AIR * self.seconds if self.on_air is None else self.on_air

    @property
    def shapes(self) -> tuple[int, dict[str, tuple[int, int, str]]]:
        """L, and modality -> (frames, width, dtype) of a segment."""
        return self.length, {
            name: (one.frames, one.width, one.dtype) for name, one in self.modalities.items()
        }


@dataclass(frozen=True)
class Windows:
    """The newest L segments of ``B`` authors at the end of training, oldest first.

    Shapes:
        - starts, ends: (B, L) seconds since the epoch, NaN for no segment
        - values: per modality (B, L, F, D) as stored; present: per modality (B, L) bool
    """

    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    values: Mapping[str, NDArray]
    present: Mapping[str, NDArray[np.bool_]]


class Source(Protocol):
    """A model in evaluation mode with its data. User and author rows are positions in the exchange's token lists."""

    facts: Facts
    exchange: Exchange
    gtr: GTRModel
    longest: Longest
    live: LiveContent | None
    """None for static items, or a model that reads no content."""

    def users(self, rows: NDArray[np.int64]) -> UserSide:
        """Users (B,) without histories, see `histories`; ids in reach lists are author rows + 1."""
        ...

    def histories(
        self, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64] | None]:
        """Newest behaviours of users (B,), oldest first: author rows (B, H), lengths (B,), and times (B, H) on the
        data's clock, None without time."""
        ...

    def authors(self, rows: NDArray[np.int64]) -> AuthorSide:
        """Authors (B,) as of the end of training."""
        ...

    def windows(self, rows: NDArray[np.int64]) -> Windows:
        """The segments of live authors (B,)."""
        ...

    def logits(self, users: NDArray[np.int64], authors: NDArray[np.int64]) -> torch.Tensor:
        """(B, T) logits of pairs as of the end of training, by the adapter's own code."""
        ...
