"""What a bundle is built from: a trained model on its data, as an adapter opens it."""

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


@dataclass(frozen=True)
class Facts:
    """What is known of the data that a model was trained on."""

    name: str
    """of the dataset."""
    provenance: str
    """one line that names the data and how real they are."""
    dataset: str
    """hash of the dataset folder's files."""
    snapshot: str | None
    """key of the graph snapshot that the lists come from; None without a graph."""
    origin: float
    """seconds since the epoch at which the data's clock is 0."""
    until: float | None
    """end of training on that clock; None for data without time."""
    chances: bool
    """whether the loss is logistic, so that the sigmoid of a logit is a chance."""


@dataclass(frozen=True)
class Longest:
    """The longest list of each kind that a side holds: a record has room for it."""

    history: int
    reach: int = 0
    user_peers: int = 0
    author_peers: int = 0


@dataclass(frozen=True)
class LiveModality:
    """How a modality of live segments is stored and standardised."""

    frames: int
    width: int
    dtype: str
    """numpy's name of the stored type."""
    mean: NDArray[np.float32]
    """(width,)"""
    deviation: NDArray[np.float32]
    """(width,) above zero."""


@dataclass(frozen=True)
class LiveContent:
    """How the content of live authors is read."""

    seconds: float
    """length of a segment that does not say when it ends."""
    length: int
    """L, newest segments that an author is encoded from."""
    modalities: Mapping[str, LiveModality]

    @property
    def shapes(self) -> tuple[int, dict[str, tuple[int, int, str]]]:
        """What a segment must look like to be read."""
        return self.length, {
            name: (one.frames, one.width, one.dtype) for name, one in self.modalities.items()
        }


@dataclass(frozen=True)
class Windows:
    """The newest L segments of ``B`` authors at the end of training, oldest first, the newest last.

    Shapes:
        - starts, ends: (B, L) seconds since the epoch, NaN where there is no segment
        - values: per modality (B, L, F, D) as stored; present: per modality (B, L) bool
    """

    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    values: Mapping[str, NDArray]
    present: Mapping[str, NDArray[np.bool_]]


class Source(Protocol):
    """A model in evaluation mode with its data. Rows of users and authors are those of the exchange file's tokens."""

    facts: Facts
    exchange: Exchange
    gtr: GTRModel
    longest: Longest
    live: LiveContent | None
    """None where an author's content is its own, or is not read."""

    def users(self, rows: NDArray[np.int64]) -> UserSide:
        """Users (B,) with what the graphs and tables give; histories come from `histories`. Ids of reach lists are
        author rows + 1."""
        ...

    def histories(
        self, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32] | None]:
        """Author rows (B, H) of the newest behaviours of users (B,), oldest first, lengths (B,), and times (B, H) on
        the data's clock, None without time."""
        ...

    def authors(self, rows: NDArray[np.int64]) -> AuthorSide:
        """Authors (B,) as of the end of training."""
        ...

    def windows(self, rows: NDArray[np.int64]) -> Windows:
        """The segments of live authors (B,)."""
        ...

    def logits(self, users: NDArray[np.int64], authors: NDArray[np.int64]) -> torch.Tensor:
        """(B, T) logits of pairs as of the end of training, by the adapter's own path."""
        ...
