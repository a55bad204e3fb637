"""GTRModel: the gift-through rate of a user for an author's current segment (MMBee, eq. 1).

One model, composed by name: a backbone looks at the history with the target in mind, a content encoder at the author's
segments, an interest encoder at both sides' neighbours in the graphs, and a head scores. It owns no table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import torch
from torch import nn

from mmbee_plugin.modules.backbone import Memory
from mmbee_plugin.modules.batch import AuthorSide, UserSide
from mmbee_plugin.modules.content import Content
from mmbee_plugin.modules.heads import Block, Head, HeadInputs
from mmbee_plugin.modules.interest import Interest
from mmbee_plugin.modules.parts import BACKBONES, CONTENTS, INTERESTS, head_of, pays_per_pair
from mmbee_plugin.modules.reach import Reach
from mmbee_plugin.modules.shapes import ContentSettings, GTRSettings, SIMSettings


@dataclass
class EncodedUser:
    """A batch of users, ready to meet any author."""

    top: torch.Tensor
    """(B, h) the head's user part."""
    memory: Memory
    """the backbone's tensors, first axis B."""
    reach_ids: torch.Tensor | None = None
    """(B, K) as in :class:`UserSide`."""
    reach_weights: torch.Tensor | None = None
    """(B, K)."""
    views: torch.Tensor | None = None
    """(B, 2d) what BDR compares: the users seen through their peers, and their id vectors."""


@dataclass
class EncodedAuthor:
    """A batch of authors, ready to meet any user."""

    top: torch.Tensor
    """(C, h) or (B, C, h) the head's author part."""
    author: torch.Tensor
    """(C, d) or (B, C, d) id vectors, the backbone's target."""
    ids: torch.Tensor | None = None
    """(C,) or (B, C) as in :class:`AuthorSide`."""
    views: torch.Tensor | None = None
    """(C, 2d) or (B, C, 2d), BDR's as on the user's side."""
    category: torch.Tensor | None = None
    """(C,) or (B, C) as in :class:`AuthorSide`."""

    def take(self, index: torch.Tensor) -> EncodedAuthor:
        """Rows by position: index (B, C) into C' authors -> fields (B, C, ·)."""
        return self._each(lambda field: field[index])

    def unsqueeze(self, axis: int) -> EncodedAuthor:
        """Every field with one more axis."""
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
        """Pieces put together again, along the authors."""
        first = parts[0]
        known = [one.name for one in fields(first) if getattr(first, one.name) is not None]
        return EncodedAuthor(**{name: torch.cat([getattr(part, name) for part in parts]) for name in known})


class GTRModel(nn.Module):
    """Backbone x content x interest, then a head.

    Args:
        settings: names and shapes of the parts.
        content: shapes of the content encoder; an empty ``widths`` means there is no content.
        sim: shapes of SIM.
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
        """What ``score_tasks`` scores, in order."""
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
        return self.backbone.may_have_unused_parameters or one_segment or one_task

    def encode_user(self, side: UserSide) -> EncodedUser:
        """Everything about ``B`` users that does not depend on a target."""
        parts = [] if side.user is None else [side.user]
        summary = self.backbone.summary(side)
        if summary is not None:
            parts.append(summary)
        if self.user_interest is not None:
            parts.append(self.user_interest.read(side.user, side))
        top = self.head.user(torch.cat(parts, dim=1))
        views = None
        if self.perspectives is not None:
            assert side.user is not None
            views = torch.cat([parts[-1], side.user], dim=1)
        return EncodedUser(top, self.backbone.remember(side), side.reach_ids, side.reach_weights, views)

    def encode_author(self, side: AuthorSide) -> EncodedAuthor:
        """Everything about ``C`` authors that does not depend on a user."""
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
        """Logits (B, C) of the first task for each user against its own ``C`` candidates.

        The author's fields are (B, C, ·), or shared (1, C, ·).
        """
        return self.score_tasks(user, author, 1).squeeze(2)

    def score_tasks(self, user: EncodedUser, author: EncodedAuthor, tasks: int | None = None) -> torch.Tensor:
        """Logits (B, C, T) of the first ``tasks`` tasks, all by default; fields as in ``score_candidates``."""
        cross = self.backbone.cross(user.memory, author.author, author.category)
        logits = self.head.pair(user.top, author.top, cross, tasks)
        for gift in self._added(user, author):
            logits = torch.cat([logits[:, :, :1] + gift.unsqueeze(2), logits[:, :, 1:]], dim=2)
        return logits

    def score_all(self, user: EncodedUser, author: EncodedAuthor, chunk: int = 1 << 20) -> torch.Tensor:
        """Logits (B, C) of every user against every author (fields (C, ·)).

        Args:
            chunk: pairs scored at once, times their history length or experts; bounds memory.
        """
        length = user.memory["mask"].shape[1] if user.memory else 1
        rows = user.top.shape[0] * max(length, self.head.breadth)
        step = max(1, chunk // rows)
        pieces = [self.score_candidates(user, part.unsqueeze(0)) for part in author.split(step)]
        return torch.cat(pieces, dim=1)

    def auxiliary_loss(
        self,
        user: EncodedUser,
        author: EncodedAuthor,
        labels: torch.Tensor,
        weights: torch.Tensor | None = None,
    ) -> torch.Tensor | None:
        """Loss () of what the parts learn beside the score, on each user's own candidates (B, C, ·), or None.

        Args:
            labels: (B, C) of the first task.
            weights: (B,) as in :mod:`~mmbee_plugin.modules.losses`.
        """
        loss = self.backbone.auxiliary_loss(user.memory, author.author, labels, weights)
        if self.perspectives is None:
            return loss
        assert user.views is not None and author.views is not None
        sides = self.perspectives.loss(user.views, author.views, labels, weights)
        return sides if loss is None else loss + sides

    def _added(self, user: EncodedUser, author: EncodedAuthor) -> Iterator[torch.Tensor]:
        """What parts beside the head add to the first task's logits, each (B, C)."""
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
