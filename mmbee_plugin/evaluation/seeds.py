"""Intervals and p-values of a mean over training seeds: a hierarchical bootstrap over users and seeds together.

A seed's figure is taken for ``m + a_s`` and what its users add: ``m`` is what is asked for, ``a_s`` normal. Users are
drawn with replacement, the same in all seeds. Few seeds drawn with replacement too (Owen, "The pigeonhole bootstrap",
2007) say too little of how they differ, and their intervals are too narrow (``benchmarks/seeds.py``). So the mean of
the ``a_s`` is drawn from the normal distribution that the seeds fit, its variance from what so few seeds leave open, a
chi-square of seeds - 1 degrees of freedom. With many users that is Student's t over the seeds; with seeds that do not
differ it is the bootstrap over users; between them it is the generalized interval of a mean with two sources of
variance (Weerahandi, "Generalized confidence intervals", 1993).

The spread of seeds on few users is partly that of the users (an AUC of some user is high with one seed, low with
another). The draws of users say how much, and that much is taken off, so it counts once.

For a difference of two models, a seed's value is the difference within that seed. Whatever both have from it, such as
the order of rows, cancels; what they draw apart, such as their weights, stays. Pairing assumes neither.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.evaluation.bootstrap import PairedDifference, of_draws


def of_seeds(values: NDArray[np.floating], draws: NDArray[np.floating], seed: int = 0) -> PairedDifference:
    """The mean over seeds with its 95 % interval and two-sided p-value against zero, over users and seeds.

    Args:
        values: (seeds,) a metric, or a difference of two, on all users. Of one seed, users alone are drawn.
        draws: (seeds, draws) the same on resampled users. Draws without a value in every seed do not count.
        seed: of the random draws of seeds.
    """
    draws = draws[:, np.isfinite(draws).all(axis=0)]
    mean, seeds, estimate = draws.mean(axis=0), len(values), float(values.mean())
    if seeds == 1 or not len(mean):
        return of_draws(estimate, mean)
    of_users = (draws - mean).var(axis=1).sum() / (seeds - 1)  # in the variance of the seeds' values
    squares = ((values - estimate) ** 2).sum()
    generator = np.random.default_rng(seed)
    variance = np.maximum(squares / generator.chisquare(seeds - 1, len(mean)) - of_users, 0)
    found = of_draws(estimate, mean + np.sqrt(variance / seeds) * generator.standard_normal(len(mean)))
    error = np.sqrt(mean.var() + max(squares / (seeds - 1) - of_users, 0) / seeds)
    return replace(found, interval=replace(found.interval, standard_error=float(error)))
