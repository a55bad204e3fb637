"""BDR: a user and an author seen through their most similar peers, from both perspectives at once.

The MMBee paper compares with it and says no more than this; the equations are our reading.
"""

from __future__ import annotations

from typing import Self

import torch
import torch.nn.functional as F
from torch import nn

from mmbee_plugin.modules import losses
from mmbee_plugin.modules.backbone import masked_softmax
from mmbee_plugin.modules.batch import AuthorSide, UserSide
from mmbee_plugin.modules.heads import MLPHead
from mmbee_plugin.modules.interest import Interest, PairScore
from mmbee_plugin.modules.shapes import GTRSettings

PEER_PATHS = ("u2a2u", "a2a")
"""the metapaths whose neighbours are a user's and an author's peers."""


class Perspectives(PairScore):
    r"""Would this user, seen through similar users, give to the author; and would this author, so seen, receive?

    .. math:: s_u = \mathrm{MLP}_u([z_u ; e_a ; z_u \odot e_a]),\quad s_a = \mathrm{MLP}_a([z_a ; e_u ; z_a \odot e_u])

    Their mean joins the logit of the gift; each has a loss of its own. The first layers are split, so that a pair
    pays for the product alone where the authors are shared.

    Args:
        width: model width ``d``.
        hidden: width of the hidden layer.
        dropout: before the last layer, in training.
        loss_weight: of the two perspectives' losses.

    Shapes:
        - user: :math:`(B, 2d)`, ``[z_u ; e_u]``; author: :math:`(B|1, C, 2d)`, ``[z_a ; e_a]``
        - output: :math:`(B, C)`
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
        """Logistic losses () of both perspectives on labels (B, C), weighted; ``weights`` (B,) as in ``losses``."""
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
    r"""A node plus what its most similar nodes of the same type say, attended to by fit and similarity.

    .. math:: z = \mathrm{LN}(e + W_o \sum_k \alpha_k W e_k),\quad
              \alpha = \mathrm{softmax}_k(\mathrm{LeakyReLU}(v^T [W e ; W e_k]) + \ln w_k)

    A node without peers gives LN(e).

    Shapes:
        - own: :math:`(B, d)`; peers: :math:`(B, K, d)`; weights: :math:`(B, K)`, 0 where the list is filled up
        - output: :math:`(B, d)`
    """

    peer_paths = PEER_PATHS
    pair_score = Perspectives

    @classmethod
    def from_settings(cls, settings: GTRSettings, metapaths: tuple[str, ...]) -> Self:
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
        """The interest of a side with the id vectors ``own``."""
        assert own is not None and side.peers is not None and side.peer_weights is not None
        return self(own, side.peers, side.peer_weights)
