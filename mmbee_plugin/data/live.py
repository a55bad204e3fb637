"""Live data in a dataset folder: entries of `dataset.json`, and labels, amounts, segments and tasks of its rows.

A row of a live `.inter` file is one sample: a gift, or a negative such as the end of a visit without a gift.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mmbee_plugin.data.recbole_files import read_header
from mmbee_plugin.errors import InputError

LABEL, AMOUNT, SEGMENT = "label:float", "amount:float", "segment:float"

WINDOW, ENDED = KNOWN = ("window", "ended")
"""what of its author's segments a row knows: up to that of the window that holds its moment, which ends after it, or
those that had ended"""


@dataclass(frozen=True)
class LiveSettings:
    """How a live folder was cut into samples: the entries `segments` and `tasks` of `dataset.json`."""

    count: int
    """rows of `<name>.segment`; 0 if the log has no content"""
    seconds: int
    """length of a window, and of every segment unless `varying`"""
    per_sample: int
    """newest segments of each sample that the folder holds, if the log has them"""
    known: str = WINDOW
    """one of `KNOWN`"""
    tasks: tuple[str, ...] = ()
    """labels of the rows besides the gift, one column each"""
    varying: bool = False
    """whether some segment is longer or shorter than a window; `<name>.segment` has their ends"""
    train_negatives: float = 1.0
    """share of the log's negatives that are training rows"""
    test_negatives: float = 1.0
    """the same for validation and test"""

    def negatives(self, split: str) -> float:
        """Share of the log's negatives among the rows of a split."""
        return self.train_negatives if split == "train" else self.test_negatives

    @classmethod
    def of(cls, description: dict[str, Any], file: Path) -> LiveSettings | None:
        """Settings in a `description`, the content of `file`; None if the data are not live.

        Raises InputError for malformed entries.
        """
        if "segments" not in description:
            return None
        entry, tasks = description["segments"], description.get("tasks", [])
        sizes: dict[str, Any] = {}
        for key, least in (("count", 0), ("seconds", 1), ("per_sample", 1)):
            value = entry.get(key) if isinstance(entry, dict) else None
            if type(value) is not int or value < least:
                raise InputError(
                    f"{file}, segments: {key} is {value!r}, a whole number from {least} is needed"
                )
            sizes[key] = value
        known = entry.get("known", cls.known)
        if known not in KNOWN:
            raise InputError(f"{file}, segments: known is {known!r}, one of {', '.join(KNOWN)} is needed")
        varying = entry.get("varying", False)
        if not isinstance(varying, bool):
            raise InputError(f"{file}, segments: varying is {varying!r}, true or false is needed")
        if "modalities" not in description:
            raise InputError(f"{file}: no entry 'modalities', which says what the segments' features are")
        for name, modality in description["modalities"].items():
            frames = modality.get("frames", 1)
            if modality.get("of") != "segment" or type(frames) is not int or frames < 1:
                raise InputError(
                    f'{file}, modalities: {name!r} needs "of": "segment", and frames from 1 if any'
                )
        if not isinstance(tasks, list) or not all(isinstance(task, str) and task for task in tasks):
            raise InputError(f"{file}, tasks: a list of names is needed, found {str(tasks)[:80]}")
        for task in tasks:
            if tasks.count(task) > 1 or task == "gift":
                raise InputError(f"{file}, tasks: {task!r} is listed twice, or is the label's own name")
        train, test = _shares(description, file)
        return cls(
            **sizes,
            known=known,
            tasks=tuple(tasks),
            varying=varying,
            train_negatives=train,
            test_negatives=test,
        )


@dataclass(frozen=True)
class LiveRows:
    """Columns of a live `.inter` file besides user, item and time, in file order.

    Shapes:
        - labels: (n,) bool, whether the row is a gift
        - segments: (n,) int64, row of `<name>.segment` of the author's newest known segment; -1 for none
        - tasks: (n, T) int8, label 1 or 0 of each task; -1 for unknown
        - amounts: (n,) float64, amount of the gift; 0 for negatives
    """

    labels: np.ndarray
    segments: np.ndarray
    tasks: np.ndarray
    amounts: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def taken(self, which: np.ndarray) -> LiveRows:
        """The rows chosen by an index or mask."""
        return LiveRows(self.labels[which], self.segments[which], self.tasks[which], self.amounts[which])

    @staticmethod
    def concatenate(parts: list[LiveRows]) -> LiveRows:
        """Rows of several files, in this order."""
        fields = ("labels", "segments", "tasks", "amounts")
        return LiveRows(*(np.concatenate([getattr(part, field) for part in parts]) for field in fields))


