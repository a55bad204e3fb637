"""GIE: the vectors of a node's metapath neighbours as its expanded interest (MMBee, section 5.3, eq. 10-12)."""

from __future__ import annotations

import torch
from torch import nn

from mmbee_plugin.modules.batch import AuthorSide, UserSide


class GIE(nn.Module):
    r"""Interest of one side from its neighbours, already pooled per metapath.

    A neighbour's vector is its row of the node table Θ plus its projected content attribute. A mean commutes with
    a projection, so pooled rows and mean attributes suffice:

    .. math:: h_\rho = \overline{\Theta}_\rho + W \bar x_\rho

    where an absent attribute counts as zero, the mean of standardised ones. A metapath without neighbours gives a
    learned vector. The paper averages over the union of a side's metapaths (``union``); one mean a metapath,
    concatenated, is the default (``concat``).

    Args:
        metapaths: names of the side's metapaths, in the order of the tensors.
        width: model width ``d``.
        attribute_width: width ``D`` of the raw attributes, 0 for none.
        pooling: ``concat`` or ``union``.

    Shapes:
        - neighbours: :math:`(B, P, d)`; count: :math:`(B, P)`; attributes: :math:`(B, P, D)` or None
        - output: :math:`(B, P d)`, or :math:`(B, d)` for ``union``
    """

    POOLINGS = ("concat", "union")
    gain = 1.0
    """starting gain of the blocks in a dot head."""

    def __init__(
        self, metapaths: tuple[str, ...], width: int, attribute_width: int = 0, pooling: str = "concat"
    ) -> None:
        super().__init__()
        if pooling not in self.POOLINGS:
            raise ValueError(f"unknown pooling {pooling!r}; known: {', '.join(self.POOLINGS)}")
        self.metapaths = metapaths
        self.pooling = pooling
        self.empty = nn.Parameter(torch.randn(len(metapaths), width) * 0.02)
        self.attribute = nn.Linear(attribute_width, width, bias=False) if attribute_width else None
        self.out_width = width * (1 if pooling == "union" else len(metapaths))

    def forward(
        self,
        neighbours: torch.Tensor,
        count: torch.Tensor,
        attributes: torch.Tensor | None = None,
    ) -> torch.Tensor:
        pooled = neighbours
        if self.attribute is not None and attributes is not None:
            pooled = pooled + self.attribute(attributes)
        present = count > 0
        if self.pooling == "concat":
            return torch.where(present.unsqueeze(-1), pooled, self.empty).flatten(1)
        weight = count.unsqueeze(-1).to(pooled.dtype)
        mean = (pooled * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
        return torch.where(present.any(dim=1, keepdim=True), mean, self.empty.mean(dim=0))

    def read(self, own: torch.Tensor | None, side: UserSide | AuthorSide) -> torch.Tensor:
        """The interest of a side, whose id vectors ``own`` it does not need."""
        assert side.neighbours is not None and side.neighbour_count is not None
        return self(side.neighbours, side.neighbour_count, side.attributes)
