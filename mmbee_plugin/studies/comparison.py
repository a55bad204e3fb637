"""Several models' scores of the same rows, one against another: metrics, differences, and how sure they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from numpy.typing import NDArray

from mmbee_plugin.evaluation.resampling import ResampledUsers
from mmbee_plugin.experiments.comparison import METRICS, Samples, Scored, differences, scored
from mmbee_plugin.experiments.sheet import p_text, percent, seeds_text

HEADINGS = tuple(text for metric in METRICS for text in (metric.upper(), "Impr.", "p"))
"""Of the columns that :meth:`Compared.cells` fills."""


@dataclass(frozen=True)
class Compared(Scored):
    """One row of a comparison.

    Attributes:
        gains: metric -> this row minus the other, the seeds' mean; empty for a row without another.
        p_values: metric -> of that difference, paired bootstrap over users, corrected by Holm over the rows.
    """

    gains: dict[str, float]
    p_values: dict[str, float]

    def cells(self) -> list[str]:
        """Value, difference and p of each metric, as :data:`HEADINGS` has them."""
        found = []
        for metric, seeds in self.pooled.items():
            found.append(seeds_text(seeds))
            found += [percent(self.gains[metric]), p_text(self.p_values[metric])] if self.gains else ["-", ""]
        return found


def compare(
    samples: Samples, scores: Mapping[str, Sequence[NDArray]], against: Mapping[str, str]
) -> dict[str, Compared]:
    """Pooled metrics of each row, and its difference from another.

    Args:
        samples: the rows that all of them scored.
        scores: by row, (n,) of each seed.
        against: row -> the row it is compared with; rows left out are compared with none.

    Raises:
        InputError: a label that never changes, or for no user.
    """
    resampled = ResampledUsers(samples.users, samples.labels)
    rows = {name: scored(samples, resampled, seeds) for name, seeds in scores.items()}
    found = differences(rows, {name: (name, other) for name, other in against.items()})
    gains = {name: {metric: one.gain(metric) for metric in METRICS} for name, one in found.items()}
    return {
        name: Compared(
            row.pooled, row.draws, gains.get(name, {}), found[name].p_values if name in found else {}
        )
        for name, row in rows.items()
    }
