"""Compares scores of the same rows by several models: metrics, differences and their p-values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from numpy.typing import NDArray

from mmbee_plugin.evaluation.bootstrap import Interval
from mmbee_plugin.evaluation.resampling import ResampledUsers
from mmbee_plugin.experiments.comparison import METRICS, Samples, Scored, differences, scored
from mmbee_plugin.experiments.sheet import p_text, percent, seeds_text

HEADINGS = tuple(text for metric in METRICS for text in (metric.upper(), "Impr.", "p"))
"""headings of the columns of :meth:`Compared.cells`"""


@dataclass(frozen=True)
class Compared(Scored):
    """One row of a comparison.

    Attributes:
        gains: metric -> this row minus its baseline, mean over seeds; empty without a baseline.
        p_values: metric -> p-value of that difference, paired bootstrap over users and seeds, Holm-corrected over the
            rows.
        spans: metric -> that difference with its 95 % interval over users and seeds; empty without a baseline.
    """

    gains: dict[str, float]
    p_values: dict[str, float]
    spans: dict[str, Interval] = field(default_factory=dict)

    def cells(self) -> list[str]:
        """Texts of value, difference and p of each metric, under :data:`HEADINGS`."""
        found = []
        for metric, seeds in self.pooled.items():
            found.append(seeds_text(seeds))
            found += [percent(self.gains[metric]), p_text(self.p_values[metric])] if self.gains else ["-", ""]
        return found


def compare(
    samples: Samples, scores: Mapping[str, Sequence[NDArray]], against: Mapping[str, str]
) -> dict[str, Compared]:
    """Pooled metrics of each row, and its difference from a baseline row.

    Args:
        samples: the samples that all rows scored.
        scores: row -> (n,) scores of each seed.
        against: row -> its baseline; rows without one are left out.

    Raises:
        InputError: all labels are equal, or no user has both classes.
    """
    resampled = ResampledUsers(samples.users, samples.labels)
    rows = {name: scored(samples, resampled, seeds) for name, seeds in scores.items()}
    found = differences(rows, {name: (name, other) for name, other in against.items()})
    compared = {}
    for name, row in rows.items():
        one = found.get(name)
        spans = {metric: one.found[metric].interval for metric in METRICS} if one else {}
        gains = {metric: span.mean for metric, span in spans.items()}
        compared[name] = Compared(row.pooled, row.draws, gains, one.p_values if one else {}, spans)
    return compared
