"""Loaders that attach histories after negative sampling and rank the same pairs for every model."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from logging import getLogger
from typing import Any

import numpy as np
import torch
from recbole.config import Config
from recbole.data.dataloader import FullSortEvalDataLoader, NegSampleEvalDataLoader, TrainDataLoader
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader, NegSampleDataLoader
from recbole.data.dataset import Dataset
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import AbstractRecommender
from recbole.utils import InputType
from torch import Tensor

from mmbee_plugin.data.ragged import ragged
from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.config.stock_settings import AUTOENCODERS, draws
from mmbee_plugin.recbole.data.dataset import MMBeeDataset
from mmbee_plugin.recbole.data.sampler import NegativeSampler
from mmbee_plugin.recbole.data.training_rows import training_rows

FOLD = "fold"
MIN_USERS = 256
MAX_CELLS = 2**25
ROWS_AT_ONCE = 2**16


class MMBeeTrainLoader(TrainDataLoader):
    """Training batches in the layout the model asks for, histories attached last.

    * no sampling (cross-entropy over all items, or labelled samples): the rows as they are;
    * POINTWISE, PAIRWISE: RecBole's layouts, rows repeated once per negative;
    * LISTWISE: `neg_item_id` (B, M), rows not repeated; `train_batch_size` counts positives.

    With a cross-fitted graph all rows of a batch are of one fold, given in `fold` (B,): for every candidate the model
    reads neighbours from the graph without that fold's pairs.

    Where negatives are drawn, labelled rows of label 0 are left out. RecBole's sequential models and their subclasses
    need at least one item of history: rows without one are left out for them, as in RecBole's SequentialDataset; other
    models keep them with `item_length` 0.
    """

    def __init__(
        self, config: Config, dataset: MMBeeDataset, sampler: NegativeSampler | None, shuffle: bool = False
    ) -> None:
        self._set_neg_sample_args(
            config, dataset, config["MODEL_INPUT_TYPE"], config["train_neg_sample_args"]
        )
        self.draws = draws(config)
        chosen = training_rows(dataset)
        self.rows = _numbers(dataset, chosen.kept & chosen.positive if self.draws else chosen.kept)
        if len(self.rows) == 0:
            raise InputError(
                f"{dataset.folder.name}: no row is left to train on by train_newest and graph.fold_by: order, "
                "which need users with two interactions"
            )
        getLogger().info(f"Training on {len(self.rows):,} of {len(dataset.inter_feat):,} rows")
        self.folds = None if chosen.folds is None else torch.from_numpy(chosen.folds)[self.rows]
        self.batches: list[Tensor] = []
        self.sample_size = len(self.rows)
        if self.folds is not None:
            self.rows_per_batch, self.deals_anew = config["train_batch_size"], shuffle
            self._deal(torch.Generator().manual_seed(config["seed"]))
            self.sample_size = len(self.batches)
        NegSampleDataLoader.__init__(self, config, dataset, sampler, shuffle=shuffle)

    def __iter__(self) -> Iterator[Interaction]:
        if self.folds is not None:
            self._deal(self.generator)
        return super().__iter__()

    def _deal(self, generator: torch.Generator) -> None:
        """Cuts each fold's rows, shuffled if asked for, into batches, of which torch's loader draws whole ones."""
        assert self.folds is not None
        self.batches = []
        for fold in self.folds.unique():
            rows = torch.nonzero(self.folds == fold).squeeze(1)
            if self.deals_anew:
                rows = rows[torch.randperm(len(rows), generator=generator)]
            self.batches += rows.split(self.rows_per_batch)

    def _init_batch_size_and_step(self) -> None:
        super()._init_batch_size_and_step()
        if self.folds is not None:
            self.step = 1

    def collate_fn(self, index: list[int]) -> Interaction:
        """Row numbers (B,) -> the batch."""
        chosen = torch.tensor(index) if self.folds is None else self.batches[index[0]]
        rows = self.rows[chosen]
        dataset = self._dataset
        batch = dataset.join(_take(dataset.inter_feat, rows))
        history = dataset.training_history(rows) if dataset.reads_history else None
        if self.dl_format == InputType.LISTWISE and self.draws:
            users, items = batch[self.uid_field], batch[self.iid_field]
            drawn = self._sampler.sample_by_user_ids(users.numpy(), items.numpy(), self.neg_sample_num)
            batch[self.neg_item_id] = drawn.view(self.neg_sample_num, len(rows)).T.contiguous()
        elif self.neg_sample_args.get("dynamic", False) and history is not None:
            # the model scores candidates to choose among them, so it needs the histories first
            batch = self._neg_sampling(dataset.add_history(batch, history))
            history = None
        else:
            batch = self._neg_sampling(batch)
        copies = len(batch) // len(rows)
        if history is not None:
            ids, lengths, times = history
            batch = dataset.add_history(
                batch,
                (
                    ids.repeat(copies, 1),
                    lengths.repeat(copies),
                    None if times is None else times.repeat(copies, 1),
                ),
            )
        if self.folds is not None:
            batch[FOLD] = self.folds[chosen].repeat(copies)
        return self.transform(dataset, batch)

    def _set_neg_sample_args(
        self, config: Config, dataset: Dataset, dl_format: InputType, neg_sample_args: dict[str, Any]
    ) -> None:
        if dl_format != InputType.LISTWISE:
            super()._set_neg_sample_args(config, dataset, dl_format, neg_sample_args)
            return
        self.uid_field, self.iid_field = dataset.uid_field, dataset.iid_field
        self.dl_format, self.neg_sample_args = dl_format, neg_sample_args
        self.times = 1
        self.neg_sample_num = neg_sample_args["sample_num"]
        self.neg_item_id = config["NEG_PREFIX"] + self.iid_field


class MMBeeFullSortLoader(FullSortEvalDataLoader):
    """Full ranking, one row per user that has positives in the split, the same for every model.

    A batch is `(interaction, (history_u, history_i), positive_u, positive_i)` as RecBole's trainer expects
    it: user fields and history; the masked cells (row, item); the positives (row, item). Masked are the
    user's training positives, with `mask_valid` at test the validation positives too, but never a positive of
    the split itself; under `repeatable` nothing is masked. With time, `timestamp` is the user's earliest
    positive in the split: the moment of the request.

    Users per batch: RecBole's `eval_batch_size // n_items`, but at least 256, and at most 2^25 scores. A model that
    cannot score all items at once gets every (user, item) row copied, so its histories count towards that bound.
    """

    def __init__(
        self, config: Config, dataset: MMBeeDataset, sampler: NegativeSampler | None, shuffle: bool = False
    ) -> None:
        self.uid_field, self.iid_field = dataset.uid_field, dataset.iid_field
        n_items = dataset.item_num
        keys = dataset.positive_keys()
        self.uid_list = torch.from_numpy(np.unique(keys // n_items))
        user = self.uid_list.numpy()
        self._positives = keys % n_items
        self._positive_edges = np.append(np.searchsorted(keys, user * n_items), len(keys))
        masked = np.setdiff1d(dataset.mask_keys, keys, assume_unique=True)
        self._masked = masked % n_items
        self._masked_starts = np.searchsorted(masked, user * n_items)
        self._masked_stops = np.searchsorted(masked, (user + 1) * n_items)
        shown = dataset.ordered and dataset.time_field in dataset.inter_feat
        self._moments = _earliest(dataset, user) if shown else None
        self.sample_size = len(user)
        AbstractDataLoader.__init__(self, config, dataset, sampler, shuffle=False)

    @cached_property
    def uid2history_item(self) -> np.ndarray:
        """(n_users,) object array of int64 tensors: the masked items of each user, with rows here or not.

        Only RecBole's case studies read it.
        """
        dataset = self._dataset
        masked = np.setdiff1d(dataset.mask_keys, dataset.positive_keys(), assume_unique=True)
        edges = np.searchsorted(masked, np.arange(1, dataset.user_num) * dataset.item_num)
        items = np.empty(dataset.user_num, dtype=object)
        for user, own in enumerate(np.split(masked % dataset.item_num, edges)):
            items[user] = torch.from_numpy(own)
        return items

    def _init_batch_size_and_step(self) -> None:
        dataset, n_items = self._dataset, self._dataset.item_num
        ranks_all = self.config.model_class.full_sort_predict is not AbstractRecommender.full_sort_predict
        row_cells = 1 if ranks_all or not dataset.reads_history else 1 + dataset.max_item_list_len
        wanted = max(self.config["eval_batch_size"] // n_items, MIN_USERS)
        self.step = max(1, min(wanted, MAX_CELLS // (n_items * row_cells)))
        self.set_batch_size(self.step * n_items)

    def collate_fn(self, index: list[int]) -> tuple[Interaction, tuple[Tensor, Tensor], Tensor, Tensor]:
        """Positions in `uid_list` (B,) -> the batch."""
        place = np.asarray(index)
        batch = self._dataset.join(Interaction({self.uid_field: self.uid_list[torch.from_numpy(place)]}))
        if self._moments is not None:
            batch[self._dataset.time_field] = self._moments[torch.from_numpy(place)]
        batch = self._dataset.add_whole_history(batch)
        if self._dataset.reads_history:
            batch = self.transform(self._dataset, batch)
        history_u, masked = ragged(self._masked_starts[place], self._masked_stops[place])
        positive_u, positives = ragged(self._positive_edges[place], self._positive_edges[place + 1])
        history = (torch.from_numpy(history_u), torch.from_numpy(self._masked[masked]))
        return batch, history, torch.from_numpy(positive_u), torch.from_numpy(self._positives[positives])


class MMBeeEvalLoader(NegSampleEvalDataLoader):
    """Evaluation on labelled rows (`mode: labeled`) or against sampled negatives (`uni100`, `pop100`).

    RecBole's loader on rows with the training history. The drawn negatives are the same in every pass; of labelled data
    only the positives are ranked against them.
    """

    def __init__(
        self, config: Config, dataset: MMBeeDataset, sampler: NegativeSampler | None, shuffle: bool = False
    ) -> None:
        if sampler is not None and dataset.labelled:
            dataset = dataset.copy(
                _take(dataset.inter_feat, torch.from_numpy(np.flatnonzero(dataset.positive_rows())))
            )
        super().__init__(config, dataset, sampler, shuffle=shuffle)

    def __iter__(self) -> Iterator[Interaction]:
        if isinstance(self._sampler, NegativeSampler):
            self._sampler.restart()
        return super().__iter__()


def loader_class(config: Config, phase: str) -> type | None:
    """The loader for a phase (`train`, `valid`, `test`, `evaluation`), or None for RecBole's own.

    The loaders of this module need an MMBeeDataset, which marks its config; autoencoders are trained with RecBole's.
    """
    if not getattr(config, "uses_mmbee_dataset", False):
        return None
    if phase == "train":
        return None if config["model"] in AUTOENCODERS else MMBeeTrainLoader
    mode = config["eval_args"]["mode"]["test" if phase == "evaluation" else phase]
    return MMBeeFullSortLoader if mode == "full" else MMBeeEvalLoader


def _take(rows: Interaction, index: Tensor) -> Interaction:
    return Interaction({name: column[index] for name, column in rows.interaction.items()})


def _numbers(dataset: MMBeeDataset, kept: np.ndarray) -> Tensor:
    """Indices (R,) of the kept rows (rows,), for sequential models only of those with a history."""
    rows = torch.from_numpy(np.flatnonzero(kept))
    if dataset.sequential:
        lengths = [dataset.training_history(part)[1] for part in rows.split(ROWS_AT_ONCE) if len(part)]
        assert dataset.histories is not None
        rows = rows[torch.cat(lengths) > 0] if lengths else rows
    return rows


def _earliest(dataset: MMBeeDataset, users: np.ndarray) -> Tensor:
    """(U,) the earliest time among each user's positive rows; `users` sorted."""
    kept = dataset.positive_rows()
    place = np.searchsorted(users, dataset.inter_feat[dataset.uid_field].numpy()[kept])
    times = dataset.inter_feat[dataset.time_field].numpy()[kept]
    moments = np.full(len(users), np.inf, dtype=times.dtype)
    np.minimum.at(moments, place, times)
    return torch.from_numpy(moments)
