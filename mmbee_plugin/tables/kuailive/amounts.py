"""Watch times and prices of gifts, predicted by what only counts: constants, and effects of users and authors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.bootstrap import Interval, of_draws
from mmbee_plugin.evaluation.resampling import means_on_resampled_users
from mmbee_plugin.experiments.sheet import Sheet, with_ends
from mmbee_plugin.experiments.verdict import framed, listed

EFFECTS: dict[str, tuple[str, ...]] = {
    "of the user": ("user_id",),
    "of the author": ("author_id",),
    "of the user and the author": ("user_id", "author_id"),
}
SHRINKAGE = (1.0, 5.0, 20.0, 80.0)
"""pseudo-rows that draw an effect to zero; chosen on validation"""
ROUNDS = 10
METRICS = ("MAE", "RMSE")


@dataclass(frozen=True)
class Errors:
    """MAE and RMSE of one row with their 95 % intervals over users."""

    mae: Interval
    rmse: Interval


def measure(rows: pl.DataFrame, split: int) -> dict[str, Errors]:
    """Errors of each way to predict, on validation (``split`` 1) or test (2).

    Args:
        rows: user_id, author_id, value and part, as from :func:`mmbee_plugin.logs.tasks.amounts`.

    Raises:
        InputError: a part without rows.
    """
    for part in (0, 1, 2):
        if not (rows["part"] == part).any():
            raise InputError(f"part {part} of training, validation and test has no amounts")
    numbered = rows.with_columns(
        pl.col(name).rank("dense").cast(pl.Int64) - 1 for name in ("user_id", "author_id")
    )
    train, valid, scored = (numbered.filter(pl.col("part") == part) for part in (0, 1, split))
    value = train["value"].to_numpy()
    found = {"mean": np.full(len(scored), value.mean()), "median": np.full(len(scored), np.median(value))}
    for name, columns in EFFECTS.items():
        fits = [_effects(numbered, train, columns, shrinkage) for shrinkage in SHRINKAGE]
        best = min(
            fits, key=lambda fit: np.abs(_predicted(valid, columns, fit) - valid["value"].to_numpy()).mean()
        )
        found[f"effects {name}"] = _predicted(scored, columns, best)
    truth, users = scored["value"].to_numpy(), scored["user_id"].to_numpy()
    return {name: _errors(users, predicted - truth) for name, predicted in found.items()}


def amount_sheet(title: str, found: Mapping[str, Errors]) -> Sheet:
    """The errors of each way to predict as a sheet."""
    rows = tuple(
        (name, *(with_ends(one, "{:.2f}".format) for one in (errors.mae, errors.rmse)))
        for name, errors in found.items()
    )
    notes = (
        "Effects are of the amount's logarithm, additive, drawn to zero by a number of rows chosen on validation; 0 "
        "for users and authors without a row in training. In brackets 95 % intervals over users.",
        "No model of this package predicts amounts: these rows are what one would have to beat.",
    )
    return Sheet(title, ("Row", *METRICS), rows, notes)


def amount_verdict(found: Mapping[str, Errors], kind: str) -> str:
    """Which way to predict errs least, in one sentence; ``kind``: real, sample or simulated."""
    least = {"MAE": min(found, key=lambda name: found[name].mae.mean)}
    least["RMSE"] = min(found, key=lambda name: found[name].rmse.mean)
    return framed(listed([f"{name} has the least {metric}" for metric, name in least.items()]), kind)


@dataclass(frozen=True)
class _Fit:
    level: float
    effects: tuple[NDArray[np.float64], ...]


def _effects(everything: pl.DataFrame, train: pl.DataFrame, columns: Sequence[str], shrinkage: float) -> _Fit:
    """Ridge estimates of the effects by turns (Koren, 2009, "biases")."""
    target = np.log1p(train["value"].to_numpy())
    level = float(target.mean())
    numbers = [train[column].to_numpy() for column in columns]
    sizes = [everything[column].n_unique() for column in columns]
    effects = [np.zeros(size) for size in sizes]
    for _ in range(ROUNDS if len(columns) > 1 else 1):
        for place, (number, size) in enumerate(zip(numbers, sizes, strict=True)):
            others = sum((effects[at][numbers[at]] for at in range(len(columns)) if at != place), start=0.0)
            total = np.bincount(number, weights=target - level - others, minlength=size)
            effects[place] = total / (np.bincount(number, minlength=size) + shrinkage)
    return _Fit(level, tuple(effects))


def _predicted(rows: pl.DataFrame, columns: Sequence[str], fit: _Fit) -> NDArray[np.float64]:
    total = np.full(len(rows), fit.level)
    for column, effect in zip(columns, fit.effects, strict=True):
        total += effect[rows[column].to_numpy()]
    return np.expm1(total)


def _errors(users: NDArray, error: NDArray[np.float64]) -> Errors:
    _, number = np.unique(users, return_inverse=True)
    sums = np.stack(
        [np.bincount(number), np.bincount(number, weights=abs(error)), np.bincount(number, weights=error**2)],
        axis=1,
    )
    drawn = means_on_resampled_users(sums.astype(np.float64), 2_000)
    mae = of_draws(float(abs(error).mean()), drawn[:, 1] / drawn[:, 0]).interval
    rmse = of_draws(float(np.sqrt((error**2).mean())), np.sqrt(drawn[:, 2] / drawn[:, 0])).interval
    return Errors(mae, rmse)
