"""Counts of a log over what they are of, and whether a day's is beyond what quiet days differ by.

Rows of one user, and those of one author, are not independent: a room that goes well may have a tenth of an evening's
gifts. The variance of a count is therefore summed from the residuals of whole users and of whole authors, which counts
what is common to both twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import nbinom, norm

from mmbee_plugin.serving.replay import Replayed

Column = Callable[[Replayed], NDArray]
LEAST = 1e-9
"""relative variance of a count that varies by its number alone"""


@dataclass(frozen=True)
class Ratio:
    """A count in rows of the log over a base, such as all rows, or the gifts that chances promise.

    Attributes:
        groups: counts and bases (g, 2) of whole users and of whole authors.
    """

    observed: float
    base: float
    groups: NDArray[np.float64]

    @classmethod
    def of(cls, parts: Sequence[Replayed], counted: Column, base: Column) -> Ratio:
        """Over several days, which are independent.

        Args:
            counted, base: values (n,) of the rows of a part.
        """
        groups, sums = [np.zeros((0, 2))], np.zeros(2)
        for part in parts:
            columns = [part.weights * column(part) for column in (counted, base)]
            sums += [column.sum() for column in columns]
            for group in part.groups:
                groups.append(np.stack([np.bincount(group, column) for column in columns], axis=1))
        return cls(float(sums[0]), float(sums[1]), np.concatenate(groups))

    @property
    def value(self) -> float:
        """The count over the base; 0 without a base."""
        return self.observed / self.base if self.base else 0.0

    def residuals(self, value: float | None = None) -> float:
        """Sum of the squared residuals of whole users and of whole authors about a ratio, by default its own."""
        about = self.value if value is None else value
        return float(((self.groups[:, 0] - about * self.groups[:, 1]) ** 2).sum())

    @property
    def variance(self) -> float:
        """Of the ratio, relative to its square."""
        return self.residuals() / self.observed**2

    def bursts(self, value: float | None = None) -> float:
        """Variance of the count beyond its number, relative to it, about a ratio; 0 where counts are independent."""
        return max(0.0, self.residuals(value) / self.observed - 1) if self.observed else 0.0

    def is_off(self, usual: float, variance: float, bursts: float, factor: float, sigmas: float) -> bool:
        """Whether the ratio is beyond a factor of a usual one, and beyond chance.

        By chance the count is negative binomial: a Poisson count whose rate varies by the usual ratio's error, and by
        its own bursts or the usual ones, whichever are larger. A rise that one author or user has made is a burst.

        Args:
            usual, variance, bursts: of a usual ratio.
        """
        expected = usual * self.base
        if not self.observed * factor < expected and not self.observed > expected * factor:
            return False
        own = (
            self.bursts(usual if self.observed > expected else None) / self.observed if self.observed else 0.0
        )
        size = 1 / (max(own, bursts / expected) + variance + LEAST)
        law = nbinom(size, size / (size + expected))
        chance = law.cdf(self.observed) if self.observed < expected else law.sf(self.observed - 1)
        return bool(chance < norm.sf(sigmas))

    def errors_above(self, usual: Ratio, between: float = 0.0) -> float:
        """By how many standard errors the ratio is above a usual one.

        Args:
            between: variance between quiet days, if it is larger than the usual ratio's own.
        """
        own = self.residuals() / self.base**2
        squared = own + max(usual.residuals() / usual.base**2, between)
        difference = self.value - usual.value
        return difference / squared**0.5 if squared else float(np.sign(difference)) * np.inf


def row(part: Replayed) -> NDArray[np.float64]:
    """(n,) ones: the rows themselves."""
    return np.ones(len(part))


def gift(part: Replayed) -> NDArray[np.float64]:
    """(n,) whether a row is a gift."""
    return part.labels[:, 0].astype(np.float64)


def chance(part: Replayed) -> NDArray[np.float64]:
    """(n,) chances of a gift."""
    return part.chances


def scored(part: Replayed) -> Replayed:
    """The rows with a finite score."""
    return part.taken(part.scored & np.isfinite(part.logits[:, 0]))


def clock(part: Replayed) -> NDArray[np.int64]:
    """(n,) hour of the day (UTC)."""
    assert part.times is not None
    return (part.times // 3600).astype(np.int64) % 24
