"""GIE: the vectors of a node's metapath neighbours as its expanded interest (MMBee, section 5.3, eq. 10-12)."""

from __future__ import annotations

from typing import Self

import torch
from torch import nn

from mmbee_plugin.modules.batch import AuthorSide, UserSide
from mmbee_plugin.modules.interest import Interest
from mmbee_plugin.modules.shapes import GTRSettings


class GIE(Interest):
    r"""Interest of one side from its neighbours, already pooled.

    A neighbour's vector is its row of the node table Θ plus its projected content attribute. A mean commutes with
    a projection, so pooled rows and mean attributes suffice:

    .. math:: h_\rho = \overline{\Theta}_\rho + W \bar x_\rho

    where an absent attribute counts as zero, the mean of standardised ones. A mean over nobody is a learned vector.
    The paper takes one mean, over the set that a side's metapaths lead to (``set``); one mean a metapath, side by
    side, is the default (``concat``). Whether the mean is plain, as in eq. 12, or weighted by the neighbours' scores
    is up to whoever pools them.

    Args:
        metapaths: names of the side's metapaths, for ``concat`` in the order of the tensors.
        width: model width ``d``.
        attribute_width: width ``D`` of the raw attributes, 0 for none.
        pooling: ``concat`` or ``set``.

    Shapes:
        P is the number of metapaths, or 1 for ``set``.

        - neighbours: :math:`(B, P, d)`; count: :math:`(B, P)`; attributes: :math:`(B, P, D)` or None
        - output: :math:`(B, P d)`
    """

    POOLINGS = ("concat", "set")
    takes_means = True
    gain = 1.0

    @classmethod
    def from_settings(cls, settings: GTRSettings, metapaths: tuple[str, ...]) -> Self | None:
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
        pooled = neighbours
        if self.attribute is not None and attributes is not None:
            pooled = pooled + self.attribute(attributes)
        return torch.where((count > 0).unsqueeze(-1), pooled, self.empty).flatten(1)

    def read(self, own: torch.Tensor | None, side: UserSide | AuthorSide) -> torch.Tensor:
        """The interest of a side, whose id vectors ``own`` it does not need."""
        assert side.neighbours is not None and side.neighbour_count is not None
        return self(side.neighbours, side.neighbour_count, side.attributes)
