"""RecBole's Dataset on the rows of a dataset folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from recbole.config import Config
from recbole.data.dataset import Dataset
from recbole.data.interaction import Interaction
from recbole.utils import FeatureSource, FeatureType
from scipy.sparse import spmatrix

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.live import LiveRows
from mmbee_plugin.data.order import drawn_order
from mmbee_plugin.data.recbole_files import field_types, read_fields
from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.config.splitting import settle
from mmbee_plugin.recbole.config.stock_settings import check_stock_settings
from mmbee_plugin.recbole.data.checks import check_config, check_known, check_labels

FILE_ROW = "row_in_file"
SEGMENT, TASKS = "segment_row", "task_labels"
"""Columns of live data for this package's models: row of the newest segment (B,) int64, -1 for none, and task labels
(B, T) int8, -1 for unknown."""


class FolderRows(Dataset):
    """RecBole's Dataset, its reading of files replaced by that of the dataset folder.

    Differences from RecBole's:

    * a bad row is an error that names file, line and value, and a quotation mark or a word like `NA` is text;
    * every user and item listed in `.user` and `.item` has an id, with or without interactions;
    * time counts in seconds from the folder's origin and is not normalised; rows are ordered by exact time
      (RecBole rounds it to float32 first), ties by their order in the file, data without time by `row_order`;
    * of live data a batch has user, item, time and label, for this package's models also segment and task labels;
    * this package's models get times in float64, RecBole's in float32, as its models embed them.
    """

    def __init__(self, config: Config) -> None:
        check_config(config)
        config.uses_mmbee_dataset = True  # an attribute, not a setting: checkpoints compare settings
        self.folder = DatasetFolder(Path(config["data_path"]))
        check_stock_settings(config, self.folder)
        settle(config, self.folder)
        self.folder.validate_interactions()
        self.ordered = self.folder.ordered
        self._times: NDArray[np.float64] | None = None
        self._origin = 0.0
        self._live: LiveRows | None = None
        self._columns: set[str] | None = None
        super().__init__(config)
        self.labelled = self.label_field in self.inter_feat
        self.user_rows = self._file_rows("user", self.uid_field, self.folder.user_tokens)
        self.item_rows = self._file_rows("item", self.iid_field, self.folder.item_tokens)

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

    def inter_matrix(self, form: str = "coo", value_field: str | None = None) -> spmatrix:
        """RecBole's (n_users, n_items) sparse matrix; of labelled data the positive rows only."""
        positives = Interaction(
            {
                name: column[torch.from_numpy(self.positive_rows())]
                for name, column in self.inter_feat.interaction.items()
            }
        )
        return self._create_sparse_matrix(positives, self.uid_field, self.iid_field, form, value_field)

    def sort(self, by: Any, ascending: Any = True) -> None:
        """RecBole's sort; sorting by time keeps the order of data without time."""
        if by == self.time_field and not self.folder.ordered:
            return
        super().sort(by, ascending)

    def _get_load_and_unload_col(self, source: FeatureSource) -> tuple[set[str] | None, set[str] | None]:
        chosen, left_out = super()._get_load_and_unload_col(source)
        if self.folder.live is not None and source == FeatureSource.INTERACTION:
            # Outcomes of a row, or row numbers, which are no features.
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

    def _load_feat(self, filepath: str, source: FeatureSource) -> pd.DataFrame | None:
        """Reads the columns of one file as DatasetFolder does and declares their types to RecBole; None for no column.

        RecBole's own reader takes a quotation mark for the start of a field that spans tabs and lines.
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
        """Counts time in float64 seconds from the earliest interaction, and exempts it from `normalize_all`."""
        if self.time_field in self.inter_feat:
            stamps = self.inter_feat[self.time_field].to_numpy(dtype=np.float64)
            self._origin = self.folder.origin
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
        if self.config["row_order"] == "random":
            rows = drawn_order(len(rows), self.config["seed"])
        self.inter_feat[FILE_ROW] = torch.from_numpy(rows)
        if self._times is not None and not self._of_stock_model:
            self.inter_feat[self.time_field] = torch.from_numpy(self._times)
        if self.folder.live is not None:
            self._add_live_columns(self.benchmark_filename_list or [])
        ordered_by_time = self.config["eval_args"]["order"] == "TO" and self.benchmark_filename_list is None
        if ordered_by_time and self._times is not None:
            self.inter_feat._reindex(torch.from_numpy(np.argsort(self._times, kind="stable")))

    @property
    def _of_stock_model(self) -> bool:
        """Whether the model is RecBole's own, whose columns are RecBole's."""
        return self.config.model_class.__module__.startswith("recbole.")

    def _add_live_columns(self, parts: list[str]) -> None:
        """Adds segments and task labels; RecBole's rows are those of the files `parts`, one after another."""
        self._live = LiveRows.concatenate([self.folder.rows(part) for part in parts])
        if not self._of_stock_model:
            self.inter_feat[SEGMENT] = torch.from_numpy(self._live.segments)
            self.inter_feat[TASKS] = torch.from_numpy(self._live.tasks)

    def _file_rows(self, side: str, field: str, file_tokens: Any) -> NDArray[np.int64]:
        """(ids,) row of each id in the file, -1 for padding. Raises InputError for ids that are not in the file."""
        known = pd.Index(np.asarray(file_tokens, dtype=object))
        rows = known.get_indexer(self.field2id_token[field].astype(object)).astype(np.int64)
        rows[0] = -1
        if (rows[1:] < 0).any():
            raise InputError(f"alias_of_{side}_id: its columns have {side}s that {self.folder.name} does not")
        return rows


def _sequences(
    path: Path, texts: pd.Series, field: str, kind: FeatureType, separator: str, limit: int | None
) -> list[NDArray]:
    """Splits each text into at most `limit` parts: an array of object (tokens) or float64 (numbers) per row."""
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
