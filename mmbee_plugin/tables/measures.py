"""From cells to figures: metrics pooled and over hours, averaged over seeds, and how sure their differences are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation import bootstrap
from mmbee_plugin.evaluation.bootstrap import Interval, PairedDifference
from mmbee_plugin.evaluation.metrics import auc, gauc, hourly, uauc
from mmbee_plugin.evaluation.resampling import ResampledUsers, difference
from mmbee_plugin.experiments.cells import Cell
from mmbee_plugin.tables.rows import Row, Table

Metric = Callable[[NDArray, NDArray, NDArray], float]
METRICS: dict[str, Metric] = {
    "auc": lambda users, labels, scores: auc(labels, scores),
    "uauc": uauc,
    "gauc": gauc,
}
COSTS = ("train_samples_per_s", "infer_samples_per_s", "flops", "parameters", "seconds", "peak_rss_mb")


@dataclass(frozen=True)
class Samples:
    """The labelled rows that all models of a table score.

    Shapes:
        - users: (n,) rows of the folder; labels: (n,) bool; times: (n,) seconds, or None without time
    """

    users: NDArray
    labels: NDArray
    times: NDArray | None

    def pooled(self, scores: NDArray) -> dict[str, float]:
        """The metrics over all samples."""
        return {name: metric(self.users, self.labels, scores) for name, metric in METRICS.items()}

    def hourly(self, scores: NDArray) -> dict[str, float]:
        """The metrics of each clock hour, averaged over the hours that have them (MMBee, section 6.3).

        A user counts anew in each hour, for UAUC and GAUC too. Empty without time; NaN where no hour has a pair to
        rank.
        """
        if self.times is None:
            return {}
        found = {}
        for name, metric in METRICS.items():
            try:
                found[name] = hourly(metric, self.times, self.users, self.labels, scores).mean
            except InputError:  # pooled it is defined, so it is the hours that are too short
                found[name] = np.nan
        return found


@dataclass(frozen=True)
class Measured:
    """A row's figures."""

    row: Row
    pooled: dict[str, list[float]]
    """metric -> one value a seed."""
    hourly: dict[str, list[float]]
    """the same as means over hours; empty without time."""
    draws: dict[str, NDArray[np.float64]]
    """metric -> (draws,) on resampled users, averaged over the seeds."""
    costs: dict[str, float]
    """of :data:`COSTS`, averaged over the seeds."""

    def interval(self, metric: str) -> Interval:
        """The pooled mean over seeds with its 95 % interval over users."""
        return bootstrap.of_draws(mean(self.pooled[metric]), _finite(self.draws[metric])).interval


@dataclass(frozen=True)
class Comparison:
    """A row's pooled metrics minus another row's."""

    row: str
    against: str
    differences: dict[str, PairedDifference]
    p_values: dict[str, float]
    """corrected by Holm over the comparisons of the same kind."""


@dataclass(frozen=True)
class Measures:
    """All figures of a table."""

    table: Table
    split: str
    seeds: int
    rows: dict[str, Measured]
    improvements: dict[str, Comparison]
    """of the rows that are measured from another one, by their names."""
    of_full: dict[str, Comparison]
    """of the full model over every other row, by the other's name."""
    best: dict[str, dict[str, float]]
    """``pooled`` and ``hourly`` of the planted probabilities as scores; empty where there are none."""
    counts: dict[str, int]
    """samples, positives, users, and users_with_both classes; with time also hours, user_hours (a user's samples within
    a clock hour) and user_hours_with_both."""
    side_by_side: int
    """how many cells were made, and timed, at once."""
    tested: bool
    """whether differences have p-values; those of generated samples say nothing."""

    def hourly_gain(self, name: str, metric: str) -> float | None:
        """The row's mean over hours minus that of the row it is measured from; None without either, or without time."""
        measured = self.rows[name]
        against = self.rows.get(measured.row.against or "")
        if against is None or metric not in measured.hourly:
            return None
        return mean(measured.hourly[metric]) - mean(against.hourly[metric])


