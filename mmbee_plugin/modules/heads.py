"""Heads turn user, author and cross vectors into logits; one-sided terms are computed once a side, not a pair."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Self

import torch
from torch import nn

from mmbee_plugin.modules.dropout import Dropout
from mmbee_plugin.modules.expect import expect_width
from mmbee_plugin.modules.shapes import GTRShapes

Block = tuple[int, float]
"""Width of a part of a head's input, and gain at which it starts in a dot head's tower."""


class HeadInputs(NamedTuple):
    """Vectors that a head reads of a user, an author and a pair."""

    ids: int
    """How many of the user's blocks, the first ones, are of the space of id vectors."""
    user: Sequence[Block]
    """Blocks of the user vector."""
    author: Sequence[Block]
    """Blocks of the author vector, the id vector first."""
    cross_width: int
    """Width of the cross vector, 0 for none."""


def total_width(blocks: Sequence[Block]) -> int:
    """Width of the blocks side by side.

    Example:
        >>> total_width([(64, 1.0), (32, 0.0)])
        96
    """
    return sum(width for width, _ in blocks)


class Head(nn.Module):
    """Base of the heads: ``user`` and ``author`` run once a side, ``pair`` for every pair."""

    reads: tuple[str, ...] | None = None
    """Those of the settings marked `ReadBy` that it reads; None: perhaps any."""
    several_tasks: bool = False
    """Whether it predicts all tasks of the settings, not the first alone."""
    per_pair: bool = False
    """Whether a pair costs more than the last layers of an MLP."""

    tasks: int = 1
    """Logits of a pair."""
    breadth: int = 1
    """Vectors of hidden width that a pair needs at once; bounds how many pairs fit into memory."""

    @classmethod
    def from_settings(cls, settings: GTRShapes, inputs: HeadInputs) -> Self:
        """The head of a model with these settings."""
        raise NotImplementedError

    def user(self, x: torch.Tensor) -> torch.Tensor:
        """User vectors (B, D_u) -> (B, h)."""
        raise NotImplementedError

    def author(self, x: torch.Tensor) -> torch.Tensor:
        """Author vectors (C, D_a) -> (C, h')."""
        raise NotImplementedError

    def pair(
        self, user: torch.Tensor, author: torch.Tensor, cross: torch.Tensor | None, tasks: int | None = None
    ) -> torch.Tensor:
        """user (B, h), author (B|1, C, h'), cross (B, C, D_c) or None -> logits (B, C, T).

        Args:
            tasks: number of tasks T to score, the first ones; all by default.
        """
        raise NotImplementedError


def tower(widths: Sequence[int], dropout: float = 0.0) -> list[nn.Module]:
    """Layers from ``widths[0]`` activations over the other widths to one number, with dropout on the input."""
    layers: list[nn.Module] = [nn.Dropout(dropout)]
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.PReLU()]
    return [*layers, nn.Linear(widths[-1], 1)]


