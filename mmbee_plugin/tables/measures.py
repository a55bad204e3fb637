"""Figures of a labelled table from its cells: metrics pooled and over hours, with intervals and p-values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.resampling import ResampledUsers
from mmbee_plugin.experiments.cells import Cell, alike
from mmbee_plugin.experiments.comparison import Difference, Samples, Scored, differences, scored
from mmbee_plugin.experiments.rows import Row
from mmbee_plugin.experiments.sheet import mean
from mmbee_plugin.tables.rows import Table

COSTS = (
    *("parameters", "embedding_parameters", "train_cpu_seconds", "score_cpu_us", "epochs", "epoch_seconds"),
    *("seconds", "peak_rss_mb", "train_samples_per_s", "infer_samples_per_s", "flops"),
)


@dataclass(frozen=True)
class Measured(Scored):
    """A row's figures."""

    row: Row
    hourly: dict[str, list[float]]
    """metric -> mean over hours, one value a seed; empty without time."""
    costs: dict[str, float]
    """cost of :data:`COSTS` -> mean over the seeds."""


@dataclass(frozen=True)
class Measures:
    """All figures of a table."""

    table: Table
    split: str
    seeds: int
    rows: dict[str, Measured]
    improvements: dict[str, Difference]
    """row -> its difference from the baseline row ``row.against``; rows with a baseline only."""
    of_full: dict[str, Difference]
    """other row -> the full model minus it."""
    best: dict[str, dict[str, float]]
    """``pooled`` and ``hourly`` metrics with the planted probabilities as scores; empty without them."""
    counts: dict[str, int]
    """samples, positives, users, and users_with_both classes; with time also hours, user_hours (a user's samples within
    a clock hour) and user_hours_with_both."""
    side_by_side: int
    """most cells that were made, and timed, at once."""
    tested: bool
    """whether differences get p-values; False for generated samples."""

    def hourly_gain(self, name: str, metric: str) -> float | None:
        """The row's mean over hours minus its baseline's; None without a baseline or time."""
        measured = self.rows[name]
        against = self.rows.get(measured.row.against or "")
        if against is None or metric not in measured.hourly:
            return None
        return mean(measured.hourly[metric]) - mean(against.hourly[metric])


def measure(table: Table, cells: Mapping[str, Sequence[Cell]], split: str, folder: DatasetFolder) -> Measures:
    """The figures of a table from its rows' cells, one a seed.

    Raises:
        InputError: two cells scored different rows, or the labels are all equal.
    """
    arrays = alike(
        *(cells, split, ("users", "labels"), "scored {} rows"),
        "a table needs one split for all seeds: a pre-split folder, or eval_args.order TO",
    ).arrays
    times = arrays.get(f"{split} times")
    samples = Samples(arrays[f"{split} users"], arrays[f"{split} labels"], times)
    resampled = ResampledUsers(samples.users, samples.labels)
    rows = {row.name: _measured(row, cells[row.name], split, samples, resampled) for row in table.rows}
    full = table.full
    return Measures(
        table,
        split,
        len(next(iter(cells.values()))),
        rows,
        differences(rows, {row.name: (row.name, row.against) for row in table.rows if row.against}),
        differences(rows, {name: (full, name) for name in rows if name != full}) if full else {},
        best_possible(folder, split),
        _counts(samples),
        max(cell.facts["side_by_side"] for seeds in cells.values() for cell in seeds),
        folder.kind != "sample",
    )


def best_possible(folder: DatasetFolder, split: str) -> dict[str, dict[str, float]]:
    """Metrics of the simulator's planted probabilities ``truth/<split>.npy``, an upper bound in expectation.

    Empty for data without that file.

    Raises:
        InputError: its length differs from the split's.
    """
    file: Path = folder.path / "truth" / f"{split}.npy"
    if not file.exists():
        return {}
    truth = np.load(file)
    rows, interactions = folder.rows(split), folder.interactions(split)
    if truth.shape != rows.labels.shape:
        raise InputError(
            f"{file}: shape {truth.shape}, expected one value for each of {len(rows):,} {split} rows"
        )
    samples = Samples(interactions.users, rows.labels, interactions.timestamps)
    return {"pooled": samples.pooled(truth), "hourly": samples.hourly(truth)}


def _measured(
    row: Row, cells: Sequence[Cell], split: str, samples: Samples, resampled: ResampledUsers
) -> Measured:
    scores = [cell.arrays[f"{split} scores"] for cell in cells]
    whole = scored(samples, resampled, scores)
    hourly = [samples.hourly(values) for values in scores]
    return Measured(
        whole.pooled,
        whole.draws,
        row,
        {metric: [seed[metric] for seed in hourly] for metric in hourly[0]},
        {cost: float(np.mean([cell.facts[cost] for cell in cells])) for cost in COSTS},
    )


def _counts(samples: Samples) -> dict[str, int]:
    users, users_with_both = _with_both(samples.users, samples.labels)
    counts = {
        "samples": len(samples.labels),
        "positives": int(samples.labels.sum()),
        "users": users,
        "users_with_both": users_with_both,
    }
    if samples.times is not None:
        hours, hour = np.unique(samples.times // 3600, return_inverse=True)
        counts["hours"] = len(hours)
        user_hours = samples.users.astype(np.int64) * len(hours) + hour
        counts["user_hours"], counts["user_hours_with_both"] = _with_both(user_hours, samples.labels)
    return counts


def _with_both(groups: NDArray, labels: NDArray) -> tuple[int, int]:
    """Number of groups of samples, and of those with both classes."""
    _, group, size = np.unique(groups, return_inverse=True, return_counts=True)
    positives = np.bincount(group[labels], minlength=len(size))
    return len(size), int(((positives > 0) & (positives < size)).sum())
