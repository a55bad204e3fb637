"""How often 95 % intervals over users and seeds hold the true mean, by three rules, in a simulation.

    python benchmarks/seeds.py --trials 2000

A figure of seed s is the mean over 80 users of a part of the seed, one of the user, and one of the user in that seed,
all normal, the last two with a standard deviation of 1. The first's is given in units of the users' standard error.
"""

from __future__ import annotations

import argparse

import numpy as np

from mmbee_plugin.evaluation.bootstrap import of_draws
from mmbee_plugin.evaluation.resampling import means_on_resampled_users
from mmbee_plugin.evaluation.seeds import of_seeds

USERS, DRAWS = 80, 1_000
RULES = ("users alone", "users, and seeds with replacement", "evaluation/seeds.py")


def held(seeds: int, spread: float, random: np.random.Generator) -> list[bool]:
    """Whether the interval of one simulated figure, whose true mean is 0, holds it, by each of :data:`RULES`.

    Args:
        spread: standard deviation of the seeds' parts.
    """
    sizes = (seeds, 1), (1, USERS), (seeds, USERS)
    measured = sum(sd * random.normal(size=size) for sd, size in zip((spread, 1, 1), sizes, strict=True))
    values = measured.mean(axis=1)
    draws = means_on_resampled_users(measured.T, DRAWS, int(random.integers(2**31))).T
    picked = random.integers(0, seeds, (seeds, DRAWS))
    found = (
        of_draws(values.mean(), draws.mean(axis=0)),
        of_draws(values.mean(), draws[picked, np.arange(DRAWS)].mean(axis=0)),
        of_seeds(values, draws, int(random.integers(2**31))),
    )
    return [each.interval.low <= 0 <= each.interval.high for each in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=2_000)
    trials = parser.parse_args().trials
    print("| seeds | spread of seeds, in the users' standard error |", " | ".join(RULES), "|")
    print("|---|---|---|---|---|")
    for seeds in (3, 5):
        for ratio in (0, 1, 3, 10):
            random = np.random.default_rng([seeds, ratio])
            shares = np.mean([held(seeds, ratio / np.sqrt(USERS), random) for _ in range(trials)], axis=0)
            print(f"| {seeds} | {ratio} |", " | ".join(f"{share:.3f}" for share in shares), "|", flush=True)


if __name__ == "__main__":
    main()
