"""BDR: a user and an author described by their most similar peers, scored from both perspectives.

A competitor in the MMBee paper, which gives no equations (section 6.2); these are our reading.
"""

from __future__ import annotations

from typing import Self

import torch
import torch.nn.functional as F
from torch import nn

from mmbee_plugin.modules import losses
from mmbee_plugin.modules.attention import masked_softmax
from mmbee_plugin.modules.batch import AuthorSide, UserSide
from mmbee_plugin.modules.expect import expect_given, expect_width
from mmbee_plugin.modules.heads import MLPHead
from mmbee_plugin.modules.interest import Interest, PairScore
from mmbee_plugin.modules.shapes import GTRShapes

PEER_PATHS = ("u2a2u", "a2a")
"""Metapaths to a user's and to an author's peers."""


class Perspectives(PairScore):
    r"""Score of a pair from both perspectives: the user described by its peers, and the author described by its peers.

    .. math:: s_u = \mathrm{MLP}_u([z_u ; e_a ; z_u \odot e_a]),\quad s_a = \mathrm{MLP}_a([z_a ; e_u ; z_a \odot e_u])

    Their mean is added to the logit of the gift, and each has a loss of its own. The first layers are split, so that a
    pair costs the product alone where the authors are shared.

    Args:
        width: model width ``d``.
        dropout: before the last layer, in training.
        hidden: width of the hidden layer.
        loss_weight: weight of the two losses.

    Shapes:
        - user: :math:`(B, 2d)`, ``[z_u ; e_u]``; author: :math:`(B|1, C, 2d)`, ``[z_a ; e_a]``
        - output: :math:`(B, C)`

    Example:
        >>> score = Perspectives(8)
        >>> score(torch.randn(3, 16), torch.randn(1, 5, 16)).shape  # 5 authors that all users share
        torch.Size([3, 5])
    """

    def __init__(self, width: int, dropout: float = 0.0, hidden: int = 64, loss_weight: float = 0.5) -> None:
        super().__init__(width, dropout)
        self.of_user = MLPHead(width, width, width, (hidden,), dropout)
        self.of_author = MLPHead(width, width, width, (hidden,), dropout)
        self.loss_weight = loss_weight

    def forward(self, user: torch.Tensor, author: torch.Tensor) -> torch.Tensor:
        of_user, of_author = self._both(user, author)
        return (of_user + of_author) / 2

    def loss(
        self,
        user: torch.Tensor,
        author: torch.Tensor,
        labels: torch.Tensor,
        weights: torch.Tensor | None = None,
    ) -> torch.Tensor:
        both = [
            losses.binary_cross_entropy(logits.float(), labels, weights=weights)
            for logits in self._both(user, author)
        ]
        return self.loss_weight * (both[0] + both[1])

    def _both(self, user: torch.Tensor, author: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        user_seen, user_own = user.chunk(2, dim=-1)  # (B, d)
        author_seen, author_own = author.chunk(2, dim=-1)  # (B|1, C, d)
        one, other = self.of_user, self.of_author
        of_user = one.pair(one.user(user_seen), one.author(author_own), user_seen.unsqueeze(1) * author_own)
        of_author = other.pair(
            other.user(user_own), other.author(author_seen), user_own.unsqueeze(1) * author_seen
        )
        return of_user.squeeze(-1), of_author.squeeze(-1)


class PeerAttention(Interest):
    r"""Attention of a node to its peers, the most similar nodes of its type, by fit and similarity.

    .. math:: z = \mathrm{LN}(e + W_o \sum_k \alpha_k W e_k),\quad
              \alpha = \mathrm{softmax}_k(\mathrm{LeakyReLU}(v^T [W e ; W e_k]) + \ln w_k)

    A node without peers gives LN(e).

    Shapes:
        - own: :math:`(B, d)`; peers: :math:`(B, K, d)`; weights: :math:`(B, K)`, 0 for padding
        - output: :math:`(B, d)`

    Example:
        >>> attend = PeerAttention(8)
        >>> attend(torch.randn(3, 8), torch.randn(3, 5, 8), torch.rand(3, 5)).shape
        torch.Size([3, 8])
    """

    reads = ("graph", "node_tables")  # it reads no node vectors, but fresh ones spare their pre-training
    peer_paths = PEER_PATHS
    pair_score = Perspectives

    @classmethod
    def from_settings(cls, settings: GTRShapes, metapaths: tuple[str, ...]) -> Self:
        return cls(settings.width)

    def __init__(self, width: int) -> None:
        super().__init__()
        self.value = nn.Linear(width, width, bias=False)
        self.fit_own = nn.Linear(width, 1, bias=False)
        self.fit_peer = nn.Linear(width, 1, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.norm = nn.LayerNorm(width)
        self.out_width = width

    def forward(self, own: torch.Tensor, peers: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        values = self.value(peers)  # (B, K, d)
        fit = F.leaky_relu(self.fit_own(self.value(own)) + self.fit_peer(values).squeeze(-1))
        similarity = weights.clamp(min=torch.finfo(weights.dtype).tiny).log()
        attention = masked_softmax(fit + similarity, weights > 0)
        return self.norm(own + self.output((attention.unsqueeze(1) @ values).squeeze(1)))

    def read(self, own: torch.Tensor | None, side: UserSide | AuthorSide) -> torch.Tensor:
        peers = expect_given("peers", side.peers)
        expect_width("peers", peers, self.out_width)
        return self(expect_given("user", own), peers, expect_given("peer_weights", side.peer_weights))
