"""GTRModel: the gift-through rate of a user for an author's current segment (MMBee, eq. 1).

One model, composed by name: a backbone looks at the history with the target in mind, a content encoder at the author's
segments, an interest encoder at both sides' metapath neighbours, and a head scores. It owns no table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from mmbee_plugin.modules.backbone import Backbone, Memory
from mmbee_plugin.modules.batch import AuthorSide, UserSide
from mmbee_plugin.modules.concat import Concat
from mmbee_plugin.modules.din import DIN
from mmbee_plugin.modules.gie import GIE
from mmbee_plugin.modules.heads import DotHead, MLPHead
from mmbee_plugin.modules.mean import MeanHistory
from mmbee_plugin.modules.mfq import MFQ
from mmbee_plugin.modules.reach import Reach
from mmbee_plugin.modules.sim import SIM, SIMSettings
from mmbee_plugin.modules.tokens import ContentSettings


@dataclass(frozen=True)
class GTRSettings:
    """Which parts make the model, and their shapes."""

    backbone: str = "sim"
    """sim, din or mean."""
    content: str = "mfq"
    """none, concat or mfq."""
    interest: str = "gie"
    """none or gie."""
    head: str = "mlp"
    """mlp (the paper's) or dot (two towers)."""
    width: int = 64
    """model width d."""
    hidden: tuple[int, int] = (200, 80)
    """hidden widths of the mlp head."""
    dropout: float = 0.0
    """dropout in the head."""
    pooling: str = "concat"
    """concat: one mean per metapath; union: one mean over a side's metapaths."""
    user_metapaths: tuple[str, ...] = ()
    """metapaths that start at the user, in the order of the tensors."""
    author_metapaths: tuple[str, ...] = ()
    """metapaths that start at the author."""
    attribute_width: int = 0
    """width D of the neighbours' mean attributes, 0 for none."""
    reach: bool = False
    """add what the stored long walk says of the pair."""


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


@dataclass
class EncodedAuthor:
    """A batch of authors, ready to meet any user."""

    top: torch.Tensor
    """(C, h) or (B, C, h) the head's author part."""
    author: torch.Tensor
    """(C, d) or (B, C, d) id vectors, the backbone's target."""

    ids: torch.Tensor | None = None
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
        ids = None if self.ids is None else change(self.ids)
        return EncodedAuthor(change(self.top), change(self.author), ids)

    @staticmethod
    def cat(parts: list[EncodedAuthor]) -> EncodedAuthor:
        """Pieces put together again, along the authors."""
        ids = [part.ids for part in parts if part.ids is not None]
        return EncodedAuthor(
            torch.cat([part.top for part in parts]),
            torch.cat([part.author for part in parts]),
            torch.cat(ids) if ids else None,
        )


BACKBONES: dict[str, Callable[[GTRSettings, SIMSettings], Backbone]] = {
    "sim": lambda settings, sim: SIM(sim),
    "din": lambda settings, sim: DIN(settings.width),
    "mean": lambda settings, sim: MeanHistory(settings.width),
}
CONTENTS: dict[str, Callable[[ContentSettings], nn.Module] | None] = {
    "none": None,
    "concat": Concat,
    "mfq": MFQ,
}
INTERESTS: dict[str, type[GIE] | None] = {"none": None, "gie": GIE}
HEADS = ("mlp", "dot")


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
        self.backbone = BACKBONES[settings.backbone](settings, sim)
        encoder = CONTENTS[settings.content]
        self.content = encoder(content) if encoder is not None and content.widths else None
        self.user_interest = self._interest(settings.user_metapaths)
        self.author_interest = self._interest(settings.author_metapaths)
        self.reach = Reach() if settings.reach else None
        blocks = {
            part: width // settings.width
            for part, width in (
                ("summary", self.backbone.user_width),
                ("content", self._width(self.content)),
                ("user_interest", self._width(self.user_interest)),
                ("author_interest", self._width(self.author_interest)),
            )
        }
        cross_width = self.backbone.cross_width
        self.head: MLPHead | DotHead
        if settings.head == "dot":
            user_gains = [1.0] * (1 + blocks["summary"] + blocks["user_interest"])
            # Content starts silent: unlike a node vector, it means nothing to the user's tower yet.
            author_gains = [1.0, *[0.0] * blocks["content"], *[1.0] * blocks["author_interest"]]
            self.head = DotHead(user_gains, author_gains, cross_width, settings.width, settings.dropout)
        else:
            user_width = settings.width * (1 + blocks["summary"] + blocks["user_interest"])
            author_width = settings.width * (1 + blocks["content"] + blocks["author_interest"])
            self.head = MLPHead(user_width, author_width, cross_width, settings.hidden, settings.dropout)

    def encode_user(self, side: UserSide) -> EncodedUser:
        """Everything about ``B`` users that does not depend on a target."""
        parts = [side.user]
        summary = self.backbone.summary(side)
        if summary is not None:
            parts.append(summary)
        if self.user_interest is not None:
            parts.append(self.user_interest(side.neighbours, side.neighbour_count, side.attributes))
        top = self.head.user(torch.cat(parts, dim=1))
        return EncodedUser(top, self.backbone.remember(side), side.reach_ids, side.reach_weights)

    def encode_author(self, side: AuthorSide) -> EncodedAuthor:
        """Everything about ``C`` authors that does not depend on a user."""
        parts = [side.author]
        if self.content is not None:
            parts.append(self.content(side))
        if self.author_interest is not None:
            parts.append(self.author_interest(side.neighbours, side.neighbour_count, side.attributes))
        return EncodedAuthor(self.head.author(torch.cat(parts, dim=1)), side.author, side.ids)

    def score(self, user: EncodedUser, author: EncodedAuthor) -> torch.Tensor:
        """Logits (B,) of aligned rows."""
        return self.score_candidates(user, author.unsqueeze(1)).squeeze(1)

    def score_candidates(self, user: EncodedUser, author: EncodedAuthor) -> torch.Tensor:
        """Logits (B, C) of each user against its own ``C`` candidates: author fields (B, C, ·) or shared (1, C, ·)."""
        cross = self.backbone.cross(user.memory, author.author)
        logits = self.head.pair(user.top, author.top, cross)
        if self.reach is not None:
            logits = logits + self.reach(user.reach_ids, user.reach_weights, author.ids)
        return logits

    def score_all(self, user: EncodedUser, author: EncodedAuthor, chunk: int = 1 << 20) -> torch.Tensor:
        """Logits (B, C) of every user against every author (fields (C, ·)).

        Args:
            chunk: pairs times history length scored at once; bounds memory.
        """
        rows = user.top.shape[0] * (user.memory["mask"].shape[1] if user.memory else 1)
        step = max(1, chunk // rows)
        pieces = [self.score_candidates(user, part.unsqueeze(0)) for part in author.split(step)]
        return torch.cat(pieces, dim=1)

    def auxiliary_logits(self, user: EncodedUser, author: EncodedAuthor) -> torch.Tensor | None:
        """Logits (B, C) of the backbone's own task on each user's candidates, or None."""
        return self.backbone.auxiliary_logits(user.memory, author.author)

    def _interest(self, metapaths: tuple[str, ...]) -> GIE | None:
        kind = INTERESTS[self.settings.interest]
        if kind is None or not metapaths:
            return None
        return kind(metapaths, self.settings.width, self.settings.attribute_width, self.settings.pooling)

    @staticmethod
    def _width(part: Any) -> int:
        return 0 if part is None else part.out_width
