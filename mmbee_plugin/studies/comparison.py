"""Several models' scores of the same rows, one against another: metrics, differences, and how sure they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.evaluation import bootstrap
from mmbee_plugin.evaluation.resampling import ResampledUsers, difference
from mmbee_plugin.experiments.sheet import p_text, percent
from mmbee_plugin.tables.measures import METRICS, Samples, mean, spread

HEADINGS = tuple(text for metric in METRICS for text in (metric.upper(), "Impr.", "p"))
"""Of the columns that :meth:`Compared.cells` fills."""


@dataclass(frozen=True)
class Compared:
    """One row of a comparison.

    Attributes:
        values: metric -> one value a seed.
        intervals: metric -> low and high end of the 95 % interval over users of the seeds' mean.
        gains: metric -> this row minus the other, the seeds' mean; empty for a row that is set against none.
        p_values: metric -> of that difference, paired bootstrap over users, corrected by Holm over the rows.
    """

    values: dict[str, list[float]]
    intervals: dict[str, tuple[float, float]]
    gains: dict[str, float]
    p_values: dict[str, float]

    def cells(self) -> list[str]:
        """Value, difference and p of each metric, as :data:`HEADINGS` has them."""
        found = []
        for metric, seeds in self.values.items():
            text = f"{mean(seeds):.4f}" + (f" ({spread(seeds):.4f})" if len(seeds) > 1 else "")
            found.append(text)
            found += [percent(self.gains[metric]), p_text(self.p_values[metric])] if self.gains else ["-", ""]
        return found


def compare(
    samples: Samples, scores: Mapping[str, Sequence[NDArray]], against: Mapping[str, str]
) -> dict[str, Compared]:
    """Pooled metrics of each row, and its difference from another.

    Args:
        samples: the rows that all of them scored.
        scores: by row, (n,) of each seed.
        against: row -> the row it is set against; rows left out are set against none.

    Raises:
        InputError: a label that never changes, or for no user.
    """
    resampled = ResampledUsers(samples.users, samples.labels)
    values, draws = {}, {}
    for name, seeds in scores.items():
        pooled = [samples.pooled(one) for one in seeds]
        drawn = [resampled.values(one) for one in seeds]
        values[name] = {metric: [seed[metric] for seed in pooled] for metric in METRICS}
        draws[name] = {metric: np.mean([seed[metric] for seed in drawn], axis=0) for metric in METRICS}
    gains = {
        name: {metric: mean(values[name][metric]) - mean(values[other][metric]) for metric in METRICS}
        for name, other in against.items()
    }
    p_values: dict[str, dict[str, float]] = {name: {} for name in against}
    for metric in METRICS:
        raw = [
            difference(draws[name][metric], draws[other][metric], gains[name][metric]).p_value
            for name, other in against.items()
        ]
        for name, p in zip(against, bootstrap.holm(raw), strict=True):
            p_values[name][metric] = p
    return {
        name: Compared(values[name], _intervals(draws[name]), gains.get(name, {}), p_values.get(name, {}))
        for name in scores
    }


def _intervals(draws: Mapping[str, NDArray]) -> dict[str, tuple[float, float]]:
    ends = {metric: np.nanquantile(drawn, [0.025, 0.975]) for metric, drawn in draws.items()}
    return {metric: (float(low), float(high)) for metric, (low, high) in ends.items()}
