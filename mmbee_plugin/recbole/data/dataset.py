"""RecBole's Dataset on a dataset folder: checked rows, ids for all users and items, and their histories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from recbole.data.dataset import Dataset
from recbole.data.interaction import Interaction
from recbole.utils import FeatureSource, FeatureType, ModelType
from torch import Tensor

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.histories import Histories, Slices, positions_by_day
from mmbee_plugin.data.live import LiveRows
from mmbee_plugin.data.order import drawn_order
from mmbee_plugin.data.recbole_files import field_types, read_fields
from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.config.splitting import chosen_history, settle
from mmbee_plugin.recbole.config.stock_settings import check_stock_settings, repeats
from mmbee_plugin.recbole.data.checks import check_config, check_known, check_labels, check_parts

FILE_ROW = "row_in_file"
SEGMENT, TASKS = "segment_row", "task_labels"
"""What rows of live data bring to our own models: (B,) int64, -1 for none, and (B, T) int8, -1 for unknown."""

HISTORY_MODES = ("prefix", "others", "daily")


class MMBeeDataset(Dataset):
    """One dataset for all models: the same split, the same histories, the same mask.

    Differences from RecBole's Dataset:

    * DatasetFolder's reader reads every file, so that RecBole has the rows, users and items that the folder has: a bad
      row is an error that names file, line and value, and a quotation mark or a word like `NA` is text;
    * every user and item listed in `.user` and `.item` has an id, with or without interactions;
    * data have time where their folder has; it counts from the earliest interaction, in seconds, and is not
      normalised; rows are ordered by the exact time (RecBole rounds it to float32 first), ties by their order in the
      file, data without time as `row_order` says;
    * rows are split as :func:`~mmbee_plugin.recbole.config.splitting.settle` says: by time where there is time;
    * histories come from the training split alone. Of labelled data only the positives are history, edges of
      the interaction matrix, and positives of sampled training or ranking;
    * sequential models get histories by slicing, also on pre-split folders; nothing is augmented;
    * of a live folder's rows every model sees user, item, time and label; our own models see the segment and the tasks'
      labels too, and nothing else of a row reaches a batch.

    Args:
        config: RecBole's Config. Read here, besides RecBole's own `eval_args` and `benchmark_filename` (not
            needed where the folder is pre-split):
            `history`: `prefix`, what came before the target, without entries of the same item; `others`, everything
            but the target; or `daily`, everything before the row's day (24 hours, from the earliest interaction), as
            test rows see everything before their period. Default `prefix`, for models that are not RecBole's
            sequential ones on data without time `others`, on live data `daily`;
            `MAX_ITEM_LIST_LENGTH`: the newest behaviours kept;
            `row_order`: what stands for time in data without it: `file`, the position in the file, or `random`,
            a permutation drawn from `seed`; by default `random`, unless the folder declares that rows stand in order;
            `train_newest`: train on the rows with fewer than so many later positives of their user, and with
            one before; all by default;
            `mask_valid`: at test, mask validation items too;
            `repeatable`: rank, and draw as negatives, what a user has had already. RecBole's sequential models have it
            on by default; here it counts for them where it is given, so that all models have one mask.

    Attributes:
        folder: the DatasetFolder.
        user_rows, item_rows: (n_users,), (n_items,) int64, RecBole id -> row of the file; -1 for padding.
        ordered: whether there is time.
        labelled: whether rows carry a 0/1 label.
        sequential: whether the model is one of RecBole's sequential ones, or made from one.
        times: (rows,) float64 of a split, seconds since the earliest interaction; None without time, before `build`.
        amounts: (rows,) float64 of a split of live data, what was given; else None.
        trained_until: the latest training row's time as in the file, in seconds; None without time, before `build`.
        histories: Histories of the training split, the same object on the three splits; None before `build`.
        mask_keys: sorted int64 `user * n_items + item`, the pairs left out of this split's ranking.

    Raises:
        InputError: bad folder or rows, a split part without rows, a model this dataset cannot serve, a
            RecBole cache that would be loaded instead.
    """

    def __init__(self, config: Any) -> None:
        check_config(config)
        config.uses_mmbee_dataset = True  # an attribute, not a setting: checkpoints compare settings
        self.folder = DatasetFolder(Path(config["data_path"]))
        check_stock_settings(config, self.folder)
        settle(config, self.folder)
        self.folder.validate_interactions()

        model = config.model_class
        self.sequential = config["MODEL_TYPE"] == ModelType.SEQUENTIAL
        own = not model.__module__.startswith("recbole.")
        self.reads_history = self.sequential or getattr(model, "reads_history", own)
        self.row_order: str = config["row_order"]
        self.max_item_list_len = config["MAX_ITEM_LIST_LENGTH"]
        self.item_list_length_field = config["ITEM_LIST_LENGTH_FIELD"]
        self.item_id_list_field = config["ITEM_ID_FIELD"] + config["LIST_SUFFIX"]
        self.time_list_field = config["TIME_FIELD"] + config["LIST_SUFFIX"]
        self.histories: Histories | None = None
        self.mask_keys: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self.times: NDArray[np.float64] | None = None
        self.amounts: NDArray[np.float64] | None = None
        self.trained_until: float | None = None
        self.positions_by_day: NDArray[np.int32] = np.empty(0, dtype=np.int32)
        self._times: NDArray[np.float64] | None = None
        self._origin = 0.0
        self._live: LiveRows | None = None
        self._columns: set[str] | None = None
        super().__init__(config)

        self.ordered = self.folder.ordered
        self.labelled = self.label_field in self.inter_feat
        live, in_order = self.folder.live is not None, self.folder.order.by is not None or self.sequential
        self.history_mode = chosen_history(config, live, in_order)
        if self.history_mode not in HISTORY_MODES:
            raise InputError(f"history {self.history_mode!r}: known are {', '.join(HISTORY_MODES)}")
        if self.history_mode == "daily" and not self.ordered:
            raise InputError(f"history daily: {self.folder.name} has no time")
        self.user_rows = _file_rows(self.field2id_token[self.uid_field], self.folder.user_tokens)
        self.item_rows = _file_rows(self.field2id_token[self.iid_field], self.folder.item_tokens)
        for name, rows in (("user", self.user_rows), ("item", self.item_rows)):
            if (rows[1:] < 0).any():
                raise InputError(
                    f"alias_of_{name}_id: its columns have {name}s that {self.folder.name} does not"
                )
        if self.reads_history:
            self._declare_history_fields()

    def build(self) -> list[MMBeeDataset]:
        """Splits, and gives each part the training histories.

        Returns:
            train, valid, test; the training rows in file order, or as `row_order` draws them.

        Raises:
            InputError: a part that was asked for has no rows.
        """
        splits = super().build()
        self.inter_feat.drop(FILE_ROW)
        train, valid, test = splits
        check_parts(self, splits)
        train.inter_feat._reindex(torch.argsort(train.inter_feat[FILE_ROW], stable=True))
        for split in splits:
            rows = split.inter_feat[FILE_ROW].numpy()
            split.inter_feat.drop(FILE_ROW)
            split.times = None if self._times is None else self._times[rows]
            split.amounts = None if self._live is None else self._live.amounts[rows]

        histories = Histories(
            train.inter_feat[self.uid_field].numpy(),
            train.inter_feat[self.iid_field].numpy(),
            self.user_num,
            times=train.times,
            kept=train.positive_rows(),
        )
        seen = np.empty(0, dtype=np.int64) if repeats(self.config) else train.positive_keys()
        until = None if train.times is None else self._origin + float(train.times.max())
        for split in (self, *splits):
            split.histories, split.mask_keys, split.trained_until = histories, seen, until
        if self.history_mode == "daily":
            assert train.times is not None
            users = train.inter_feat[self.uid_field].numpy()
            train.positions_by_day = positions_by_day(
                users, train.times, train.positive_rows(), self.user_num
            )
        if self.config["mask_valid"]:
            test.mask_keys = np.union1d(seen, valid.positive_keys())
        return splits

    def positive_rows(self) -> NDArray[np.bool_]:
        """(rows,) bool: label 1, or every row of data without labels."""
        if not self.labelled:
            return np.ones(len(self.inter_feat), dtype=bool)
        return self.inter_feat[self.label_field].numpy() > 0

    def positive_keys(self) -> NDArray[np.int64]:
        """Sorted distinct `user * n_items + item` of the positive rows."""
        kept = self.positive_rows()
        users = self.inter_feat[self.uid_field].numpy()[kept]
        return np.unique(users * self.item_num + self.inter_feat[self.iid_field].numpy()[kept])

    def training_history(self, rows: Tensor) -> Slices:
        """Histories of training rows (B,), without the rows themselves, by the configured mode."""
        assert self.histories is not None
        users, items = self.inter_feat[self.uid_field][rows], self.inter_feat[self.iid_field][rows]
        if self.history_mode == "daily":
            return self.histories.up_to(users, self.positions_by_day[rows.numpy()], self.max_item_list_len)
        cut = self.histories.before if self.history_mode == "prefix" else self.histories.others
        return cut(users, self.histories.positions[rows.numpy()], self.max_item_list_len, targets=items)

    def add_history(self, batch: Interaction, history: Slices) -> Interaction:
        """Writes `item_id_list`, `item_length` and, with time, `timestamp_list` into a batch.

        Sequential models of RecBole, and classes made from them, index at `item_length - 1`: theirs is at
        least 1, an empty history is one padding item.
        """
        ids, lengths, times = history
        batch[self.item_id_list_field] = ids
        batch[self.item_list_length_field] = lengths.clamp(min=1) if self.sequential else lengths
        if times is not None:
            batch[self.time_list_field] = times
        return batch

    def add_whole_history(self, batch: Interaction) -> Interaction:
        """Adds each user's whole training history, where the model reads one: what evaluation sees."""
        if not self.reads_history or self.histories is None:
            return batch
        return self.add_history(batch, self.histories.all(batch[self.uid_field], self.max_item_list_len))

    def __getitem__(self, index: Any, join: bool = True) -> Interaction:
        return self.add_whole_history(super().__getitem__(index, join))

    def inter_matrix(self, form: str = "coo", value_field: str | None = None) -> Any:
        """RecBole's (n_users, n_items) sparse matrix; of labelled data the positive rows only."""
        positives = Interaction(
            {
                name: column[torch.from_numpy(self.positive_rows())]
                for name, column in self.inter_feat.interaction.items()
            }
        )
        return self._create_sparse_matrix(positives, self.uid_field, self.iid_field, form, value_field)

    def sort(self, by: Any, ascending: Any = True) -> None:
        """RecBole's sort; by time on data without time it keeps the order of the rows."""
        if by == self.time_field and not self.folder.ordered:
            return
        super().sort(by, ascending)

    def _get_load_and_unload_col(self, source: Any) -> tuple[set[str] | None, set[str] | None]:
        chosen, left_out = super()._get_load_and_unload_col(source)
        if self.folder.live is not None and source == FeatureSource.INTERACTION:
            # What a row led to, or a number that means nothing as a feature.
            left_out = (left_out or set()) | {"amount", "segment", *self.folder.tasks}
        if source == FeatureSource.INTERACTION:
            if self.folder.ordered and self.time_field in (left_out or ()):
                raise InputError(
                    f"unload_col: {self.folder.name} is ordered by {self.time_field!r}; leave it loaded"
                )
            if not self.folder.ordered:
                left_out = (left_out or set()) | {self.time_field}
        if chosen is None:
            return chosen, left_out
        columns = {self.uid_field, self.iid_field, self.time_field, self.label_field}
        needed = {
            FeatureSource.INTERACTION: columns | set(self.config["threshold"] or {}),
            FeatureSource.USER: {self.uid_field},
            FeatureSource.ITEM: {self.iid_field},
        }
        return chosen | needed.get(source, set()), left_out

    def _load_feat(self, filepath: str, source: Any) -> pd.DataFrame | None:
        """The columns of one file as DatasetFolder reads them, and their types for RecBole; None for no column.

        RecBole's own reading takes a quotation mark for the start of a field that goes on over tabs and lines.
        """
        path = Path(filepath)
        chosen, left_out = self._get_load_and_unload_col(source)
        frame = read_fields(path, chosen, left_out or ())
        if not len(frame.columns):
            return None
        if source == FeatureSource.INTERACTION:
            self._columns = self._columns or set(frame)
            if odd := self._columns ^ set(frame):
                raise InputError(
                    f"{path}, line 1: column {min(odd)!r} is not in each of the three files, whose rows are one table"
                )
        types = field_types(path)
        for field in frame:
            kind = FeatureType(types[field])
            self.field2source[field], self.field2type[field] = source, kind
            self.field2seqlen[field] = 1
            if kind in (FeatureType.FLOAT, FeatureType.FLOAT_SEQ):
                self.field2bucketnum[field] = 2
            if kind in (FeatureType.TOKEN_SEQ, FeatureType.FLOAT_SEQ):
                limit = (self.config["seq_len"] or {}).get(field)
                frame[field] = _sequences(
                    path, frame[field], field, kind, self.config["seq_separator"], limit
                )
                self.field2seqlen[field] = max(map(len, frame[field]), default=0)
        return frame

    def _get_preset(self) -> None:
        super()._get_preset()
        self.benchmark_filename_list: list[str] | None = self.config["benchmark_filename"]
        if self.benchmark_filename_list is None and self.folder.splits:
            self.benchmark_filename_list = list(self.folder.splits)

    def _normalize(self) -> None:
        """Counts time exactly, from the earliest interaction, and leaves it out of `normalize_all`."""
        if self.time_field in self.inter_feat:
            stamps = self.inter_feat[self.time_field].to_numpy(dtype=np.float64)
            self._origin = float(stamps.min())
            self._times = stamps - self._origin
        super()._normalize()
        if self._times is not None:
            self.inter_feat[self.time_field] = self._times

    def _fill_nan(self) -> None:
        check_known(self, self.folder.name)
        super()._fill_nan()

    def _set_label_by_threshold(self) -> None:
        super()._set_label_by_threshold()
        check_labels(self)

    def _change_feat_format(self) -> None:
        super()._change_feat_format()
        rows = np.arange(len(self.inter_feat))
        if self.row_order == "random":
            rows = drawn_order(len(rows), self.config["seed"])
        self.inter_feat[FILE_ROW] = torch.from_numpy(rows)
        if self.folder.live is not None:
            self._add_live_columns(self.benchmark_filename_list or [])
        ordered_by_time = self.config["eval_args"]["order"] == "TO" and self.benchmark_filename_list is None
        if ordered_by_time and self._times is not None:
            self.inter_feat._reindex(torch.from_numpy(np.argsort(self._times, kind="stable")))

    def _add_live_columns(self, parts: list[str]) -> None:
        """Gives each row its segment and task labels; RecBole has the rows of the files `parts`, one after another."""
        self._live = LiveRows.concatenate([self.folder.rows(part) for part in parts])
        if not self.config.model_class.__module__.startswith("recbole."):
            self.inter_feat[SEGMENT] = torch.from_numpy(self._live.segments)
            self.inter_feat[TASKS] = torch.from_numpy(self._live.tasks)

    def _declare_history_fields(self) -> None:
        length = self.max_item_list_len
        interaction = FeatureSource.INTERACTION
        self.set_field_property(self.item_id_list_field, FeatureType.TOKEN_SEQ, interaction, length)
        self.set_field_property(self.item_list_length_field, FeatureType.TOKEN, interaction, 1)
        self.field2id_token[self.item_id_list_field] = self.field2id_token[self.iid_field]
        if self.ordered:
            self.set_field_property(self.time_list_field, FeatureType.FLOAT_SEQ, interaction, length)


def _sequences(
    path: Path, texts: pd.Series, field: str, kind: FeatureType, separator: str, limit: int | None
) -> list[NDArray]:
    """The parts of each text, at most `limit`: an array of object (tokens) or float64 (numbers) a row."""
    rows = []
    for number, text in enumerate(texts):
        parts = [part for part in (text or "").split(separator) if part][:limit]
        try:
            rows.append(np.array(parts, dtype=object if kind == FeatureType.TOKEN_SEQ else np.float64))
        except ValueError:
            raise InputError(
                f"{path}, row {number + 1}, column {field}:float_seq: {(text or '')[:80]!r} holds no numbers"
            ) from None
    return rows


def _file_rows(id_tokens: NDArray, file_tokens: Any) -> NDArray[np.int64]:
    """(ids,) row of each token in the file, -1 for the padding id 0 and for unknown tokens."""
    rows = pd.Index(np.asarray(file_tokens, dtype=object)).get_indexer(id_tokens.astype(object))
    rows[0] = -1
    return rows.astype(np.int64)
