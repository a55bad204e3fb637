"""GTRModel: the gift-through rate of a user for an author's current segment (MMBee, eq. 1).

One model, composed by name: a backbone looks at the history with the target in mind, a content encoder at the author's
segments, an interest encoder at both sides' neighbours in the graphs, and a head scores. It owns no table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import nn

from mmbee_plugin.modules.backbone import Backbone, Memory
from mmbee_plugin.modules.batch import AuthorSide, UserSide
from mmbee_plugin.modules.bdr import PeerAttention, Perspectives
from mmbee_plugin.modules.concat import Concat
from mmbee_plugin.modules.dien import DIEN
from mmbee_plugin.modules.din import DIN
from mmbee_plugin.modules.ego_fusion import EgoFusion
from mmbee_plugin.modules.gie import GIE
from mmbee_plugin.modules.heads import Block, DotHead, Head, MLPHead, total_width
from mmbee_plugin.modules.mean import MeanHistory
from mmbee_plugin.modules.mfq import MFQ
from mmbee_plugin.modules.mmoe import MMoEHead
from mmbee_plugin.modules.mta import MTA
from mmbee_plugin.modules.reach import Reach
from mmbee_plugin.modules.sasrec import SASRec
from mmbee_plugin.modules.sim import SIM, SIMSettings
from mmbee_plugin.modules.tokens import ContentSettings


@dataclass(frozen=True)
class GTRSettings:
    """Which parts make the model, and their shapes."""

    backbone: str = "sim"
    """sim, din, dien, sasrec, mmoe (the mean of the history under a head of its own) or mean."""
    content: str = "mfq"
    """none, concat, mfq, mta or ego_fusion."""
    interest: str = "gie"
    """none, gie or bdr."""
    head: str = "mlp"
    """mlp (the paper's) or dot (ids and two towers); unused with mmoe."""
    width: int = 64
    """model width d."""
    hidden: tuple[int, int] = (200, 80)
    """hidden widths of the mlp head; of mmoe's experts and of their towers."""
    dropout: float = 0.0
    """dropout in the head."""
    history_dropout: float = 0.0
    """dropout in sasrec; no other backbone has any."""
    pooling: str = "concat"
    """concat: one mean per metapath; set: one mean over all that a side's metapaths lead to, each once."""
    neighbour_weights: bool = True
    """whether the means given are weighted by the neighbours' scores, or plain."""
    user_metapaths: tuple[str, ...] = ()
    """metapaths that start at the user, in the order of the tensors."""
    author_metapaths: tuple[str, ...] = ()
    """metapaths that start at the author."""
    attribute_width: int = 0
    """width D of the neighbours' mean attributes, 0 for none."""
    reach: bool = False
    """add what the stored long walk says of the pair."""
    reach_floor: float = 1e-4
    """entry of the long walk's list that starts to count: a probability, or a lift (about 10) where it holds lifts."""
    reach_weight: float = 1.0
    """what its logarithm weighs at the start; a list of probabilities drowns an MLP's first logits, so 0 there."""
    user_ids: bool = True
    """whether a user has an id vector; without one a user is known by history and neighbours alone."""
    tasks: tuple[str, ...] = ("gift",)
    """what mmoe predicts, the first of them the one to rank by; every other backbone predicts the first alone."""
    experts: int = 8
    """experts of mmoe."""


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


BACKBONES: dict[str, Callable[[GTRSettings, SIMSettings], Backbone]] = {
    "sim": lambda settings, sim: SIM(sim),
    "din": lambda settings, sim: DIN(settings.width),
    "dien": lambda settings, sim: DIEN(settings.width),
    "sasrec": lambda settings, sim: SASRec(settings.width, settings.history_dropout),
    "mmoe": lambda settings, sim: MeanHistory(settings.width),
    "mean": lambda settings, sim: MeanHistory(settings.width),
}
CONTENTS: dict[str, Callable[[ContentSettings], nn.Module] | None] = {
    "none": None,
    "concat": Concat,
    "mfq": MFQ,
    "mta": MTA,
    "ego_fusion": EgoFusion,
}
INTERESTS = ("none", "gie", "bdr")
HEADS = ("mlp", "dot")


def needs_user_ids(backbone: str, interest: str, metapaths: Sequence[str]) -> str | None:
    """Why these parts cannot do without users' id vectors, or None if they can."""
    if interest == "bdr":
        return "user_ids false: interest bdr reads users' id vectors; set user_ids to true"
    pooled = interest == "gie" and any(path.startswith("u") for path in metapaths)
    if backbone in ("sim", "din", "dien") and not pooled:
        known = f"backbone {backbone} without a metapath from users knows nothing of a user alone"
        return f"user_ids false: {known}; set user_ids to true"
    return None


def needs_prefixes(backbone: str, short: int, history: str) -> str | None:
    """Why a backbone cannot be trained on histories of this kind (``prefix``, ``others``, ``daily``), or None.

    Args:
        short: newest behaviours that SIM's second unit reads.
    """
    if (backbone in ("dien", "sasrec") or (backbone == "sim" and short)) and history == "others":
        reads = f"backbone {backbone} reads the order of behaviours"
        return f"{reads}, and history others has what came after the target; set history to prefix"
    return None


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
        bdr = settings.interest == "bdr"
        self.perspectives = Perspectives(settings.width, dropout=settings.dropout) if bdr else None
        self.reach = Reach(settings.reach_weight, settings.reach_floor) if settings.reach else None
        self.head = self._head()

    @property
    def tasks(self) -> tuple[str, ...]:
        """What ``score_tasks`` scores, in order."""
        return self.settings.tasks[: self.head.tasks]

    @property
    def pays_per_pair(self) -> bool:
        """True if scoring a pair needs attention, experts or BDR; the softmax then uses each row's own candidates."""
        heavy = self.backbone.cross_width or self.perspectives is not None or self.head.breadth > 1
        return bool(heavy)

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

    def _interest(self, metapaths: tuple[str, ...]) -> GIE | PeerAttention | None:
        settings = self.settings
        if settings.interest == "bdr":
            return PeerAttention(settings.width)
        if settings.interest == "none" or not metapaths:
            return None
        return GIE(metapaths, settings.width, settings.attribute_width, settings.pooling)

    def _head(self) -> Head:
        settings, cross_width = self.settings, self.backbone.cross_width
        # Gain 1: the block starts at the identity, 0: at zero. Pre-trained node blocks get 1; user ids 1 only if no
        # side has nodes (else both towers start at zero and get no gradient); author ids 1 only without user ids.
        width = settings.width
        ids = settings.user_ids + self.backbone.user_width // width
        user_nodes, author_nodes = self._blocks(self.user_interest), self._blocks(self.author_interest)
        nodes = any(gain for _, gain in user_nodes + author_nodes)
        user_blocks = [(width, 0.0 if nodes else 1.0)] * ids + user_nodes
        author_blocks = [(width, 0.0 if ids else 1.0), *self._blocks(self.content), *author_nodes]
        if settings.backbone != "mmoe" and settings.head == "dot":
            return DotHead(ids, user_blocks, author_blocks, cross_width, width, settings.dropout)
        widths = total_width(user_blocks), total_width(author_blocks)
        if settings.backbone == "mmoe":
            return MMoEHead(*widths, settings.hidden, len(settings.tasks), settings.experts, settings.dropout)
        return MLPHead(*widths, cross_width, settings.hidden, settings.dropout)

    def _blocks(self, part: Any) -> list[Block]:
        """What a part gives: blocks of width d with its gain, or one at gain 0, of any width."""
        if part is None:
            return []
        if not (gain := getattr(part, "gain", 0.0)):
            return [(part.out_width, 0.0)]
        width = self.settings.width
        return [(width, gain)] * (part.out_width // width)
