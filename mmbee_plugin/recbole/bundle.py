"""An MMBee trained under RecBole as the source of a serving bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from recbole.data.interaction import Interaction

from mmbee_plugin.data.ragged import NOBODY
from mmbee_plugin.modules.batch import AuthorSide, UserSide
from mmbee_plugin.recbole.config.stock_settings import trained_share
from mmbee_plugin.recbole.data.content import SegmentTable
from mmbee_plugin.recbole.data.split import TrainingSplit
from mmbee_plugin.recbole.exchange import exchange_of, open_run
from mmbee_plugin.recbole.models.mmbee import MMBee
from mmbee_plugin.serving.bundle.source import Facts, LiveContent, LiveModality, Longest, Windows


class RecBoleSource:
    """Implements :class:`~mmbee_plugin.serving.bundle.source.Source`.

    Args:
        model: MMBee, on the CPU.
        dataset: the training split that it was built for.
    """

    def __init__(self, model: MMBee, dataset: TrainingSplit) -> None:
        self.model, self.dataset, self.gtr = model.eval(), dataset, model.gtr
        self.exchange = exchange_of(model, dataset)
        self.longest = _longest(model)
        self._user_ids, self._item_ids = _ids(dataset.user_rows), _ids(dataset.item_rows)
        folder = dataset.folder
        self.facts = Facts(
            name=folder.name,
            provenance=folder.provenance(),
            dataset=folder.hash,
            snapshot=model.snapshot_key,
            origin=folder.origin,
            until=model.end_of_training if dataset.ordered else None,
            chances=model.objective.loss == "bce",
            negatives=trained_share(dataset.config, folder.live),
        )
        self.live = None
        if model.content.windows is not None:
            assert folder.live is not None
            tables: Any = model.content.tables.items()
            modalities = {name: _modality(table) for name, table in tables}
            self.live = LiveContent(folder.live.seconds, model.content.windows.length, modalities)

    def users(self, rows: NDArray[np.int64]) -> UserSide:
        ids = self._user_ids[rows]
        fields = {} if self.model.interest is None else self.model.interest.user(ids)
        if (reach := fields.get("reach_ids")) is not None:
            fields["reach_ids"] = torch.where(reach == NOBODY, NOBODY, reach + 1)
        own = None if self.model.user is None else self.model.user(ids)
        nothing = torch.empty(len(ids), 0)
        return UserSide(own, nothing, nothing.bool(), **fields)

    def histories(
        self, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64] | None]:
        ids, lengths, times = self.model.histories.all(self._user_ids[rows].numpy(), self.longest.history)
        return self.dataset.item_rows[ids.numpy()], lengths.numpy(), None if times is None else times.numpy()

    def authors(self, rows: NDArray[np.int64]) -> AuthorSide:
        return self.model.author_side(self._item_ids[rows])

    def windows(self, rows: NDArray[np.int64]) -> Windows:
        assert self.model.content.windows is not None
        window = self.model.content.windows(self._item_ids[rows], None)
        segments, place = self.dataset.folder.segments, window.numpy()
        values, present = {}, {}
        for name, table in self.model.content.tables.items():
            values[name] = table.values[window].numpy()
            present[name] = table.present[window].numpy()
        starts, ends = (
            np.where(place >= 0, times[place], np.nan) for times in (segments.starts, segments.ends)
        )
        return Windows(starts, ends, values, present)

    def logits(self, users: NDArray[np.int64], authors: NDArray[np.int64]) -> torch.Tensor:
        pairs = {"user_id": self._user_ids[users], "item_id": self._item_ids[authors]}
        return self.model.logits(
            Interaction({self.model.USER_ID: pairs["user_id"], self.model.ITEM_ID: pairs["item_id"]})
        )


def open_source(path: Path) -> RecBoleSource:
    """The model of a RecBole checkpoint. Raises InputError as `open_run`."""
    return RecBoleSource(*open_run(path))


def _longest(model: MMBee) -> Longest:
    behaviours = int(np.diff(model.histories.indptr).max(initial=1))
    history = max(1, min(model.history_length, behaviours))
    nobody = torch.zeros(1, dtype=torch.long)
    if model.interest is None:
        return Longest(history)
    user, author = model.interest.user(nobody), model.interest.author(nobody)
    return Longest(history, _length(user, "reach_ids"), _length(user, "peers"), _length(author, "peers"))


def _length(fields: Mapping[str, torch.Tensor | None], name: str) -> int:
    """Padded length of a side's lists; 0 if it has none."""
    lists = fields.get(name)
    return 0 if lists is None else lists.shape[1]


def _modality(table: SegmentTable) -> LiveModality:
    _, frames, width = table.values.shape
    kind = str(table.values.numpy().dtype)
    return LiveModality(frames, width, kind, table.mean.numpy(), table.deviation.numpy())


def _ids(rows: NDArray[np.int64]) -> torch.Tensor:
    """(n,) RecBole's id of each row of the folder."""
    ids = np.empty(len(rows) - 1, dtype=np.int64)
    ids[rows[1:]] = np.arange(1, len(rows))
    return torch.from_numpy(ids)
