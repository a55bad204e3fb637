"""Times UAUC and GAUC on synthetic samples against a loop of scikit-learn's roc_auc_score over some users.

    python benchmarks/grouped_auc.py                       # 10,000,000 samples of 500,000 users
    python benchmarks/grouped_auc.py --samples 1000000 --users 50000

The loop gets its users already grouped, so that only the AUC calls are timed; the ratio compares times per sample. The
script fails if the two disagree on the loop's users.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from sklearn.metrics import roc_auc_score

from mmbee_plugin.evaluation.metrics import gauc, uauc, user_auc


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=500_000)
    parser.add_argument("--slice", type=int, default=5_000, help="users the loop runs over")
    args = parser.parse_args()

    rng = np.random.default_rng(0)
    users = rng.integers(0, args.users, args.samples)
    labels = rng.random(args.samples) < 0.2
    scores = np.round(rng.random(args.samples) + 0.2 * labels, 3).astype(np.float32)

    timings = {}
    for name, metric in (("UAUC", uauc), ("GAUC", gauc)):
        start = time.perf_counter()
        value = metric(users, labels, scores)
        timings[name] = (time.perf_counter() - start, value)

    rows = np.flatnonzero(users < args.slice)
    rows = rows[np.argsort(users[rows], kind="stable")]
    groups = np.split(rows, np.flatnonzero(np.diff(users[rows])) + 1)
    groups = [group for group in groups if 0 < labels[group].sum() < len(group)]
    start = time.perf_counter()
    loop = [roc_auc_score(labels[group], scores[group]) for group in groups]
    loop_seconds = time.perf_counter() - start
    ours = user_auc(users[rows], labels[rows], scores[rows]).auc
    np.testing.assert_allclose(ours, loop, rtol=0, atol=1e-12)

    loop_per_million = loop_seconds / sum(map(len, groups)) * 1e6
    print(f"{'':28}{'samples':>12}{'users':>10}{'seconds':>10}{'s / 1M samples':>16}{'ratio':>8}")
    print(
        f"{'scikit-learn loop (slice)':28}{sum(map(len, groups)):>12,}{len(groups):>10,}"
        f"{loop_seconds:>10.2f}{loop_per_million:>16.3f}{1.0:>8.1f}"
    )
    for name, (seconds, value) in timings.items():
        per_million = seconds / args.samples * 1e6
        print(
            f"{name + f' = {value:.4f}':28}{args.samples:>12,}{args.users:>10,}"
            f"{seconds:>10.2f}{per_million:>16.3f}{loop_per_million / per_million:>8.1f}"
        )


if __name__ == "__main__":
    main()
