"""GTRModel: the gift-through rate of a user for an author's current segment (MMBee, eq. 1).

A model is composed of four parts by name: a backbone reads the history, a content encoder the author's segments, an
interest encoder both sides' neighbours in the graphs, and a head scores. It owns no table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import nn

from mmbee_plugin.modules.backbone import Memory
from mmbee_plugin.modules.batch import AuthorSide, UserSide
from mmbee_plugin.modules.content import Content
from mmbee_plugin.modules.expect import expect_given, expect_width
from mmbee_plugin.modules.heads import Block, Head, HeadInputs
from mmbee_plugin.modules.interest import Interest
from mmbee_plugin.modules.parts import BACKBONES, CONTENTS, INTERESTS, GTRSettings, head_of, pays_per_pair
from mmbee_plugin.modules.reach import Reach
from mmbee_plugin.modules.shapes import ContentSettings, SIMSettings


@dataclass
class EncodedUser:
    """A batch of ``B`` users, to be scored with any authors."""

    top: torch.Tensor
    """(B, h) from the head."""
    memory: Memory
    """Tensors of the backbone, first axis B."""
    reach_ids: torch.Tensor | None = None
    """(B, K) as in :class:`UserSide`."""
    reach_weights: torch.Tensor | None = None
    """(B, K)."""
    views: torch.Tensor | None = None
    """(B, 2d) expanded interests and id vectors, for a score of the interest encoder."""


@dataclass
class EncodedAuthor:
    """A batch of ``C`` authors, or ``C`` candidates of each of ``B`` users, to be scored with any users."""

    top: torch.Tensor
    """(C, h) or (B, C, h) from the head."""
    author: torch.Tensor
    """(C, d) or (B, C, d) id vectors, the targets of the backbone."""
    ids: torch.Tensor | None = None
    """(C,) or (B, C) as in :class:`AuthorSide`."""
    views: torch.Tensor | None = None
    """(C, 2d) or (B, C, 2d) as on the user's side."""
    category: torch.Tensor | None = None
    """(C,) or (B, C) as in :class:`AuthorSide`."""

    def take(self, index: torch.Tensor) -> EncodedAuthor:
        """Authors by position: index (B, C) into C' authors -> fields (B, C, ·)."""
        return self._each(lambda field: field[index])

    def unsqueeze(self, axis: int) -> EncodedAuthor:
        """All fields with one more axis."""
        return self._each(lambda field: field.unsqueeze(axis))

    def split(self, rows: int) -> Iterator[EncodedAuthor]:
        """Pieces of at most ``rows`` authors, for fields (C, ·)."""
        for start in range(0, len(self.top), rows):
            yield self._each(lambda field, first=start: field[first : first + rows])  # type: ignore[misc]

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> EncodedAuthor:
        known = ((one.name, getattr(self, one.name)) for one in fields(self))
        return EncodedAuthor(**{name: change(value) for name, value in known if value is not None})

    @staticmethod
    def cat(parts: list[EncodedAuthor]) -> EncodedAuthor:
        """One batch of several, along the authors."""
        first = parts[0]
        known = [one.name for one in fields(first) if getattr(first, one.name) is not None]
        return EncodedAuthor(**{name: torch.cat([getattr(part, name) for part in parts]) for name in known})