def measure(table: Table, cells: Mapping[str, Sequence[Cell]], split: str, folder: DatasetFolder) -> Measures:
    """The figures of a table from its rows' cells, one a seed.

    Raises:
        InputError: two cells scored other rows, or a label that never changes.
    """
    samples = _samples(cells, split)
    resampled = ResampledUsers(samples.users, samples.labels)
    rows = {row.name: _measured(row, cells[row.name], split, samples, resampled) for row in table.rows}
    pairs = [(row.name, row.against) for row in table.rows if row.against]
    full = table.full
    over = [(full, name) for name in rows if name != full] if full else []
    return Measures(
        table,
        split,
        len(next(iter(cells.values()))),
        rows,
        {comparison.row: comparison for comparison in _compare(pairs, rows)},
        {comparison.against: comparison for comparison in _compare(over, rows)},
        best_possible(folder, split),
        _counts(samples),
        max(cell.facts["side_by_side"] for seeds in cells.values() for cell in seeds),
        folder.kind != "sample",
    )


def best_possible(folder: DatasetFolder, split: str) -> dict[str, dict[str, float]]:
    """The metrics of the simulator's planted probabilities, which no model can be expected to pass.

    Empty for data without ``truth/<split>.npy``.

    Raises:
        InputError: it has another number of rows than the split.
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


def mean(values: Sequence[float]) -> float:
    """Over the seeds."""
    return float(np.mean(values))


def spread(values: Sequence[float]) -> float:
    """The largest minus the smallest seed."""
    return float(np.ptp(values))


def _samples(cells: Mapping[str, Sequence[Cell]], split: str) -> Samples:
    first: Samples | None = None
    for name, seeds in cells.items():
        for cell in seeds:
            users, labels = (cell.arrays[f"{split} {column}"] for column in ("users", "labels"))
            own = Samples(users, labels, cell.arrays.get(f"{split} times"))
            first = first or own
            if not (np.array_equal(own.users, first.users) and np.array_equal(own.labels, first.labels)):
                raise InputError(
                    f"{name}: scored other {split} rows than {next(iter(cells))}; a table needs one split for all "
                    "seeds: a pre-split folder, or eval_args.order TO"
                )
    assert first is not None
    return first


def _measured(
    row: Row, cells: Sequence[Cell], split: str, samples: Samples, resampled: ResampledUsers
) -> Measured:
    scores = [cell.arrays[f"{split} scores"] for cell in cells]
    pooled = [samples.pooled(values) for values in scores]
    hourly = [samples.hourly(values) for values in scores]
    draws = [resampled.values(values) for values in scores]
    return Measured(
        row,
        {metric: [seed[metric] for seed in pooled] for metric in METRICS},
        {metric: [seed[metric] for seed in hourly] for metric in hourly[0]},
        {metric: np.mean([seed[metric] for seed in draws], axis=0) for metric in METRICS},
        {cost: float(np.mean([cell.facts[cost] for cell in cells])) for cost in COSTS},
    )


def _compare(pairs: Sequence[tuple[str, str]], rows: Mapping[str, Measured]) -> list[Comparison]:
    """The first of each pair minus the second; Holm's correction runs over the pairs, for each metric."""
    found: list[dict[str, PairedDifference]] = [
        {
            metric: difference(
                rows[row].draws[metric],
                rows[against].draws[metric],
                mean(rows[row].pooled[metric]) - mean(rows[against].pooled[metric]),
            )
            for metric in METRICS
        }
        for row, against in pairs
    ]
    corrected = {metric: bootstrap.holm([each[metric].p_value for each in found]) for metric in METRICS}
    return [
        Comparison(row, against, each, {metric: corrected[metric][place] for metric in METRICS})
        for place, ((row, against), each) in enumerate(zip(pairs, found, strict=True))
    ]


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
    """How many groups of samples there are, and how many of them have both classes."""
    _, group, size = np.unique(groups, return_inverse=True, return_counts=True)
    positives = np.bincount(group[labels], minlength=len(size))
    return len(size), int(((positives > 0) & (positives < size)).sum())


def _finite(values: NDArray) -> NDArray:
    return values[np.isfinite(values)]
