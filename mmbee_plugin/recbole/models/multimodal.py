"""Base of the multi-modal baselines: content with missing modalities, the training graph, cached vectors for ranking.

Row 0 of users and of items is RecBole's padding, without edges and features; its score is -inf.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from recbole.config import Config
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.utils import InputType
from torch import Tensor, nn

from mmbee_plugin.errors import InputError
from mmbee_plugin.modules.losses import bayesian_personalised_ranking
from mmbee_plugin.modules.named import ModalityModules, ModalityParameters
from mmbee_plugin.recbole.config.baselines import ContentSettings, GraphModelSettings
from mmbee_plugin.recbole.config.modalities import needed_modalities
from mmbee_plugin.recbole.data.modalities import BagTable, DenseTable, item_table
from mmbee_plugin.recbole.data.split import TrainingSplit
from mmbee_plugin.recbole.models.bipartite import both_ways


class ItemContent(nn.Module):
    """Projected feature vectors of items, with a learned placeholder where a modality is missing.

    Dense features are standardised, a bag of words is the mean of learned word vectors; both are projected. In training
    a present modality is hidden with probability `modality_dropout`; an item that would lose all keeps all. In live
    data an item is an author, its feature the mean over its segments of the training period.

    Args:
        config: RecBole's Config; `modalities` and `modality_dropout` are read.
        width: function from a modality's width to that of its projection.

    Attributes:
        widths: widths of the projections by modality, in the order of the mask's columns.
    """

    def __init__(self, config: Config, dataset: TrainingSplit, width: Callable[[int], int]) -> None:
        super().__init__()
        tables: dict[str, DenseTable | BagTable] = {}
        for name in needed_modalities(config, dataset.folder):
            if dataset.folder.live is not None:
                assert dataset.trained_until is not None  # live data have time
                means = dataset.folder.segments.author_means(name, dataset.trained_until)
                tables[name] = DenseTable(means, dataset.item_rows)
            else:
                tables[name] = item_table(dataset.folder.features(name), dataset.item_rows)
        self.hidden = ContentSettings.among(config).modality_dropout
        self.widths = {name: width(table.width) for name, table in tables.items()}
        self.tables = ModalityModules(tables)
        self.project = ModalityModules(
            {name: linear(tables[name].width, w) for name, w in self.widths.items()}
        )
        self.placeholder = ModalityParameters({name: xavier(1, w) for name, w in self.widths.items()})

    def forward(self, items: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """items (n,) -> projections (n, width) by modality, and (n, M) bool, false where the placeholder is used."""
        present = torch.stack([table.get_buffer("present")[items] for table in self.tables.values()], dim=1)
        if self.training and self.hidden:
            kept = present & (torch.rand(present.shape, device=present.device) >= self.hidden)
            present = torch.where(kept.any(dim=1, keepdim=True), kept, present)
        found = {}
        for column, (name, table) in enumerate(self.tables.items()):
            projected = self.project[name](table(items))
            found[name] = torch.where(present[:, column, None], projected, self.placeholder[name])
        return found, present


class GraphRecommender(GeneralRecommender):
    """Base of models that encode the training graph into user and item vectors; scores are inner products.

    Trained by BPR with one negative a row, plus ``reg_weight`` times an explicit L2 term on the batch's rows. For
    ranking the graph is encoded once; its vectors are kept until the mode changes or weights are loaded.

    Args:
        config: RecBole's Config.
        dataset: the training split, an :class:`~mmbee_plugin.recbole.data.dataset.MMBeeDataset`; its positive pairs are
            the edges.

    Attributes:
        edges: edges of all nodes, both ways; users are nodes 0 .. U - 1, items U .. N - 1.
        ids: (N, d) id table, made by subclasses.
        preferences: (U, d_m) user tables by modality, made by subclasses.
    """

    ids: nn.Parameter
    preferences: ModalityParameters
    input_type = InputType.PAIRWISE
    reads_history = False  # read by the dataset, which then attaches no histories
    refuse_settings = staticmethod(needed_modalities)

    def __init__(self, config: Config, dataset: TrainingSplit) -> None:
        super().__init__(config, dataset)
        if "none" in (
            config["train_neg_sample_args"]["distribution"],
            config["train_neg_sample_args"]["sample_num"],
        ):
            raise InputError(
                f"train_neg_sample_args: {config['model']} is trained on drawn negatives, found none"
            )
        chosen = GraphModelSettings.among(config)
        self.width, self.reg_weight = chosen.embedding_size, chosen.reg_weight
        self.n_nodes = self.n_users + self.n_items
        pairs = torch.from_numpy(dataset.positive_keys())
        self.pairs = (pairs // self.n_items, pairs % self.n_items)
        self.edges = both_ways(*self.pairs, self.n_users, self.n_items)
        self.register_buffer("all_items", torch.arange(self.n_items), persistent=False)
        self._ranked: tuple[Tensor, Tensor] | None = None
        self.register_load_state_dict_post_hook(_forget)

    def encode(self) -> tuple[Tensor, Tensor]:
        """The vectors of all users (U, D) and items (I, D)."""
        raise NotImplementedError

    def penalty(self, users: Tensor, positives: Tensor, negatives: Tensor) -> Tensor:
        """The L2 term of a batch, ids (B,) each: mean squares of its rows of ``ids`` and ``preferences``; scalar."""
        items = torch.cat([positives, negatives]) + self.n_users
        of_ids = self.ids[users].square().mean() + self.ids[items].square().mean()
        return of_ids + sum(table[users].square().mean() for table in self.preferences.values())

    def split(self, nodes: Tensor) -> tuple[Tensor, Tensor]:
        """(N, d) -> vectors of users (U, d) and of items (I, d)."""
        return nodes[: self.n_users], nodes[self.n_users :]

    def train(self, mode: bool = True) -> GraphRecommender:
        """Switches mode and drops the vectors kept for ranking, since the weights may change."""
        self._ranked = None
        return super().train(mode)

    def calculate_loss(self, interaction: Interaction) -> Tensor:
        """Loss of a batch of rows (user, item, drawn item)."""
        batch = (interaction[self.USER_ID], interaction[self.ITEM_ID], interaction[self.NEG_ITEM_ID])
        users, items = self.encode()
        return self.ranking_loss(users, items, *batch) + self.reg_weight * self.penalty(*batch)

    @staticmethod
    def ranking_loss(
        users: Tensor, items: Tensor, user: Tensor, positive: Tensor, negative: Tensor
    ) -> Tensor:
        """BPR from vectors (U, D), (I, D) and ids (B,) each; scalar."""
        mine = users[user]
        lost, won = ((mine * items[item]).sum(dim=1) for item in (negative, positive))
        return bayesian_personalised_ranking(won, lost.unsqueeze(1))

    def predict(self, interaction: Interaction) -> Tensor:
        """Scores (B,) of aligned users and items."""
        users, items = self._vectors()
        return (users[interaction[self.USER_ID]] * items[interaction[self.ITEM_ID]]).sum(dim=1)

    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        """Scores (B, n_items) of each user against every item."""
        users, items = self._vectors()
        scores = users[interaction[self.USER_ID]] @ items.T
        scores[:, 0] = -torch.inf
        return scores

    @torch.no_grad()
    def _vectors(self) -> tuple[Tensor, Tensor]:
        if self._ranked is None or self.training:
            self._ranked = self.encode()
        return self._ranked


def xavier(*shape: int) -> nn.Parameter:
    """A parameter with Xavier normal entries (Glorot and Bengio, 2010)."""
    return nn.Parameter(nn.init.xavier_normal_(torch.empty(shape)))


def linear(inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
    """A linear layer with a Xavier normal matrix and zero bias."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.xavier_normal_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def _forget(model: GraphRecommender, _: object) -> None:
    model._ranked = None
