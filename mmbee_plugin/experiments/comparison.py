"""Metrics of models on the same labelled samples, with intervals and p-values of their differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation import bootstrap
from mmbee_plugin.evaluation.bootstrap import Interval, PairedDifference
from mmbee_plugin.evaluation.metrics import auc, gauc, hourly, uauc
from mmbee_plugin.evaluation.resampling import ResampledUsers
from mmbee_plugin.evaluation.seeds import of_seeds

Name = TypeVar("Name")
Metric = Callable[[NDArray, NDArray, NDArray], float]
METRICS: dict[str, Metric] = {
    "auc": lambda users, labels, scores: auc(labels, scores),
    "uauc": uauc,
    "gauc": gauc,
}


@dataclass(frozen=True)
class Samples:
    """The labelled rows that all models of a comparison score.

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
        """Metrics of each clock hour, averaged over the hours in which they are defined (MMBee, section 6.3).

        For UAUC and GAUC, a user of several hours counts once in each. Empty without time; NaN for a metric defined in
        no hour.
        """
        if self.times is None:
            return {}
        found = {}
        for name, metric in METRICS.items():
            try:
                found[name] = hourly(metric, self.times, self.users, self.labels, scores).mean
            except InputError:  # these samples have pooled metrics, so single hours lack one of the classes
                found[name] = np.nan
        return found


@dataclass(frozen=True)
class Scored:
    """A model's metrics over all samples.

    Attributes:
        pooled: metric -> one value a seed.
        draws: metric -> (seeds, draws) values on resampled users.
    """

    pooled: dict[str, list[float]]
    draws: dict[str, NDArray[np.float64]]

    def mean(self, metric: str) -> float:
        """Mean over the seeds."""
        return float(np.mean(self.pooled[metric]))

    def interval(self, metric: str) -> Interval:
        """The mean over seeds with its 95 % interval over users and seeds."""
        return of_seeds(np.array(self.pooled[metric]), self.draws[metric]).interval


@dataclass(frozen=True)
class Difference:
    """A row's metrics minus another row's.

    Attributes:
        found: metric -> difference of the seeds' means, over users and seeds.
        p_values: metric -> p-value, Holm-corrected over the rows of one table.
    """

    found: dict[str, PairedDifference]
    p_values: dict[str, float]

    def gain(self, metric: str) -> float:
        """The difference on all users."""
        return self.found[metric].interval.mean


def scored(samples: Samples, resampled: ResampledUsers, seeds: Sequence[NDArray]) -> Scored:
    """The metrics of one model.

    Args:
        seeds: (n,) scores of each seed.

    Raises:
        InputError: all labels are equal, or no user has both classes.
    """
    pooled = [samples.pooled(scores) for scores in seeds]
    draws = [resampled.values(scores) for scores in seeds]
    return Scored(
        {metric: [seed[metric] for seed in pooled] for metric in METRICS},
        {metric: np.stack([seed[metric] for seed in draws]) for metric in METRICS},
    )


def differences(rows: Mapping[str, Scored], pairs: Mapping[Name, tuple[str, str]]) -> dict[Name, Difference]:
    """The first row of each pair minus the second, seed by seed, with Holm's correction over the pairs."""
    return corrected(
        {
            name: {
                metric: of_seeds(
                    np.subtract(rows[row].pooled[metric], rows[other].pooled[metric]),
                    rows[row].draws[metric] - rows[other].draws[metric],
                )
                for metric in METRICS
            }
            for name, (row, other) in pairs.items()
        }
    )


def corrected(found: Mapping[Name, Mapping[str, PairedDifference]]) -> dict[Name, Difference]:
    """Applies Holm's correction to each metric's p-values over the rows; ``found`` is row -> metric -> difference."""
    p_values: dict[Name, dict[str, float]] = {name: {} for name in found}
    for metric in next(iter(found.values()), ()):
        family = bootstrap.holm([each[metric].p_value for each in found.values()])
        for name, p in zip(found, family, strict=True):
            p_values[name][metric] = p
    return {name: Difference(dict(each), p_values[name]) for name, each in found.items()}
