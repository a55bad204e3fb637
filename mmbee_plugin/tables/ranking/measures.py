"""Figures of a ranking table from its cells: metrics of each user and seed, for all positives and for groups of
them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.evaluation.bootstrap import Interval, PairedDifference
from mmbee_plugin.evaluation.metrics import metrics_of_ranks
from mmbee_plugin.evaluation.resampling import means_on_resampled_users
from mmbee_plugin.evaluation.seeds import of_seeds
from mmbee_plugin.experiments.cells import Cell, alike
from mmbee_plugin.experiments.comparison import Difference, corrected

TOPK = (10, 20)
METRICS = tuple(f"{metric}@{k}" for k in TOPK for metric in ("recall", "precision", "ndcg"))
COSTS = (
    *("parameters", "embedding_parameters", "train_cpu_seconds", "rank_cpu_ms"),
    *("epochs", "best_epoch", "epoch_seconds", "seconds", "peak_rss_mb"),
)

ALL = "all"
FEW = "few"
"""pairs of users with at most two training interactions"""
NEW = "new"
"""pairs with an item that has no training interaction"""
DEGREES = (0, 1, 2, 3, 4, 6, 11, 21, 51)
"""lower bounds of the groups of users by number of training interactions"""


@dataclass(frozen=True)
class Positives:
    """The held-out pairs that all models of a table rank.

    Shapes:
        - users, items: (n,) rows of the folder
        - user_degrees, item_degrees: (n,) distinct training interactions
    """

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    user_degrees: NDArray[np.int32]
    item_degrees: NDArray[np.int32]

    @classmethod
    def of(cls, cell: Cell, split: str) -> Positives:
        """The pairs in the arrays of a cell."""
        names = ("users", "items", "user degrees", "item degrees")
        return cls(*(cell.arrays[f"{split} {name}"] for name in names))

    def groups(self) -> dict[str, NDArray[np.bool_]]:
        """Group -> (n,) bool mask of its pairs: all, few and new, then by the user's degree; empty groups left out."""
        found = {
            ALL: np.ones(len(self.users), dtype=bool),
            FEW: self.user_degrees <= 2,
            NEW: self.item_degrees == 0,
        }
        for low, high in zip(DEGREES, (*DEGREES[1:], None), strict=True):
            last = np.iinfo(np.int32).max if high is None else high - 1
            found[degree_name(low, high)] = (self.user_degrees >= low) & (self.user_degrees <= last)
        return {name: chosen for name, chosen in found.items() if name == ALL or chosen.any()}


@dataclass(frozen=True)
class RowFigures:
    """A row's figures.

    Attributes:
        seeds: metric -> mean over all users, one value a seed.
        users: group -> metric -> (seeds, users of the group); a row without training has one seed.
        costs: cost of :data:`COSTS` -> mean over the cells, if all cells have it.
        tried: number of trials of its tuning; 0 without tuning.
    """

    seeds: dict[str, list[float]]
    users: dict[str, dict[str, NDArray[np.float64]]]
    costs: dict[str, float]
    tried: int

    def value(self, metric: str, group: str = ALL) -> float:
        """The mean over users and seeds."""
        return float(self.users[group][metric].mean())


@dataclass(frozen=True)
class RankingMeasures:
    """All figures of a ranking table.

    Attributes:
        reference: the row that is compared with every other one.
        seeds: trainings of each row.
        counts: group -> (positives, users).
        intervals: row -> metric -> 95 % interval over users and seeds.
        differences: group -> other row -> the reference minus it; empty without the reference row.
        side_by_side: most cells that were made, and timed, at once.
        tested: whether differences get p-values; False for generated samples.
    """

    split: str
    reference: str
    seeds: int
    counts: dict[str, tuple[int, int]]
    rows: dict[str, RowFigures]
    intervals: dict[str, dict[str, Interval]]
    differences: dict[str, dict[str, Difference]]
    side_by_side: int
    tested: bool

    def best_other(self, metric: str, group: str = ALL) -> str:
        """Name of the best row other than the reference."""
        others = [name for name in self.rows if name != self.reference]
        return max(others, key=lambda name: self.rows[name].value(metric, group))


