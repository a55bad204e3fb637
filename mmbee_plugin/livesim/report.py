"""Calibration of a simulation to KuaiLive's gift statistics, and the ranking metrics of its planted truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from mmbee_plugin.evaluation.metrics import auc, gauc, uauc
from mmbee_plugin.livesim.gifts import LogOdds

KUAILIVE: dict[str, float] = {
    "gifts per visit": 0.0148,
    "gifts per gifter": 3.0,
    "gifters with one author": 0.5,
    "price mean": 82.7,
    "price median": 2,
    "price p90": 88,
    "price p95": 298,
    "price p99": 1_488,
    "price max": 56_246,
    "share of price 1": 0.439,
    "share of price 2": 0.108,
    "share of price 10": 0.064,
    "Gini over users": 0.94,
    "Gini over authors": 0.93,
    "top 1 % of users pay": 0.599,
    "visit p50, s": 4.9,
    "visit p90, s": 1_026,
}
"""KuaiLive's clicks as visits, its streamers as authors; users and authors with a gift only"""


def gift_statistics(folder: Path) -> dict[str, float]:
    """Statistics of `KUAILIVE` for a log folder with at least one gift."""
    gifts = pl.scan_parquet(folder / "gifts").collect()
    seconds = (pl.col("exit") - pl.col("enter")) / 1_000
    visits = pl.scan_parquet(folder / "visits").select(
        pl.len(), seconds.quantile(0.5).alias("p50"), seconds.quantile(0.9).alias("p90")
    )
    count, p50, p90 = visits.collect().row(0)
    price = gifts["amount"].to_numpy()
    by_user = gifts.group_by("user_id").agg(pl.sum("amount"), pl.n_unique("author_id"))
    by_author = gifts.group_by("author_id").agg(pl.sum("amount"))
    paid = np.sort(by_user["amount"].to_numpy())
    top = max(1, round(len(paid) / 100))
    values = (
        len(gifts) / count,
        len(gifts) / len(by_user),
        (by_user["author_id"] == 1).sum() / len(by_user),
        price.mean(),
        *np.quantile(price, (0.5, 0.9, 0.95, 0.99)),
        price.max(),
        *((price == common).mean() for common in (1, 2, 10)),
        gini(paid),
        gini(by_author["amount"].to_numpy()),
        paid[-top:].sum() / paid.sum(),
        p50,
        p90,
    )
    return dict(zip(KUAILIVE, map(float, values), strict=True))


def gini(values: np.ndarray) -> float:
    """Gini coefficient of values (n,) of at least 0."""
    ordered = np.sort(values)
    n = len(ordered)
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * ordered.sum()))


@dataclass(frozen=True)
class Oracle:
    """AUC, UAUC and GAUC of the planted log-odds on the last day's samples, the best expected value of any model, and
    of the log-odds without each of their parts."""

    positives: int
    negatives: int
    users: int
    metrics: Mapping[str, tuple[float, float, float]]


def calibration_lines(statistics: Mapping[str, float]) -> list[str]:
    """A table of KuaiLive's and the simulated statistics, one line each."""
    rows = [f"{'':26}{'KuaiLive':>10}{'simulated':>11}"]
    for name, target in KUAILIVE.items():
        both = (f"{value:.4f}" if target < 1 else f"{value:,.1f}" for value in (target, statistics[name]))
        rows.append("{:26}{:>10}{:>11}".format(name, *both))
    return rows


def oracle_lines(oracle: Oracle) -> list[str]:
    """A table of the best possible metrics, and those without each part of the truth, one line each."""
    rows = [
        f"best possible on the last day ({oracle.positives:,} gifts, {oracle.negatives:,} visits without; "
        f"{oracle.users:,} users with both):",
        f"{'':26}{'AUC':>8}{'UAUC':>8}{'GAUC':>8}",
    ]
    for name, values in oracle.metrics.items():
        rows.append(f"{name:26}" + "".join(f"{value:8.4f}" for value in values))
    return rows


def cause_lines(causes: Mapping[str, float]) -> list[str]:
    """What the further causes of a world come to on the last day, one line each."""
    return [f"{name:42}{value:8.3f}" for name, value in causes.items()]


def rank_by_truth(
    user: np.ndarray, label: np.ndarray, parts: LogOdds, further: Mapping[str, np.ndarray] | None = None
) -> Oracle | None:
    """Oracle of sample rows (n,); None if no user has both labels.

    Args:
        further: other scores (n,), by name.
    """
    scores = {"planted truth": parts.total()}
    for name, part in vars(parts).items():
        # Zeros in place of the part: subtracting it from the total would break ties by rounding.
        scores[f"without {name}"] = replace(parts, **{name: np.zeros_like(part)}).total()
    scores |= further or {}
    positives = int(label.sum())
    both = np.intersect1d(user[label == 1], user[label == 0])
    if not len(both):
        return None
    metrics = {
        name: (auc(label, score), uauc(user, label, score), gauc(user, label, score))
        for name, score in scores.items()
    }
    return Oracle(positives, len(label) - positives, len(both), metrics)
