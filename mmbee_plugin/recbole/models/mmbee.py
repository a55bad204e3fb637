"""MMBee as a RecBole model: ids from RecBole's batches, vectors from tables, scores from GTRModel."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from recbole.config import Config
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.utils import InputType
from torch import nn

from mmbee_plugin.assembly.parts import DataShape, parts_of
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.deciding import of_lists
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.modules.batch import AuthorSide, Targets, UserSide, distinct_moments
from mmbee_plugin.modules.exchange import model_settings, word_table
from mmbee_plugin.modules.gtr import EncodedAuthor, EncodedUser, GTRModel
from mmbee_plugin.modules.losses import log_expected_draws
from mmbee_plugin.modules.objective import Objective
from mmbee_plugin.modules.parts import INTERESTS
from mmbee_plugin.modules.sim import gap_buckets
from mmbee_plugin.recbole.config import settings
from mmbee_plugin.recbole.config.modalities import chosen_modalities
from mmbee_plugin.recbole.config.stock_settings import draws
from mmbee_plugin.recbole.data.content import ContentTable
from mmbee_plugin.recbole.data.dataloader import FOLD
from mmbee_plugin.recbole.data.interest import InterestTable, PeerTable
from mmbee_plugin.recbole.data.modalities import BagTable
from mmbee_plugin.recbole.data.rows import SEGMENT, TASKS
from mmbee_plugin.recbole.data.split import TrainingSplit
from mmbee_plugin.recbole.data.sums import weighted_sums
from mmbee_plugin.recbole.data.training_rows import training_rows
from mmbee_plugin.recbole.offline import snapshot_for
from mmbee_plugin.recbole.training.progress import begin_stage

ENCODE_ROWS = 4096
"""authors encoded at once in full ranking."""


class MMBee(GeneralRecommender):
    """MMBee (KDD 2024): backbone, content and interest encoder, each chosen by a setting.

    Holds the tables; :class:`~mmbee_plugin.modules.gtr.GTRModel` computes the scores. Authors and histories share one
    table of id vectors.

    Args:
        config: RecBole's Config with the settings of :class:`~mmbee_plugin.recbole.config.settings.MMBeeSettings`.
        dataset: the training split, an :class:`~mmbee_plugin.recbole.data.dataset.MMBeeDataset`.
    """

    input_type = InputType.LISTWISE
    declared = settings.MMBeeSettings
    refuse_settings = staticmethod(settings.refuse_settings)

    def __init__(self, config: Config, dataset: TrainingSplit) -> None:
        super().__init__(config, dataset)
        chosen = settings.MMBeeSettings.among(config)
        _check_targets(draws(config), dataset.labelled, chosen.loss)
        self.objective = Objective(chosen.loss, chosen.temperature)
        self.log_q = chosen.log_q
        self.histories = dataset.histories
        self.history_length = chosen.history_length
        self.negatives_field = config["NEG_PREFIX"] + self.ITEM_ID
        self.label_field = config["LABEL_FIELD"]
        self.history_field = self.ITEM_ID + config["LIST_SUFFIX"]
        self.moment_field = config["TIME_FIELD"]
        self.time_field = self.moment_field + config["LIST_SUFFIX"] if dataset.ordered else None
        self.end_of_training = 0.0 if dataset.times is None else float(dataset.times.max())

        counts = torch.from_numpy(training_rows(dataset).counts(self.n_items)).float()
        self.register_buffer("drawn", counts, persistent=False)
        self.drawable = self.n_items - 1 if chosen.new_as_negatives else int((counts > 0).sum())
        self.user = nn.Embedding(self.n_users, chosen.width, padding_idx=0) if chosen.user_ids else None
        self.author = nn.Embedding(self.n_items, chosen.width, padding_idx=0)
        for table in (self.user, self.author):
            if table is not None:
                nn.init.normal_(table.weight, std=chosen.init_std)
        modalities = chosen_modalities(config, dataset.folder)
        self.snapshot_key: str | None = None
        self.graph: GraphSettings | None = None
        self.interest = self._interest_table(config, dataset)
        segments = settings.segment_count(config, dataset.folder)
        from_author = chosen.reads_queries and chosen.started(dataset.folder.live is not None) == "author"
        self.content = ContentTable(
            dataset,
            modalities if chosen.reads_modalities else (),
            chosen.content_width,
            chosen.num_queries if chosen.reads_queries else 0,
            segments,
            chosen.shared_queries,
            self.author.weight if from_author else None,
        )
        categories, rows = settings.search_categories(config, dataset.folder), dataset.item_rows
        self.register_buffer("author_rows", torch.from_numpy(rows), persistent=False)
        by_id = None if categories is None else torch.from_numpy(np.where(rows >= 0, categories[rows], 0))
        self.register_buffer("category", by_id, persistent=False)
        graph = settings.graph_settings(config)
        shape = DataShape(
            widths=self.content.widths,
            attribute_width=self.interest.attribute_width if self.interest else 0,
            reach=graph.reach_top_k > 0,
            pooled_at=graph.pooled_at,
            ordered=dataset.ordered,
            categories=categories is not None,
            tasks=dataset.folder.tasks,
        )
        parts = parts_of(chosen, shape)
        self.gtr = GTRModel(*parts)
        read = None
        if (found := self.graph) is not None:
            read = of_lists(found, found.metapaths, parts.gtr.reach, parts.gtr.attribute_width > 0)
        self.scoring_settings = model_settings(*parts, self.history_length, segments, read)
        self._ranked: EncodedAuthor | None = None
        longest = min(self.history_length, int(np.diff(self.histories.indptr).max()))
        if idle := self.gtr.backbone.idle(longest):
            self.logger.warning(idle)

    def _interest_table(self, config: Config, dataset: TrainingSplit) -> InterestTable | PeerTable | None:
        """What the interest encoder reads of the snapshot, whose key and settings are kept; None where it reads no
        graph."""
        chosen, paths = settings.MMBeeSettings.among(config), settings.chosen_metapaths(config)
        if not paths:
            return None
        snapshot = snapshot_for(config, dataset, lambda stage: begin_stage(f"graph stage: {stage}"))
        self.snapshot_key, self.graph = snapshot.manifest["key"], snapshot.settings
        if peers := INTERESTS[chosen.interest].peer_paths:
            assert self.user is not None
            return PeerTable(dataset, snapshot, peers, self.user, self.author)
        return InterestTable(
            dataset,
            snapshot,
            paths,
            chosen.width,
            chosen.attributes,
            chosen.node_tables == "graphcl",
            chosen.node_std,
            pooling=chosen.pooling,
            neighbour_weights=chosen.neighbour_weights,
        )

    def tables(self) -> dict[str, nn.Embedding | nn.EmbeddingBag]:
        """The embedding tables by their names in an exchange file."""
        found: dict[str, Any] = {"author": self.author}
        if self.user is not None:
            found["user"] = self.user
        if self.content.num_queries:
            found["query"] = self.content.queries
        if self.interest is not None:
            found |= self.interest.tables()
        bags = {name: table.bag for name, table in self.content.tables.items() if isinstance(table, BagTable)}
        return found | {word_table(name): bag for name, bag in bags.items()}

    def train(self, mode: bool = True) -> MMBee:
        """Switches mode and drops the authors encoded for full ranking, since the weights may change."""
        self._ranked = None
        return super().train(mode)

    def user_side(
        self,
        users: torch.Tensor,
        history: torch.Tensor,
        times: torch.Tensor | None,
        fold: int | None = None,
        moments: torch.Tensor | None = None,
        apart: bool = False,
    ) -> UserSide:
        """users (B,), history (B, H) item ids padded with 0, times (B, H) seconds or None -> the user's tensors.

        The history is cut to the longest of the batch; for a backbone that reads no more to its mean, unless the
        behaviours are to stay ``apart``. With ``fold``, neighbours come from the graph without that fold's edges. Time
        gaps are measured to the requests' ``moments`` (B,), by default to the end of training.
        """
        mask = history > 0
        longest = max(1, int(mask.sum(dim=1).max()))
        history, mask = history[:, :longest], mask[:, :longest]
        gap = None
        if times is not None:
            moments = times.new_full((len(users),), self.end_of_training) if moments is None else moments
            gap = gap_buckets(times[:, :longest], moments)
        category = None if self.category is None else self.category[history]
        neighbours = self.interest.user(users, fold) if self.interest is not None else {}
        own = None if self.user is None else self.user(users)
        if self.gtr.backbone.reads_mean and not apart:
            shares = mask / mask.sum(dim=1, keepdim=True).clamp(min=1)
            vectors, mask = (
                weighted_sums(history, shares, self.author.weight).unsqueeze(1),
                mask.any(dim=1, keepdim=True),
            )
        else:
            vectors = self.author(history)
        return UserSide(own, vectors, mask, gap, category, **neighbours)

    def author_side(
        self, items: torch.Tensor, fold: int | None = None, segments: torch.Tensor | None = None
    ) -> AuthorSide:
        """items (B,) -> the author's tensors; with ``fold``, from the graph without that fold's edges.

        Live content is that up to ``segments`` (B,), the rows of the authors' newest segments; by default the newest
        before the end of training.
        """
        category = None if self.category is None else self.category[items]
        side = self.content(items, self.author(items), segments)
        side = replace(side, ids=self.author_rows[items], category=category)
        if self.interest is None:
            return side
        return replace(side, **self.interest.author(items, fold))

    def calculate_loss(self, interaction: Interaction) -> torch.Tensor:
        """Loss of one batch: labelled samples (label (B,)), or positives against negatives (B, M)."""
        fold = int(interaction[FOLD][0]) if FOLD in interaction else None
        user = self._encode_users(interaction, fold)
        if self.negatives_field in interaction:
            items, drawn = interaction[self.ITEM_ID], interaction[self.negatives_field]
            candidates = torch.cat([items.unsqueeze(1), drawn], dim=1)  # (B, 1 + M)
            pool, position = candidates.unique(return_inverse=True)
            author = self.gtr.encode_author(self.author_side(pool, fold))
            targets = self._drawn_targets(interaction[self.USER_ID], pool, position)
        else:
            author = self._encode_authors(interaction, fold)
            targets = self._labelled_targets(interaction)
        return self.objective(self.gtr, user, author, targets)[0]

    def logits(self, interaction: Interaction) -> torch.Tensor:
        """Logits (B, T) of every task for aligned users and items."""
        author = self._encode_authors(interaction).unsqueeze(1)
        return self.gtr.score_tasks(self._encode_users(interaction), author).squeeze(1)

    def predict(self, interaction: Interaction) -> torch.Tensor:
        """Scores (B,) of aligned users and items; probabilities of a gift where the loss is logistic."""
        author = self._encode_authors(interaction)
        logits = self.gtr.score(self._encode_users(interaction), author)
        return torch.sigmoid(logits) if self.objective.loss == "bce" else logits

    def full_sort_predict(self, interaction: Interaction) -> torch.Tensor:
        """Scores (B, n_items) of each user against every item; the items are encoded once per evaluation."""
        if self._ranked is None or self.training:
            items = torch.arange(self.n_items, device=self.device)
            parts = [self.gtr.encode_author(self.author_side(part)) for part in items.split(ENCODE_ROWS)]
            self._ranked = EncodedAuthor.cat(parts)
        logits = self.gtr.score_all(self._encode_users(interaction), self._ranked)
        return torch.sigmoid(logits) if self.objective.loss == "bce" else logits

    def _encode_authors(self, interaction: Interaction, fold: int | None = None) -> EncodedAuthor:
        """The authors (B,) of aligned rows at each row's moment; each (author, segment) pair is encoded once."""
        items = interaction[self.ITEM_ID]
        segments = interaction.interaction.get(SEGMENT) if self.content.windows is not None else None
        row, place = distinct_moments(items, segments, self.n_items)
        side = self.author_side(items[row], fold, None if segments is None else segments[row])
        return self.gtr.encode_author(side).take(place)

    def _encode_users(self, interaction: Interaction, fold: int | None = None) -> EncodedUser:
        users = interaction[self.USER_ID]
        if self.history_field in interaction:
            history = interaction[self.history_field]
            times = interaction[self.time_field] if self.time_field else None
        else:  # no history columns, as in RecBole's case studies and FLOPs counter
            ids, _, stamps = self.histories.all(users.cpu().numpy(), self.history_length)
            history = torch.as_tensor(ids, device=users.device)
            times = None if stamps is None else torch.as_tensor(stamps, device=users.device)
        moments = interaction.interaction.get(self.moment_field)
        return self.gtr.encode_user(self.user_side(users, history, times, fold, moments))

    def _labelled_targets(self, interaction: Interaction) -> Targets:
        """Labels (B, T) of aligned rows for all tasks of the model."""
        labels = interaction[self.label_field].float().unsqueeze(1)
        if len(self.gtr.tasks) > 1:
            labels = torch.cat([labels, interaction[TASKS].to(labels.dtype)], dim=1)
        return Targets(labels)

    def _drawn_targets(self, users: torch.Tensor, pool: torch.Tensor, position: torch.Tensor) -> Targets:
        """Targets of users (B,) with candidates at places (B, 1 + M) of a pool (C,), the positive first."""
        if not self.objective.shares_pool(self.gtr.pays_per_pair):
            return Targets(position=position)
        allowed = self.histories.lack(users.cpu().numpy(), pool.cpu().numpy())
        expected = None
        if self.log_q:
            rows, count = len(position), position[:, 1:].numel()
            expected = log_expected_draws(self.drawn[pool], self.drawn.sum(), rows, count, self.drawable)
        return Targets(
            position=position[:, 0],
            allowed=torch.from_numpy(allowed).to(users.device),
            log_expected=expected,
        )


def _check_targets(drawn: bool, labelled: bool, loss: str) -> None:
    """Raises InputError where the rows have nothing to learn from, or the loss cannot learn from what they have."""
    if not drawn and not labelled:
        raise InputError(
            "train_neg_sample_args: none, but the data have no labels; draw negatives or set threshold"
        )
    if not drawn and loss != "bce":
        raise InputError(f"loss {loss!r} needs drawn negatives; labelled samples are trained with bce")
