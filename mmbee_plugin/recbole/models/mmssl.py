"""MMSSL: user-item edges generated from content against a critic, and a contrastive loss between views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from recbole.config import Config
from recbole.data.interaction import Interaction
from torch import Tensor, nn

from mmbee_plugin.recbole.config.baselines import MMSSLSettings
from mmbee_plugin.recbole.data.split import TrainingSplit
from mmbee_plugin.recbole.models.bipartite import Edges, both_ways
from mmbee_plugin.recbole.models.critic import Critic
from mmbee_plugin.recbole.models.multimodal import GraphRecommender, ItemContent

SHARPNESS = 0.005
"""temperature of the softmax that turns a row of the interaction matrix into a distribution."""
NOISE, COLLABORATIVE = 1e-5, 100.0
"""weights of Gumbel noise and of the final vectors' scores in a real row."""
CHUNK = 1024


class Views(NamedTuple):
    """Vectors of one pass over the graph, (N, d) each, users first.

    Attributes:
        final: scores are their inner products.
        content: per modality, features propagated to users and back to items.
        modality: per modality, ids propagated over its generated graph.
    """

    final: Tensor
    content: list[Tensor]
    modality: list[Tensor]


class MMSSL(GraphRecommender):
    r"""MMSSL (Wei et al., WWW 2023), with A_u = D_u^-1/2 A, A_i = D_i^-1/2 A^T and generated graphs G_m:

    .. math::
        F_i &= \mathrm{dropout}(f_m W_m + b), \quad F_u^m = A_u F_i, \quad F_i^m = A_i F_u^m; \qquad
        e_u^m = G_m E_{item}, \quad e_i^m = G_m^T E_{user} \\
        \bar{e} &= \mathrm{mean}_m \left( [o_1 ; \ldots ; o_H] W_o \right), \quad
        o_h = \sum_{m'} \mathrm{softmax}_{m'} \frac{\langle (e^m W_q)_h, (e^{m'} W_k)_h \rangle}
              {\sqrt{d / H}} e^{m'} \\
        r^0 &= E + \eta \, \mathrm{norm}(\bar{e}), \quad r_u^l = A_u r_i^{l-1}, \quad r_i^l = A_i r_u^l, \quad
        h = \mathrm{mean}_l \, r^l + \omega \sum_m \mathrm{norm}(F^m), \quad y = \langle h_u, h_i \rangle

    the last layer's r through a softmax over its columns, as in the code. For a user u of the batch the generator's row
    is :math:`\mathrm{norm}(\langle F_u^m, F_i^m \rangle_i (1 - A_u))`, the real one
    :math:`\mathrm{norm}(\mathrm{softmax}((A_u + 10^{-5} g) / .005) + 100 \, \mathrm{norm}(\langle h_u, h_i \rangle (1 -
    A_u)))` with Gumbel noise g. The :class:`~mmbee_plugin.recbole.models.critic.Critic` takes a step of its own before
    each of the model's (:class:`~mmbee_plugin.recbole.training.adversarial.AdversarialTrainer`), whose loss is

    .. math:: BPR + \tfrac{\lambda}{2B} (|h_u|^2 + |h_i|^2 + |h_j|^2) + \tfrac{\lambda}{2I} \sum_m
              (|F_u^m|^2 + |F_i^m|^2) + .03 \, L_{CL} - 10^{-4} \, \mathrm{mean} D(S_m)

    where L_CL pulls each user's e_u^m to its own h_u, away from other users' h and e^m of the batch (InfoNCE, cosine).
    From the second epoch on, G_m is A plus every user's `generated` best items by S_m, and part of a checkpoint; in the
    first epoch G_m is A, so that all modality views are equal. A batch holds interactions, as everywhere in RecBole; in
    the code it holds distinct users with one item each. L_CL reads each user of a batch once, the critic at most
    `critic_users` of them.

    Not taken over from the authors' code: with its shipped settings the generated graph is empty in all but one step an
    epoch, keys are computed from the queries, layers do not feed the next one, acoustic features are never read, and
    user-item matrices are dense. See also the critic.

    Args:
        config: RecBole's Config with the settings of :class:`~mmbee_plugin.recbole.config.baselines.MMSSLSettings`.
    """

    generated: Tensor
    declared = MMSSLSettings

    def __init__(self, config: Config, dataset: TrainingSplit) -> None:
        super().__init__(config, dataset)
        chosen = MMSSLSettings.among(config)
        self.layers, self.heads = chosen.n_layers, chosen.heads
        self.content = ItemContent(config, dataset, lambda _: self.width)
        self.names = list(self.content.widths)
        self.eta, self.omega = chosen.modality_share, chosen.content_share
        self.temperature = chosen.temperature
        self.contrast_weight = chosen.contrast_weight
        self.adversarial_weight = chosen.adversarial_weight
        self.dropout = nn.Dropout(chosen.dropout_prob)
        self.users, self.items = (nn.Embedding(count, self.width) for count in (self.n_users, self.n_items))
        self.query, self.key = (nn.Linear(self.width, self.width, bias=False) for _ in range(2))
        self.output = nn.Linear(self.heads * self.width, self.width, bias=False)
        matrices: list[Any] = [self.users, self.items, self.query, self.key, self.output]
        for matrix in (*matrices, *self.content.project.values()):
            nn.init.xavier_uniform_(matrix.weight)
        self.critic_users = chosen.critic_users
        self.critic = Critic(self.n_items - 1, chosen.critic_items)

        users, items = self.pairs
        self.to_users = Edges(users, items, self.n_users, self.n_items)
        self.to_items = Edges(items, users, self.n_items, self.n_users)
        for name, edges in (("of_users", self.to_users), ("of_items", self.to_items)):
            self.register_buffer(name, edges.degree[edges.receivers].rsqrt(), persistent=False)
        found = min(chosen.generated, self.n_items - 1)
        self.register_buffer("generated", torch.zeros(len(self.names), self.n_users, found, dtype=torch.long))
        self._graphs: list[tuple[Edges, Tensor]] | None = None
        self.register_load_state_dict_post_hook(_rebuild)

    def views(self) -> Views:
        """One pass over all graphs."""
        features, _ = self.content(self.all_items)
        ids = torch.cat([self.users.weight, self.items.weight])
        content = []
        for values in features.values():
            of_users = self.to_users.sum(self.of_users, self.dropout(values))
            content.append(torch.cat([of_users, self.to_items.sum(self.of_items, of_users)]))
        modality = [edges.sum(weights, ids) for edges, weights in self.graphs()]
        start = ids + self.eta * F.normalize(self.attended(torch.stack(modality, dim=1)))
        layers = [start]
        items = start[self.n_users :]
        for depth in range(self.layers):
            last = depth == self.layers - 1
            users = self.to_users.sum(self.of_users, items)
            users = users.softmax(dim=1) if last else users
            items = self.to_items.sum(self.of_items, users)
            items = items.softmax(dim=1) if last else items
            layers.append(torch.cat([users, items]))
        carried = sum(F.normalize(view) for view in content)
        return Views(torch.stack(layers).mean(dim=0) + self.omega * carried, content, modality)

    def attended(self, views: Tensor) -> Tensor:
        """Multi-head attention among a node's modality views (N, M, d), averaged over views: (N, d)."""
        split = (self.heads, self.width // self.heads)
        query, key = (layer(views).unflatten(2, split) for layer in (self.query, self.key))
        logits = torch.einsum("nmhc,nkhc->nhmk", query, key) / split[1] ** 0.5
        seen = torch.einsum("nhmk,nkd->nmhd", logits.softmax(dim=3), views)
        return self.output(seen.flatten(2)).mean(dim=1)

    def encode(self) -> tuple[Tensor, Tensor]:
        """The vectors of all users (U, d) and items (I, d)."""
        return self.split(self.views().final)

    def calculate_loss(
        self, interaction: Interaction, critic_step: Callable[[Tensor], None] | None = None
    ) -> Tensor:
        """Loss of a batch of rows (user, item, drawn item).

        Args:
            critic_step: called with the critic's loss to update the critic before the model's loss reads it.
        """
        batch = (interaction[self.USER_ID], interaction[self.ITEM_ID], interaction[self.NEG_ITEM_ID])
        views = self.views()
        users, items = self.split(views.final)
        rows = batch[0].unique()
        judged = rows[torch.randperm(len(rows), device=rows.device)[: self.critic_users]]
        made, real = self.generated_rows(views, judged), self.real_rows(views, judged)
        if critic_step is not None:
            critic_step(self.critic_loss(made, real))
        ranked = [users[batch[0]], items[batch[1]], items[batch[2]]]
        squares = sum(vectors.square().sum() for vectors in ranked) / len(batch[0])
        squares = squares + sum(view.square().sum() for view in views.content) / self.n_items
        return (
            self.ranking_loss(users, items, *batch)
            + self.reg_weight / 2 * squares
            + self.contrast_weight * self.contrast(views, rows)
            - self.adversarial_weight * self.critic.frozen(made).mean()
        )

    def critic_loss(self, made: Tensor, real: Tensor) -> Tensor:
        """The critic's loss on rows (M R, I) and (R, I), without gradients for the generator."""
        return self.critic.loss(made.detach(), real.detach().repeat(len(self.names), 1))

    def generated_rows(self, views: Views, users: Tensor) -> Tensor:
        """users (R,) -> (M R, I) normalised scores of each modality's content for items they have not met."""
        new = 1 - self.met(users)
        return torch.cat([self._scores(view, users, new) for view in views.content])

    @torch.no_grad()
    def real_rows(self, views: Views, users: Tensor) -> Tensor:
        """users (R,) -> (R, I) softmax of the items they met, plus the final vectors' scores of all others."""
        met = self.met(users)
        noise = -torch.empty_like(met).exponential_().log()
        chosen = ((met + NOISE * noise) / SHARPNESS).softmax(dim=1)
        return F.normalize(chosen + COLLABORATIVE * self._scores(views.final, users, 1 - met))

    def met(self, users: Tensor) -> Tensor:
        """users (R,) -> (R, I) 1 for their training items, else 0; without the padding item."""
        row, item = self.to_users.of(users)
        found = self.of_users.new_zeros(len(users), self.n_items)
        found[row, item] = 1
        return found[:, 1:]

    def _scores(self, view: Tensor, users: Tensor, new: Tensor) -> Tensor:
        of_users, of_items = self.split(view)
        return F.normalize(of_users[users] @ of_items[1:].T * new)

    def contrast(self, views: Views, users: Tensor) -> Tensor:
        """L_CL over the users (R,) of a batch, each of which has an edge in every G_m."""
        final = F.normalize(self.split(views.final)[0][users])
        target = torch.arange(len(users), device=users.device)
        total = final.new_zeros(())
        for view in views.modality:
            own = F.normalize(view[users])
            others = (own @ own.T).fill_diagonal_(-torch.inf)
            logits = torch.cat([own @ final.T, others], dim=1) / self.temperature
            total = total + F.cross_entropy(logits, target)
        return total

    def graphs(self) -> list[tuple[Edges, Tensor]]:
        """Each modality's G_m, both ways, with its edges' weights."""
        if self._graphs is None:
            self._graphs = [self._graph(found) for found in self.generated]
        return self._graphs

    def _graph(self, found: Tensor) -> tuple[Edges, Tensor]:
        """found (U, k) item ids, 0 for none -> edges of A and these pairs, and their weights."""
        user, column = found.nonzero(as_tuple=True)
        pairs = [self.to_users.receivers * self.n_items + self.to_users.senders]
        keys = torch.cat([*pairs, user * self.n_items + found[user, column]]).unique()
        edges = both_ways(keys // self.n_items, keys % self.n_items, self.n_users, self.n_items)
        return edges, edges.degree[edges.receivers].rsqrt()

    @torch.no_grad()
    def refresh_graphs(self) -> None:
        """Regenerates every G_m from the current weights, without dropout."""
        training = self.training
        views = self.eval().views()
        for found, view in zip(self.generated, views.content, strict=True):
            for users in torch.arange(1, self.n_users, device=view.device).split(CHUNK):
                met = self.met(users)
                scores = self._scores(view, users, 1 - met).masked_fill(met > 0, -torch.inf)
                best = scores.topk(found.shape[1], dim=1)
                found[users] = torch.where(best.values > 0, best.indices + 1, 0)
        self._graphs = None
        self.train(training)


def _rebuild(model: MMSSL, _: object) -> None:
    model._graphs = None
