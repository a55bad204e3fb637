"""The interface of an interest encoder: the part of GTRModel that reads a node's neighbours in the graph."""

from __future__ import annotations

from typing import Self

import torch
from torch import nn

from mmbee_plugin.modules.batch import AuthorSide, UserSide
from mmbee_plugin.modules.shapes import GTRShapes


class PairScore(nn.Module):
    """Base of logits that an interest encoder adds to the head's, with a loss of their own.

    Args:
        width: model width ``d``.
        dropout: in training.

    Shapes:
        - user: :math:`(B, 2d)`, expanded interest and id vector; author: :math:`(B|1, C, 2d)`
        - output: :math:`(B, C)`, added to the first task's logits
    """

    def __init__(self, width: int, dropout: float = 0.0) -> None:
        super().__init__()

    def loss(
        self,
        user: torch.Tensor,
        author: torch.Tensor,
        labels: torch.Tensor,
        weights: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Loss () on labels (B, C); ``weights`` (B,) as in :mod:`~mmbee_plugin.modules.losses`."""
        raise NotImplementedError


class Interest(nn.Module):
    """Base of the interest encoders.

    A subclass says which lists of neighbours it reads, sets ``out_width``, implements ``from_settings`` and ``read``,
    and is one row of :data:`~mmbee_plugin.modules.parts.INTERESTS`.

    Example:
        >>> class Largest(Interest):
        ...     '''The largest of the means over neighbours, feature by feature.'''
        ...
        ...     takes_means = True
        ...
        ...     def __init__(self, width):
        ...         super().__init__()
        ...         self.out_width = width
        ...
        ...     @classmethod
        ...     def from_settings(cls, settings, metapaths):
        ...         return cls(settings.width) if metapaths else None
        ...
        ...     def read(self, own, side):
        ...         return side.neighbours.amax(dim=1)
        >>> Largest.lists(("u2a2u", "a2a"))
        ('u2a2u', 'a2a')
    """

    reads: tuple[str, ...] | None = None
    """Those of the settings marked `ReadBy` that it reads; None: perhaps any."""
    takes_means: bool = False
    """Whether it reads means over the neighbours along the metapaths that are set: ``neighbours``,
    ``neighbour_count`` and ``attributes`` of a side."""
    peer_paths: tuple[str, ...] = ()
    """Metapaths, one from users to users and one from authors to authors, whose neighbours it reads one by one:
    ``peers`` and ``peer_weights`` of a side. These are rows of the tables of id vectors, so both sides need one."""
    pair_score: type[PairScore] | None = None
    """What it adds to the logit of a pair; None for nothing."""

    out_width: int
    gain: float = 0.0
    """Gain at which each block of width d starts in a dot head's tower."""

    @classmethod
    def from_settings(cls, settings: GTRShapes, metapaths: tuple[str, ...]) -> Self | None:
        """The encoder of a side whose means are over ``metapaths``, or None where it has nothing to read."""
        raise NotImplementedError

    @classmethod
    def lists(cls, metapaths: tuple[str, ...]) -> tuple[str, ...]:
        """The metapaths whose lists of neighbours are read where ``metapaths`` are set."""
        return (metapaths if cls.takes_means else ()) + cls.peer_paths

    def read(self, own: torch.Tensor | None, side: UserSide | AuthorSide) -> torch.Tensor:
        """Interest (B, out_width) of the users or authors with the id vectors ``own`` (B, d)."""
        raise NotImplementedError


class NoInterest(Interest):
    """The empty slot: the model reads no graph."""

    reads = ()

    @classmethod
    def from_settings(cls, settings: GTRShapes, metapaths: tuple[str, ...]) -> None:
        """None."""
        return None