class MLPHead(Head):
    r"""The paper's head: an MLP over the concatenated vectors.

    .. math:: \mathrm{MLP}([x_u ; x_a ; x_c]),\quad W [x_u ; x_a ; x_c] = W_u x_u + W_a x_a + W_c x_c

    Args:
        user_width, author_width, cross_width: widths of the three inputs; no cross part at 0.
        hidden: widths of the hidden layers.
        dropout: before the second layer, in training.

    Example:
        >>> head = MLPHead(user_width=8, author_width=6, cross_width=4, hidden=(16, 8))
        >>> user, author = head.user(torch.randn(5, 8)), head.author(torch.randn(7, 6))
        >>> head.pair(user, author.unsqueeze(0), cross=torch.randn(5, 7, 4)).shape
        torch.Size([5, 7, 1])
    """

    reads = ("hidden",)

    @classmethod
    def from_settings(cls, settings: GTRShapes, inputs: HeadInputs) -> Self:
        widths = total_width(inputs.user), total_width(inputs.author)
        return cls(*widths, inputs.cross_width, settings.hidden, settings.dropout)

    def __init__(
        self,
        user_width: int,
        author_width: int,
        cross_width: int,
        hidden: Sequence[int] = (200, 80),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.from_user = nn.Linear(user_width, hidden[0])
        self.from_author = nn.Linear(author_width, hidden[0], bias=False)
        if cross_width:
            self.from_cross = nn.Linear(cross_width, hidden[0], bias=False)
        self.rest = nn.Sequential(nn.PReLU(), *tower(hidden, dropout))

    def user(self, x: torch.Tensor) -> torch.Tensor:
        expect_width("user vectors", x, self.from_user.in_features)
        return self.from_user(x)

    def author(self, x: torch.Tensor) -> torch.Tensor:
        expect_width("author vectors", x, self.from_author.in_features)
        return self.from_author(x)

    def pair(
        self, user: torch.Tensor, author: torch.Tensor, cross: torch.Tensor | None, tasks: int | None = None
    ) -> torch.Tensor:
        hidden = user.unsqueeze(1) + author
        if cross is not None:
            hidden = hidden + self.from_cross(cross)
        return self.rest(hidden)


class DotHead(Head):
    r"""The dot product of id vectors plus that of two towers: the head for ranking all authors.

    .. math::
        \langle \sum_k e_k + W_c x_c,\ v \rangle + \langle W_u x_u,\ W_a x_a \rangle + \langle w, x_a \rangle

    The inputs x are blocks. The user's are first those of the space of id vectors, e (the id vector, the summary of the
    history), the author's first its id vector v; then come the output of the content encoder and the means over
    neighbours. Blocks have width ``d``, except content. The towers read all blocks; id vectors are multiplied once
    more without matrix and dropout. A block starts in its tower as the identity times its gain: at gain 1 the node
    vectors of GraphCL score from the first step, at gain 0 a block is zero until training finds it useful. W_c and w
    start at zero.

    Args:
        ids: number of the user's blocks in the space of id vectors.
        user_blocks, author_blocks: width and starting gain of each block of the two inputs.
        cross_width: width of the cross part x_c; none at 0.
        width: width ``d`` of the towers and of every block with a gain.
        dropout: on the inputs of both towers, in training.

    Example:
        >>> head = DotHead(ids=1, user_blocks=[(4, 1.0)], author_blocks=[(4, 0.0)], cross_width=0, width=4)
        >>> user, author = torch.randn(5, 4), torch.randn(7, 4)
        >>> logits = head.pair(head.user(user), head.author(author).unsqueeze(0), cross=None).squeeze(2)
        >>> torch.allclose(logits, user @ author.T, atol=1e-5)  # towers of gain 1 and 0: ids alone at the start
        True
    """

    reads = ()
    breadth = 0

    @classmethod
    def from_settings(cls, settings: GTRShapes, inputs: HeadInputs) -> Self:
        return cls(*inputs, settings.width, settings.dropout)

    def __init__(
        self,
        ids: int,
        user_blocks: Sequence[Block],
        author_blocks: Sequence[Block],
        cross_width: int,
        width: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.ids = ids
        self.width = width
        self.from_user = nn.Linear(total_width(user_blocks), width, bias=False)
        self.from_author = nn.Linear(total_width(author_blocks), width, bias=False)
        self.bias = nn.Linear(total_width(author_blocks), 1, bias=False)
        self.dropout = Dropout(dropout)
        if cross_width:
            self.from_cross = nn.Linear(cross_width, width, bias=False)
            nn.init.zeros_(self.from_cross.weight)
        nn.init.zeros_(self.bias.weight)
        with torch.no_grad():
            for tower, blocks in ((self.from_user, user_blocks), (self.from_author, author_blocks)):
                tower.weight.copy_(torch.cat([gain * torch.eye(width, size) for size, gain in blocks], dim=1))

    def user(self, x: torch.Tensor) -> torch.Tensor:
        expect_width("user vectors", x, self.from_user.in_features)
        own = x[:, : self.ids * self.width].unflatten(1, (self.ids, self.width)).sum(dim=1)
        return torch.cat([own, self.from_user(self.dropout(x))], dim=1)

    def author(self, x: torch.Tensor) -> torch.Tensor:
        expect_width("author vectors", x, self.from_author.in_features)
        kept = self.dropout(x)
        return torch.cat([x[..., : self.width], self.from_author(kept), self.bias(kept)], dim=-1)

    def pair(
        self, user: torch.Tensor, author: torch.Tensor, cross: torch.Tensor | None, tasks: int | None = None
    ) -> torch.Tensor:
        sides, bias = author[..., :-1], author[..., -1]  # (1|B, C, 2d): v and the tower
        if author.shape[0] == 1:  # then a plain matrix product
            scores = torch.addmm(bias, user, sides[0].T)
        else:
            scores = (sides @ user.unsqueeze(2)).squeeze(2) + bias
        if cross is not None:
            scores = scores + (self.from_cross(cross) * sides[..., : self.width]).sum(dim=2)
        return scores.unsqueeze(-1)
