"""The interface of a backbone: the part of GTRModel that reads a user's history, with a target author or without."""

from __future__ import annotations

from typing import Self

import torch
from torch import nn

from mmbee_plugin.modules.batch import UserSide
from mmbee_plugin.modules.heads import Head
from mmbee_plugin.modules.shapes import GTRShapes, SIMSettings

Memory = dict[str, torch.Tensor]
"""What a backbone keeps of its users, computed once for all targets; the first axis of every tensor is the users'."""


class Backbone(nn.Module):
    """Base of the backbones.

    A subclass describes a history without a target (``summary``) or with one (``remember`` and ``cross``), sets
    ``user_width`` or ``cross_width``, and is one row of :data:`~mmbee_plugin.modules.parts.BACKBONES`. ``summary`` and
    ``remember`` run once a user, ``cross`` once a pair: what depends on one side alone belongs to the former.

    Example:
        >>> class Longest(Backbone):
        ...     '''The number of behaviours, as part of the user vector.'''
        ...
        ...     reads_order = False
        ...
        ...     def __init__(self, width):
        ...         super().__init__()
        ...         self.user_width = width
        ...         self.weight = nn.Parameter(torch.ones(width))
        ...
        ...     def summary(self, side):
        ...         return side.history_mask.sum(dim=1, keepdim=True).log1p() * self.weight
        >>> Longest.knows_user, Longest.per_pair
        (True, False)
    """

    reads: tuple[str, ...] | None = None
    """Those of the settings marked `ReadBy` that it reads; None: perhaps any."""
    reads_order: bool = True
    """Whether the order of the behaviours counts. Such a backbone is not trained on histories that hold what came after
    the target. True unless a class says otherwise, so that a new backbone cannot learn from the future unnoticed."""
    reads_newest: bool = False
    """Whether it reads the ``short_length`` newest behaviours (:class:`SIMSettings`) apart, which is order too if above
    0."""
    searches: bool = False
    """Whether it searches the history as :class:`SIMSettings` say, by category where the data have categories."""
    reads_mean: bool = False
    """Whether it reads the mean of the history alone, so that a history of one behaviour, the mean, is as good."""
    head: type[Head] | None = None
    """Head that belongs to the backbone, in place of the head that is set."""
    title: str
    """Name to show; that of the class unless it sets one."""
    knows_user: bool
    """Whether it describes a user without a target: whether the class has a ``summary``."""
    per_pair: bool
    """Whether every pair of user and author costs something: whether the class has a ``cross``."""

    user_width: int = 0
    """Width of the ``summary``, 0 for none."""
    cross_width: int = 0
    """Width of what ``cross`` returns, 0 for nothing."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.title = cls.__dict__.get("title", cls.__name__)
        cls.knows_user = cls.summary is not Backbone.summary
        cls.per_pair = cls.cross is not Backbone.cross

    @classmethod
    def from_settings(cls, settings: GTRShapes, sim: SIMSettings) -> Self:
        """The backbone of a model with these settings; by default a class is given the model width alone."""
        return cls(settings.width)

    def idle(self, longest: int) -> str | None:
        """Why the backbone has nothing to do in histories of up to ``longest`` behaviours, or None."""
        return None

    def summary(self, side: UserSide) -> torch.Tensor | None:
        """Users described by their histories, whatever the target: (B, user_width), or None."""
        return None

    def remember(self, side: UserSide) -> Memory:
        """Prepares ``B`` users' histories for any number of targets; empty without a ``cross``."""
        return {}

    def cross(
        self, memory: Memory, author: torch.Tensor, category: torch.Tensor | None = None
    ) -> torch.Tensor | None:
        """Interest of each user in each target: (B, C, cross_width), or None.

        Args:
            memory: of ``B`` users, from ``remember``.
            author: (B, C, d) id vectors of each user's targets, or (1, C, d) of targets that all users share.
            category: (B, C) or (1, C) their categories, where the data have any.
        """
        return None

    def auxiliary_loss(
        self,
        memory: Memory,
        author: torch.Tensor,
        labels: torch.Tensor,
        weights: torch.Tensor | None = None,
    ) -> torch.Tensor | None:
        """Loss () of the backbone's own auxiliary task, or None.

        Args:
            memory: of ``B`` users, from ``remember``.
            author: (B, C, d) their candidates' id vectors.
            labels: (B, C) 1 for the candidates gifted to.
            weights: (B,) as in :mod:`~mmbee_plugin.modules.losses`.
        """
        return None