def measure(
    cells: Mapping[str, Sequence[Cell]],
    split: str,
    seeds: int,
    tried: Mapping[str, int],
    reference: str,
    tested: bool = True,
) -> RankingMeasures:
    """The figures of a table from its rows' cells.

    Args:
        seeds: trainings of each row; a row without training has one cell.
        tried: tuned row -> number of trials.
        reference: the row to compare with every other one; may be missing from ``cells``.
        tested: False for generated samples, which get no p-values.

    Raises:
        InputError: two cells ranked different pairs.
    """
    first = alike(
        *(cells, split, ("users", "items"), "ranked {} pairs"),
        "a table needs one split for all rows and seeds: a pre-split folder, or data with time and eval_args.order TO",
    )
    positives = Positives.of(first, split)
    groups = positives.groups()
    rows = {
        name: _figures(of_row, split, positives, groups, tried.get(name, 0)) for name, of_row in cells.items()
    }
    compared = reference in rows and len(rows) > 1
    return RankingMeasures(
        split,
        reference,
        seeds,
        {
            name: (int(chosen.sum()), len(np.unique(positives.users[chosen])))
            for name, chosen in groups.items()
        },
        rows,
        _intervals(rows),
        {group: _differences(rows, group, reference) for group in groups} if compared else {},
        max(cell.facts["side_by_side"] for of_row in cells.values() for cell in of_row),
        tested,
    )


def degree_name(low: int, high: int | None) -> str:
    """Name of the group of users with ``low`` to ``high - 1`` training interactions; no upper bound for None."""
    if high is None:
        return f"{low} or more"
    return str(low) if high == low + 1 else f"{low} to {high - 1}"


def _figures(
    cells: Sequence[Cell],
    split: str,
    positives: Positives,
    groups: Mapping[str, NDArray[np.bool_]],
    tried: int,
) -> RowFigures:
    ranks = [cell.arrays[f"{split} ranks"] for cell in cells]
    users: dict[str, dict[str, NDArray[np.float64]]] = {}
    seeds: dict[str, list[float]] = {}
    for group, chosen in groups.items():
        each = [metrics_of_ranks(positives.users[chosen], own[chosen], TOPK)[1] for own in ranks]
        users[group] = {metric: np.stack([of_seed[metric] for of_seed in each]) for metric in METRICS}
        if group == ALL:
            seeds = {metric: [float(of_seed[metric].mean()) for of_seed in each] for metric in METRICS}
    known = [cost for cost in COSTS if all(cost in cell.facts for cell in cells)]
    costs = {cost: float(np.mean([cell.facts[cost] for cell in cells])) for cost in known}
    return RowFigures(seeds, users, costs, tried)


def _intervals(rows: Mapping[str, RowFigures]) -> dict[str, dict[str, Interval]]:
    found = _resampled({name: of_row.users[ALL] for name, of_row in rows.items()})
    return {
        name: {metric: each.interval for metric, each in of_row.items()} for name, of_row in found.items()
    }


def _differences(rows: Mapping[str, RowFigures], group: str, reference: str) -> dict[str, Difference]:
    own = rows[reference].users[group]
    gains = {
        name: {metric: own[metric] - of_row.users[group][metric] for metric in METRICS}
        for name, of_row in rows.items()
        if name != reference
    }
    return corrected(_resampled(gains))


def _resampled(
    users: Mapping[str, Mapping[str, NDArray[np.float64]]],
) -> dict[str, dict[str, PairedDifference]]:
    """Means over users and seeds, all on the same draws of users: name -> metric -> result.

    Args:
        users: name -> metric -> (seeds, users).
    """
    columns = [of_name[metric] for of_name in users.values() for metric in METRICS]
    draws = means_on_resampled_users(np.concatenate(columns).T).T
    of_columns = iter(np.split(draws, np.cumsum([len(column) for column in columns])[:-1]))
    return {
        name: {metric: of_seeds(of_name[metric].mean(axis=1), next(of_columns)) for metric in METRICS}
        for name, of_name in users.items()
    }