def read_live_rows(file: Path, settings: LiveSettings) -> LiveRows:
    """Reads the live columns of an `.inter` file.

    Raises InputError naming file, line, column and value: a missing column, an invalid label or task, an amount that
    contradicts the label, a segment that is no row of `<name>.segment`.
    """
    columns = [LABEL, AMOUNT, SEGMENT, *(f"{task}:float" for task in settings.tasks)]
    header = read_header(file)
    for column in columns:
        if column not in header:
            raise InputError(f"{file}, line 1: no column {column!r}, which every live file has")
    try:
        frame = pd.read_csv(file, sep="\t", usecols=columns, dtype=np.float64, quoting=3, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise _first_unreadable(file, columns) or InputError(f"{file}: cannot be read: {error}") from None
    label, amount, segment = (frame[name].to_numpy() for name in (LABEL, AMOUNT, SEGMENT))
    _check(file, LABEL, label, (label == 0) | (label == 1), "0 or 1")
    fits = np.isfinite(amount) & ((amount > 0) == (label == 1)) & (amount >= 0)
    _check(file, AMOUNT, amount, fits, "an amount above 0 with label 1, and 0 with label 0")
    row = (segment == np.floor(segment)) & (segment >= -1) & (segment < settings.count)
    _check(file, SEGMENT, segment, row, f"a row from 0 to {settings.count - 1}, or -1 for none")
    for column in columns[3:]:
        value = frame[column].to_numpy()
        _check(file, column, value, np.isin(value, (-1, 0, 1)), "1, 0, or -1 for unknown")
    tasks = frame[columns[3:]].to_numpy().astype(np.int8)
    return LiveRows(label == 1, segment.astype(np.int64), tasks, amount)


def check_samples(
    file: Path, rows: LiveRows, items: np.ndarray, times: np.ndarray, segments: Any, known: str
) -> None:
    """Checks the labels of a file's rows, and the segments the rows refer to.

    Args:
        items: (n,) item rows.
        times: (n,) seconds.
        segments: the folder's :class:`~mmbee_plugin.data.segments.SegmentFeatures`.
        known: one of :data:`KNOWN`.

    Raises:
        InputError: rows of one label only, a segment of another author, or one that a row cannot know.
    """
    if rows.labels.all() or not rows.labels.any():
        raise InputError(
            f"{file}, column {LABEL}: all {len(rows):,} rows have {int(rows.labels[0])}; both are needed"
        )
    seen = rows.segments >= 0
    if not seen.any():
        return
    named = np.where(seen, rows.segments, 0)
    own = ~seen | (segments.authors[named] == items)
    _check(file, SEGMENT, rows.segments, own, "a segment of the row's own author")
    past = ~seen | (segments.known_from(known)[named] <= times)
    does = "ended" if known == ENDED else "starts"
    _check(file, SEGMENT, rows.segments, past, f"a segment that {does} before the row's timestamp")


def _shares(description: dict[str, Any], file: Path) -> tuple[float, float]:
    """Shares of negatives in training and in the other splits, by the entry `log`, which data cut by others lack."""
    match description.get("log"):
        case {"settings": {"train_negatives": train, "test_negatives": test}}:
            for name, value in (("train_negatives", train), ("test_negatives", test)):
                if not isinstance(value, int | float) or not 0 < value <= 1:
                    raise InputError(
                        f"{file}, log: {name} is {value!r}, a share above 0, at most 1, is needed"
                    )
            return float(train), float(test)
    return 1.0, 1.0


def _first_unreadable(file: Path, columns: list[str]) -> InputError | None:
    """Error for the first value of these columns that is no number; None if there is none."""
    try:
        frame = pd.read_csv(file, sep="\t", usecols=columns, dtype="str", na_filter=False, quoting=3)
    except (OSError, ValueError):
        return None
    for column in columns:
        wrong = np.flatnonzero(pd.to_numeric(frame[column], errors="coerce").isna())
        if len(wrong):
            value = frame[column][wrong[0]]
            return InputError(f"{file}, line {wrong[0] + 2}, column {column}: {value[:80]!r} is no number")
    return None


def _check(file: Path, column: str, values: np.ndarray, good: np.ndarray, wanted: str) -> None:
    wrong = np.flatnonzero(~good)
    if len(wrong):
        raise InputError(
            f"{file}, line {wrong[0] + 2}, column {column}: {values[wrong[0]]:g} is wrong; expected {wanted}"
        )
