"""GIE: graph-guided interest expansion (MMBee, section 5.3, eq. 10-12)."""

from __future__ import annotations

from typing import Self, get_args

import torch
from torch import nn

from mmbee_plugin.modules.batch import AuthorSide, UserSide
from mmbee_plugin.modules.expect import expect_given, expect_width
from mmbee_plugin.modules.interest import Interest
from mmbee_plugin.modules.shapes import GTRShapes, Pooling


class GIE(Interest):
    r"""Expanded interest of a user or an author: means over its neighbours along metapaths.

    A neighbour's vector is its row of the node table Θ plus its projected content attribute. A mean commutes with
    a projection, so the mean row and the mean attribute suffice:

    .. math:: h_\rho = \overline{\Theta}_\rho + W \bar x_\rho

    where an absent attribute counts as zero, the mean of standardised ones. A node without neighbours gets a learned
    vector. The paper takes one mean, over the set of a side's neighbours (``set``); one mean a metapath, side by side,
    is the default (``concat``). The means given may be plain, as in eq. 12, or weighted by the neighbours' scores.

    Source: MMBee (https://arxiv.org/abs/2407.00056), eq. 10-12.

    Args:
        metapaths: names of the side's metapaths, for ``concat`` in the order of the tensors.
        width: model width ``d``.
        attribute_width: width ``D`` of the raw attributes, 0 for none.
        pooling: ``concat`` or ``set``.

    Shapes:
        P is the number of metapaths, or 1 for ``set``.

        - neighbours: :math:`(B, P, d)`; count: :math:`(B, P)`; attributes: :math:`(B, P, D)` or None
        - output: :math:`(B, P d)`

    Raises:
        ValueError: means of another number or width.

    Example:
        >>> gie = GIE(("u2a2u", "u2a2a"), width=8)
        >>> gie(torch.randn(3, 2, 8), torch.tensor([[4, 0], [1, 2], [0, 0]])).shape
        torch.Size([3, 16])
    """

    POOLINGS = get_args(Pooling)
    reads = (
        *("metapaths", "pooling", "neighbour_weights", "attributes", "node_tables", "node_std"),
        *("graph", "reach_top_k", "reach"),
    )
    takes_means = True
    gain = 1.0

    @classmethod
    def from_settings(cls, settings: GTRShapes, metapaths: tuple[str, ...]) -> Self | None:
        if not metapaths:
            return None
        return cls(metapaths, settings.width, settings.attribute_width, settings.pooling)

    def __init__(
        self, metapaths: tuple[str, ...], width: int, attribute_width: int = 0, pooling: str = "concat"
    ) -> None:
        super().__init__()
        if pooling not in self.POOLINGS:
            raise ValueError(f"unknown pooling {pooling!r}; known: {', '.join(self.POOLINGS)}")
        means = 1 if pooling == "set" else len(metapaths)
        self.empty = nn.Parameter(torch.randn(means, width) * 0.02)
        self.attribute = nn.Linear(attribute_width, width, bias=False) if attribute_width else None
        self.out_width = width * means

    def forward(
        self,
        neighbours: torch.Tensor,
        count: torch.Tensor,
        attributes: torch.Tensor | None = None,
    ) -> torch.Tensor:
        if neighbours.shape[1:] != self.empty.shape:
            found, expected = tuple(neighbours.shape[1:]), tuple(self.empty.shape)
            raise ValueError(f"neighbours: means of shape {found}, expected {expected}")
        means = self.mean(neighbours, attributes)
        return torch.where((count > 0).unsqueeze(-1), means, self.empty).flatten(1)

    def mean(self, neighbours: torch.Tensor, attributes: torch.Tensor | None = None) -> torch.Tensor:
        """Means (B, P, d) of the neighbours with their attributes; given as ``neighbours``, they stand for both."""
        if self.attribute is None or attributes is None:
            return neighbours
        expect_width("attributes", attributes, self.attribute.in_features)
        return neighbours + self.attribute(attributes)

    def read(self, own: torch.Tensor | None, side: UserSide | AuthorSide) -> torch.Tensor:
        count = expect_given("neighbour_count", side.neighbour_count)
        return self(expect_given("neighbours", side.neighbours), count, side.attributes)
