"""How far a model has learned each planted cause of gifts on simulated data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.bootstrap import Interval, of_draws
from mmbee_plugin.evaluation.concordance import user_concordance
from mmbee_plugin.evaluation.resampling import DRAWS, means_on_resampled_users, ratios_on_users
from mmbee_plugin.experiments.comparison import Samples
from mmbee_plugin.studies.comparison import Compared, compare
from mmbee_plugin.tables.ranking.measures import degree_name

MODEL, BEST, NOISELESS = "the model", "best possible", "noise taken away"
OF_USERS, OF_AUTHORS = (0, 1, 2, 5), (0, 1, 10, 50)
"""lower bounds of the groups by degree: the authors that a user has a gift for in training, the users of an author"""


class Group(NamedTuple):
    """Rows of users, or of authors, of a degree."""

    side: str
    degree: str

    def __str__(self) -> str:
        return f"{self.side}'s degree {self.degree}" if self.degree else self.side


ALL = Group("all rows", "")


@dataclass(frozen=True)
class Cause:
    """A planted cause in one group of rows.

    Attributes:
        model, best: concordance of the model's logit, and of the planted one, with the cause's part within a user,
            weighted by the user's rows as GAUC is.
        learned: nats of the model's logit for a planted nat, all other causes held; 1 for the planted truth.
    """

    model: Interval
    best: Interval
    learned: Interval


@dataclass(frozen=True)
class HeadRoom:
    """What a model has learned of the planted causes.

    Attributes:
        causes: group of rows -> cause -> figures; without causes that no two rows of a user of the group differ in.
        counts: group -> (rows, users).
        told: score -> its metrics: :data:`MODEL`, the model's logit with one cause set right, :data:`NOISELESS` (what
            it has learned of all causes, and nothing else) and :data:`BEST`; gains are over the model.
        same: causes that are the same in all rows of a user.
    """

    causes: dict[Group, dict[str, Cause]]
    counts: dict[Group, tuple[int, int]]
    told: dict[str, Compared]
    same: list[str]


def head_room(
    samples: Samples,
    logits: NDArray[np.float64],
    parts: Mapping[str, NDArray[np.float64]],
    groups: Mapping[Group, NDArray[np.bool_]],
) -> HeadRoom:
    """Sets a model's logits (n,) against the planted parts (n,) of the log-odds.

    Args:
        groups: (n,) rows of each, besides all of them.

    Raises:
        InputError: no planted part orders two rows of a user, or no user has both classes.
    """
    users = samples.users
    varied = {name: part for name, part in parts.items() if np.ptp(_within(users, part)) > 1e-9}
    if not varied:
        raise InputError("no planted cause differs between two rows of a user: nothing can be ordered")
    truth = np.sum(list(parts.values()), axis=0)
    causes, counts = {}, {}
    for group, own in {ALL: np.ones(len(users), dtype=bool), **groups}.items():
        within = {name: part[own] for name, part in varied.items()}
        found = _causes(users[own], logits[own], truth[own], within)
        if found:
            causes[group], counts[group] = found, (int(own.sum()), len(np.unique(users[own])))
    learned = {name: cause.learned.mean for name, cause in causes[ALL].items()}
    right = {name: logits + (1 - learned[name]) * varied[name] for name in learned}
    noiseless = np.sum([learned[name] * varied[name] for name in learned], axis=0)
    scores = {MODEL: logits, **right, NOISELESS: noiseless, BEST: truth}
    told = compare(
        samples,
        {name: [one] for name, one in scores.items()},
        {name: MODEL for name in scores if name != MODEL},
    )
    return HeadRoom(causes, counts, told, [name for name in parts if name not in varied])


def degree_groups(folder: DatasetFolder, split: str) -> dict[Group, NDArray[np.bool_]]:
    """Rows (n,) of a split by the degrees of their user and of their author in the training gifts."""
    gifts, rows = folder.interactions("train"), folder.interactions(split)
    given = folder.rows("train").labels
    pairs = np.unique(np.stack([gifts.users[given], gifts.items[given]]), axis=1)
    found = {}
    for side, bounds, edges, nodes in (
        ("user", OF_USERS, pairs[0], rows.users),
        ("author", OF_AUTHORS, pairs[1], rows.items),
    ):
        degree = np.bincount(edges, minlength=int(nodes.max()) + 1)[nodes]
        for low, high in zip(bounds, (*bounds[1:], None), strict=True):
            below = degree < high if high is not None else True
            found[Group(side, degree_name(low, high))] = (degree >= low) & below
    return found


def _causes(
    users: NDArray,
    logits: NDArray[np.float64],
    truth: NDArray[np.float64],
    parts: Mapping[str, NDArray[np.float64]],
) -> dict[str, Cause]:
    """The causes that differ between two rows of a user."""
    within = {name: _within(users, part) for name, part in parts.items()}
    differ = [name for name, part in within.items() if np.ptp(part) > 1e-9] if len(users) else []
    if not differ:
        return {}
    learned = _slopes(users, np.stack([within[name] for name in differ], axis=1), _within(users, logits))
    found = {}
    for name, slope in zip(differ, learned, strict=True):
        alike = user_concordance(users, parts[name], logits)
        possible = user_concordance(users, parts[name], truth)
        rows = alike.impressions.astype(np.float64)
        both = ratios_on_users(alike.users, {"model": rows * alike.auc, "best": rows * possible.auc}, rows)
        found[name] = Cause(both["model"], both["best"], slope)
    return found


def _slopes(
    users: NDArray, parts: NDArray[np.float64], logits: NDArray[np.float64], seed: int = 0
) -> list[Interval]:
    """Least squares of the logits (n,) on all parts (n, C), both within users, with 95 % intervals over users."""
    _, user = np.unique(users, return_inverse=True)
    products = np.concatenate(
        [parts[:, :, None] * parts[:, None], (parts * logits[:, None])[..., None]], axis=2
    )
    flat = products.reshape(len(parts), -1)  # (n, C * (C + 1)): of the normal equations
    sums = np.stack([np.bincount(user, column) for column in flat.T], axis=1).astype(np.float64)
    drawn = means_on_resampled_users(sums, DRAWS, seed)
    drawn = drawn[np.isfinite(drawn).all(axis=1)]
    whole, *draws = (_solved(one.reshape(products.shape[1:])) for one in (sums.mean(axis=0), *drawn))
    every = np.reshape(draws, (len(draws), len(whole)))
    return [of_draws(float(value), every[:, place]).interval for place, value in enumerate(whole)]


def _solved(equations: NDArray[np.float64]) -> NDArray[np.float64]:
    """(C, C + 1) -> (C,); the shortest solution where parts depend on each other."""
    return np.linalg.lstsq(equations[:, :-1], equations[:, -1], rcond=None)[0]


def _within(users: NDArray, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) values minus the mean of the user's."""
    _, user, rows = np.unique(users, return_inverse=True, return_counts=True)
    return values - (np.bincount(user, values) / rows)[user]
