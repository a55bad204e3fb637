"""Labelled rows of a dataset folder by token, with the weights that undo the sampling of negatives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError

GIFT = "gift"
"""name of the first task"""


@dataclass(frozen=True)
class LabelledRows:
    """Labelled rows of a dataset folder, in file order.

    Shapes:
        - users, authors: (n,) tokens
        - times: (n,) float64 seconds since the epoch; None for data without time
        - labels: task -> (n,) int8, -1 for unknown
        - segments: (n,) int64 row of the author's newest known segment; -1 for none
        - weights: (n,) float64 rows of the log that a row stands for: 1 over the share at which negatives were drawn,
          and 1 for gifts
    """

    users: NDArray[np.str_]
    authors: NDArray[np.str_]
    times: NDArray[np.float64] | None
    labels: dict[str, NDArray[np.int8]]
    segments: NDArray[np.int64]
    weights: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.users)

    @classmethod
    def of(
        cls,
        folder: DatasetFolder,
        splits: Sequence[str] = ("test",),
        since: float = -np.inf,
        until: float = np.inf,
    ) -> LabelledRows:
        """Rows of some splits from ``since`` on and before ``until``, in seconds since the epoch.

        Rows of static items are all positive.

        Raises:
            InputError: as `DatasetFolder.interactions` and `.rows`; limits for data without time; no such row.
        """
        parts = [cls._of_split(folder, split) for split in splits]
        times = [part.times for part in parts if part.times is not None]
        whole = cls(
            np.concatenate([part.users for part in parts]),
            np.concatenate([part.authors for part in parts]),
            np.concatenate(times) if len(times) == len(parts) else None,
            {task: np.concatenate([part.labels[task] for part in parts]) for task in parts[0].labels},
            np.concatenate([part.segments for part in parts]),
            np.concatenate([part.weights for part in parts]),
        )
        if whole.times is None:
            if since > -np.inf or until < np.inf:
                raise InputError(f"{folder.path}: {folder.order.words}, so no period can be cut from it")
            return whole
        kept = (whole.times >= since) & (whole.times < until)
        if not kept.any():
            raise InputError(f"{folder.path}: none of {len(kept):,} rows is from {since:.0f} to {until:.0f}")
        return whole.taken(kept)

    def taken(self, which: NDArray) -> LabelledRows:
        """The rows chosen by an index or mask."""
        return LabelledRows(
            self.users[which],
            self.authors[which],
            None if self.times is None else self.times[which],
            {task: values[which] for task, values in self.labels.items()},
            self.segments[which],
            self.weights[which],
        )

    @classmethod
    def _of_split(cls, folder: DatasetFolder, split: str) -> LabelledRows:
        rows = folder.interactions(split)
        users, authors = np.array(folder.user_tokens)[rows.users], np.array(folder.item_tokens)[rows.items]
        if folder.live is None:
            ones = np.ones(len(users), dtype=np.int8)
            return cls(
                users, authors, rows.timestamps, {GIFT: ones}, -ones.astype(np.int64), ones.astype(float)
            )
        live = folder.rows(split)
        labels = {GIFT: live.labels.astype(np.int8)}
        labels |= {task: live.tasks[:, place] for place, task in enumerate(folder.tasks)}
        weights = np.where(live.labels, 1.0, 1 / folder.live.negatives(split))
        return cls(users, authors, rows.timestamps, labels, live.segments, weights)
