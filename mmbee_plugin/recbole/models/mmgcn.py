"""MMGCN: one graph tower per modality, with a shared id table."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from recbole.config import Config
from torch import Tensor, nn
from torch_geometric.nn import SimpleConv

from mmbee_plugin.modules.named import ModalityModules, ModalityParameters
from mmbee_plugin.recbole.config.baselines import MMGCNSettings
from mmbee_plugin.recbole.data.split import TrainingSplit
from mmbee_plugin.recbole.models.multimodal import GraphRecommender, ItemContent, linear, xavier


class MMGCN(GraphRecommender):
    r"""MMGCN (Wei et al., MM 2019): per modality m, with the layers l = 1 .. L,

    .. math::
        x^0 &= \mathrm{norm}([P_m ; T_m(f_m)]) \\
        h &= \mathrm{LeakyReLU}(\mathrm{mean}_{j \in N(i)} (x^{l-1} W_1)_j) \\
        \hat{x} &= \mathrm{LeakyReLU}(x^{l-1} W_2 + b_2) + e \\
        x^l &= \mathrm{LeakyReLU}([h ; \hat{x}] W_3 + b_3) \quad\text{or}\quad
               \mathrm{LeakyReLU}(h W_3 + b_3 + \hat{x}) \\
        z &= \mathrm{mean}_m \, x^L_m, \qquad y_{ui} = \langle z_u, z_i \rangle

    with the users' preferences P and the id table e, which all towers and layers share. The loss is BPR plus
    `reg_weight` times the mean squares of the batch's rows of e and of every P.

    Where paper and authors' code differ:

    * towers are added in the paper, averaged in the code and here (`fuse: sum` is the paper's);
    * the code always concatenates, whatever its option; here `combine` decides, by default concatenation, as in the
      published runs;
    * in the code, by mistake, e and P are outside the optimizer and always three layers run; here e and P are learned
      and `n_layers` layers run;
    * the code projects only the visual features and penalises only their preferences; here all modalities, since a
      missing modality's placeholder replaces its projection.

    Args:
        config: RecBole's Config with the settings of :class:`~mmbee_plugin.recbole.config.baselines.MMGCNSettings`.
    """

    declared = MMGCNSettings

    def __init__(self, config: Config, dataset: TrainingSplit) -> None:
        super().__init__(config, dataset)
        chosen = MMGCNSettings.among(config)
        concatenates = chosen.combine == "concat"
        self.sums = chosen.fuse == "sum"
        self.content = ItemContent(config, dataset, lambda width: min(width, chosen.feature_width))
        widths = self.content.widths
        self.ids = xavier(self.n_nodes, self.width)
        self.preferences = ModalityParameters({name: xavier(self.n_users, w) for name, w in widths.items()})
        self.towers: Any = ModalityModules(
            {
                name: nn.ModuleList(
                    Layer(w if depth == 0 else self.width, self.width, concatenates)
                    for depth in range(chosen.n_layers)
                )
                for name, w in widths.items()
            }
        )
        self.highest = SimpleConv(aggr="max") if chosen.aggregate == "max" else None
        shares = 1 / self.edges.degree[self.edges.receivers]
        self.register_buffer("shares", shares, persistent=False)

    def encode(self) -> tuple[Tensor, Tensor]:
        """The vectors of all users (U, d) and items (I, d)."""
        content, _ = self.content(self.all_items)
        outputs = []
        for name, tower in self.towers.items():
            x = F.normalize(torch.cat([self.preferences[name], content[name]]))
            for layer in tower:
                x = layer(x, self.aggregate, self.ids)
            outputs.append(x)
        stacked = torch.stack(outputs)
        return self.split(stacked.sum(dim=0) if self.sums else stacked.mean(dim=0))

    def aggregate(self, x: Tensor) -> Tensor:
        """(N, d) -> (N, d), mean or column-wise maximum over each node's neighbours; 0 without any."""
        if self.highest is None:
            return self.edges.sum(self.get_buffer("shares"), x)
        return self.highest(x, torch.stack([self.edges.senders, self.edges.receivers]))

    def penalty(self, users: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        """Mean squares of the batch's rows of e, and of all preferences."""
        rows = (users, positives + self.n_users, negatives + self.n_users)
        of_ids = sum(self.ids[nodes].square().mean() for nodes in rows)
        return of_ids + sum(table.square().mean() for table in self.preferences.values())


class Layer(nn.Module):
    """One layer of one tower.

    Args:
        inputs, width: widths of a node vector before and after.
        concatenates: whether W3 reads [h ; x] or only h.
    """

    def __init__(self, inputs: int, width: int, concatenates: bool) -> None:
        super().__init__()
        self.message = linear(inputs, inputs, bias=False)
        self.own = linear(inputs, width)
        self.combine = linear(inputs + width if concatenates else inputs, width)
        self.concatenates = concatenates

    def forward(self, x: Tensor, aggregate: Any, ids: Tensor) -> Tensor:
        """x (N, inputs), ids (N, width) -> (N, width)."""
        heard = F.leaky_relu(aggregate(self.message(x)))
        own = F.leaky_relu(self.own(x)) + ids
        if self.concatenates:
            return F.leaky_relu(self.combine(torch.cat([heard, own], dim=1)))
        return F.leaky_relu(self.combine(heard) + own)
