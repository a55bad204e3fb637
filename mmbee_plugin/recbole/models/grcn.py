"""GRCN: edges refined by content before ids are propagated along them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from recbole.config import Config
from torch import Tensor

from mmbee_plugin.modules.named import ModalityParameters
from mmbee_plugin.recbole.config.baselines import GRCNSettings
from mmbee_plugin.recbole.data.split import TrainingSplit
from mmbee_plugin.recbole.models.bipartite import Edges
from mmbee_plugin.recbole.models.multimodal import GraphRecommender, ItemContent, xavier


class GRCN(GraphRecommender):
    r"""GRCN (Wei et al., MM 2020). Per modality m, T rounds of routing draw users' preferences from their items, and
    edges get affinities; ids are propagated with the highest affinity times the sender's confidence rho as edge weight:

    .. math::
        i_m &= \mathrm{norm}(\mathrm{LeakyReLU}(f_m W + b)), \qquad u_m^0 = \mathrm{norm}(P_m) \\
        u_m^t &= \mathrm{norm}(u_m^{t-1} + \sum_{i \in N(u)} a_{ui} i_m), \quad
                 a_{ui} = \mathrm{softmax}_{i \in N(u)} \langle u_m^{t-1}, i_m \rangle \\
        s^m_{r \leftarrow q} &= \mathrm{softmax}_{q \in N(r)} \langle x_r, x_q \rangle, \quad x = [u_m^T ; i_m] \\
        c_m &= x + \sum_q s^m_{r \leftarrow q} x_q, \qquad
        S_{r \leftarrow q} = \max_m \rho_{q,m} s^m_{r \leftarrow q} \\
        g^0 &= \mathrm{norm}(e), \qquad g^l = \sum_q S_{r \leftarrow q} g^{l-1}_q \\
        z &= [\sum_l g^l ; c_1 ; \ldots ; c_M], \qquad y_{ui} = \langle z_u, z_i \rangle

    `pruning: hard` puts S through a ReLU, `soft` (default, as in the runs of the authors' README) leaves it. The loss
    is BPR plus `reg_weight` times the mean squares of the batch's rows of e and of the preferences P.

    Where paper and authors' code differ, and the choice made here:

    * the code's routing edges run from user to item, so that users receive nothing and the rounds only normalise P
      again; here they run from item to user, as in the paper;
    * the confidence is that of the sender, as in the code;
    * a bag of words is projected like any feature, which the placeholder needs; the code takes the mean word vector;
    * a missing modality is left out of the maximum over the edges that touch its item; edges of an item with none weigh
      :math:`1 / |N(r)|`.

    Args:
        config: RecBole's Config with the settings of :class:`~mmbee_plugin.recbole.config.baselines.GRCNSettings`.
    """

    declared = GRCNSettings

    def __init__(self, config: Config, dataset: TrainingSplit) -> None:
        super().__init__(config, dataset)
        chosen = GRCNSettings.among(config)
        self.rounds, self.layers = chosen.n_routings, chosen.n_layers
        self.hard = chosen.pruning == "hard"
        self.content = ItemContent(config, dataset, lambda _: self.width)
        names = list(self.content.widths)
        self.to_users = Edges(*self.pairs, self.n_users, self.n_items)
        self.preferences = ModalityParameters({name: xavier(self.n_users, self.width) for name in names})
        self.confidence = xavier(self.n_nodes, len(names))
        self.ids = xavier(self.n_nodes, self.width)

    def encode(self) -> tuple[Tensor, Tensor]:
        """The vectors of all users (U, d + M d) and items (I, d + M d)."""
        content, present = self.content(self.all_items)
        refined, affinities = [], []
        for name, features in content.items():
            items = F.normalize(F.leaky_relu(features))
            x = torch.cat([self.routed(F.normalize(self.preferences[name]), items), items])
            affinity = self.edges.softmax(self.edges.dots(x, x))
            affinities.append(affinity)
            refined.append(x + self.edges.sum(affinity, x))
        weights = self.edge_weights(torch.stack(affinities, dim=1), present)
        layer = F.normalize(self.ids)
        total = layer
        for _ in range(self.layers):
            layer = self.edges.sum(weights, layer)
            total = total + layer
        return self.split(torch.cat([total, *refined], dim=1))

    def routed(self, users: Tensor, items: Tensor) -> Tensor:
        """Unit preferences (U, d) and item features (I, d) -> the preferences after T rounds (U, d)."""
        for _ in range(self.rounds):
            attention = self.to_users.softmax(self.to_users.dots(users, items))
            users = F.normalize(users + self.to_users.sum(attention, items))
        return users

    def edge_weights(self, affinities: Tensor, present: Tensor) -> Tensor:
        """S (2E,) from the affinities (2E, M) and the items' modalities (I, M) bool."""
        edges, absent = self.edges, torch.finfo(affinities.dtype).min
        known = torch.cat([present.new_ones(self.n_users, present.shape[1]), present])
        known = known[edges.senders] & known[edges.receivers]
        weighed = (self.confidence[edges.senders] * affinities).masked_fill(~known, absent)
        weights = torch.where(known.any(dim=1), weighed.amax(dim=1), 1 / edges.degree[edges.receivers])
        return F.relu(weights) if self.hard else weights