class GTRModel(nn.Module):
    """Backbone, content encoder, interest encoder and head in one model, with three ways to score the same pairs.

    ``score`` takes aligned rows, ``score_candidates`` each user's own candidates, ``score_all`` all users and authors.
    Sides are encoded first, each once.

    Source: MMBee (https://arxiv.org/abs/2407.00056), eq. 1; BPR, softmax and logistic losses (eq. 2) are in
    :mod:`~mmbee_plugin.modules.losses`.

    Args:
        settings: names and shapes of the parts.
        content: shapes of the content encoder; with empty ``widths`` there is none.
        sim: shapes of a backbone that searches.

    Example:
        >>> from mmbee_plugin.modules import AuthorSide, ContentSettings, GTRModel, GTRSettings, SIMSettings, UserSide
        >>> settings = GTRSettings(backbone="sim", interest="none", width=8, hidden=(16, 4))
        >>> content = ContentSettings(widths={"visual": 5}, width=8, num_queries=2)
        >>> gtr = GTRModel(settings, content, SIMSettings(width=8)).eval()
        >>> user = gtr.encode_user(
        ...     UserSide(torch.randn(3, 8), torch.randn(3, 6, 8), torch.ones(3, 6, dtype=torch.bool))
        ... )
        >>> author = gtr.encode_author(
        ...     AuthorSide(
        ...         author=torch.randn(4, 8),
        ...         queries=torch.randn(4, 2, 8),
        ...         segments={"visual": torch.randn(4, 1, 1, 5)},
        ...         segment_mask={"visual": torch.ones(4, 1, dtype=torch.bool)},
        ...     )
        ... )
        >>> gtr.score_all(user, author).shape  # logits of 3 users and 4 authors
        torch.Size([3, 4])
        >>> gtr.score(user, author.take(torch.tensor([0, 2, 2]))).shape  # of 3 pairs
        torch.Size([3])
    """

    def __init__(self, settings: GTRSettings, content: ContentSettings, sim: SIMSettings) -> None:
        super().__init__()
        self.settings = settings
        self.backbone = BACKBONES[settings.backbone].from_settings(settings, sim)
        self.content = CONTENTS[settings.content].from_settings(content)
        interest = INTERESTS[settings.interest]
        self.user_interest = interest.from_settings(settings, settings.user_metapaths)
        self.author_interest = interest.from_settings(settings, settings.author_metapaths)
        score = interest.pair_score
        self.perspectives = None if score is None else score(settings.width, settings.dropout)
        self.reach = Reach(settings.reach_weight, settings.reach_floor) if settings.reach else None
        self.head = self._head()

    @property
    def tasks(self) -> tuple[str, ...]:
        """Tasks of ``score_tasks``, in order."""
        return self.settings.tasks[: self.head.tasks]

    @property
    def pays_per_pair(self) -> bool:
        """As :func:`~mmbee_plugin.modules.parts.pays_per_pair`."""
        return pays_per_pair(self.settings.backbone, self.settings.interest, self.settings.head)

    def may_have_unused_parameters(self, segments: int, draws_negatives: bool) -> bool:
        """Whether a batch may leave parameters without a gradient.

        Args:
            segments: of a sample, L.
            draws_negatives: whether training draws negatives, which have labels of the first task alone.
        """
        one_segment = self.content is not None and self.content.unused_in_one_segment and segments <= 1
        one_task = self.head.several_tasks and draws_negatives
        return one_segment or one_task

    def encode_user(self, side: UserSide) -> EncodedUser:
        """Encodes ``B`` users, independent of targets.

        Raises:
            ValueError: vectors that are missing, or of another width than the model's.
        """
        if side.user is not None or self.settings.user_ids:
            expect_width("user", expect_given("user", side.user), self.settings.width)
        expect_width("history", side.history, self.settings.width)
        parts = [] if side.user is None else [side.user]
        summary = self.backbone.summary(side)
        if summary is not None:
            parts.append(summary)
        if self.user_interest is not None:
            parts.append(self.user_interest.read(side.user, side))
        top = self.head.user(torch.cat(parts, dim=1))
        views = None
        if self.perspectives is not None:
            views = torch.cat([parts[-1], expect_given("user", side.user)], dim=1)
        return EncodedUser(top, self.backbone.remember(side), side.reach_ids, side.reach_weights, views)

    def encode_author(self, side: AuthorSide) -> EncodedAuthor:
        """Encodes ``C`` authors, independent of users.

        Raises:
            ValueError: vectors or modalities that are missing, or of another width than the model's.
        """
        expect_width("author", side.author, self.settings.width)
        parts = [side.author]
        if self.content is not None:
            parts.append(self.content(side))
        if self.author_interest is not None:
            parts.append(self.author_interest.read(side.author, side))
        top = self.head.author(torch.cat(parts, dim=1))
        views = None if self.perspectives is None else torch.cat([parts[-1], side.author], dim=1)
        return EncodedAuthor(top, side.author, side.ids, views, side.category)

    def score(self, user: EncodedUser, author: EncodedAuthor) -> torch.Tensor:
        """Logits (B,) of aligned rows."""
        return self.score_candidates(user, author.unsqueeze(1)).squeeze(1)

    def score_candidates(self, user: EncodedUser, author: EncodedAuthor) -> torch.Tensor:
        """Logits (B, C) of the first task, of each user with its own ``C`` candidates.

        The author's fields are (B, C, ·), or (1, C, ·) for candidates that all users share.
        """
        return self.score_tasks(user, author, 1).squeeze(2)

    def score_tasks(self, user: EncodedUser, author: EncodedAuthor, tasks: int | None = None) -> torch.Tensor:
        """Logits (B, C, T) of the first ``tasks`` tasks, all by default; fields as in ``score_candidates``."""
        cross = self.backbone.cross(user.memory, author.author, author.category)
        logits = self.head.pair(user.top, author.top, cross, tasks)
        for gift in self._added(user, author):
            gift = gift.unsqueeze(2)
            others = logits.shape[2] - 1
            logits = logits + (F.pad(gift, (0, others)) if others else gift)
        return logits

    def score_all(self, user: EncodedUser, author: EncodedAuthor, chunk: int = 1 << 20) -> torch.Tensor:
        """Logits (B, C) of every user with every author (fields (C, ·)).

        Args:
            chunk: pairs scored at once, times the vectors that each needs; bounds memory. Where a pair needs none, all
                are scored at once.
        """
        length = user.memory["mask"].shape[1] if user.memory else 0
        vectors = max(length, self.head.breadth, self.perspectives is not None)
        if not vectors:
            return self.score_candidates(user, author.unsqueeze(0))
        step = max(1, chunk // (user.top.shape[0] * vectors))
        pieces = [self.score_candidates(user, part.unsqueeze(0)) for part in author.split(step)]
        return torch.cat(pieces, dim=1)

    def auxiliary_loss(
        self,
        user: EncodedUser,
        author: EncodedAuthor,
        labels: torch.Tensor,
        weights: torch.Tensor | None = None,
    ) -> torch.Tensor | None:
        """Sum () of the parts' auxiliary losses on each user's own candidates (B, C, ·), or None.

        Args:
            labels: (B, C) of the first task.
            weights: (B,) as in :mod:`~mmbee_plugin.modules.losses`.
        """
        loss = self.backbone.auxiliary_loss(user.memory, author.author, labels, weights)
        if self.perspectives is None:
            return loss
        views = expect_given("user.views", user.views), expect_given("author.views", author.views)
        sides = self.perspectives.loss(*views, labels, weights)
        return sides if loss is None else loss + sides

    def _added(self, user: EncodedUser, author: EncodedAuthor) -> Iterator[torch.Tensor]:
        """Terms (B, C) that parts beside the head add to the first task's logits."""
        if self.reach is not None:
            yield self.reach(user.reach_ids, user.reach_weights, author.ids)
        if self.perspectives is not None:
            yield self.perspectives(user.views, author.views)

    def _head(self) -> Head:
        # Gain 1: the block starts at the identity, 0: at zero. Pre-trained node blocks get 1; user ids 1 only if no
        # side has nodes (else both towers start at zero and get no gradient); author ids 1 only without user ids.
        settings, width = self.settings, self.settings.width
        ids = settings.user_ids + self.backbone.user_width // width
        user_nodes, author_nodes = self._blocks(self.user_interest), self._blocks(self.author_interest)
        nodes = any(gain for _, gain in user_nodes + author_nodes)
        user = [(width, 0.0 if nodes else 1.0)] * ids + user_nodes
        author = [(width, 0.0 if ids else 1.0), *self._blocks(self.content), *author_nodes]
        inputs = HeadInputs(ids, user, author, self.backbone.cross_width)
        return head_of(settings.backbone, settings.head).from_settings(settings, inputs)

    def _blocks(self, part: Content | Interest | None) -> list[Block]:
        """The output of a part: blocks of width d with its gain, or one block of any width at gain 0."""
        if part is None:
            return []
        if not part.gain:
            return [(part.out_width, 0.0)]
        width = self.settings.width
        return [(width, part.gain)] * (part.out_width // width)
