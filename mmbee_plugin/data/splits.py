"""Splits of rows into training, validation and test: checks, the rule in words, and the split itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.data.order import SEE, Order, drawn_order
from mmbee_plugin.errors import InputError

RATIOS = (0.8, 0.1, 0.1)
HELD = {"valid_and_test": (2, 1), "valid_only": (1,), "test_only": (2,)}
"""RecBole's ways of leaving one out: parts (1 validation, 2 test) of a user's newest rows, newest first"""
HELD_OUT = {
    "valid_and_test": "the {} row of each user is test, the one before it validation",
    "valid_only": "the {} row of each user is validation",
    "test_only": "the {} row of each user is test",
}


def chosen_split(order: Order, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """RecBole's `split`, `group_by` and `order`: as given, else 80/10/10 per user, in the data's order or at random."""
    default = {"split": {"RS": list(RATIOS)}, "group_by": "user", "order": "RO" if order.by is None else "TO"}
    return {key: (given or {}).get(key, value) for key, value in default.items()}


def check_split(order: Order, row_order: str, eval_args: Mapping[str, Any], name: str) -> None:
    """Raises InputError for an invalid split, or one by time of data without time.

    Args:
        row_order: of :func:`~mmbee_plugin.data.order.chosen_row_order`.
        eval_args: RecBole's, with `split`, `order` and `group_by`.
        name: of the dataset, for messages.
    """
    split = eval_args["split"]
    if not isinstance(split, Mapping) or len(split) != 1 or not set(split) <= {"RS", "LS", "TS"}:
        raise InputError(
            f"eval_args.split {split!r}: one of RS, LS and TS is needed, such as {{RS: [0.8, 0.1, 0.1]}}"
        )
    rule, how = next(iter(split.items()))
    shares = isinstance(how, list) and len(how) == 3 and all(isinstance(share, int | float) for share in how)
    if rule == "LS" and (not isinstance(how, str) or how not in HELD_OUT):
        raise InputError(f"eval_args.split LS {how!r}: known are {', '.join(HELD_OUT)}")
    if rule != "LS" and not (shares and min(how) >= 0 and how[0] > 0):
        raise InputError(f"eval_args.split {rule} {how!r}: three shares are needed, such as [0.8, 0.1, 0.1]")
    if eval_args["group_by"] not in ("user", "none", None):
        raise InputError(f"eval_args.group_by {eval_args['group_by']!r}: known are user and none")
    if eval_args["order"] not in ("RO", "TO"):
        raise InputError(f"eval_args.order {eval_args['order']!r}: known are RO (random) and TO (by time)")
    if eval_args["order"] == "TO" and order.by is None and row_order == "random":
        raise InputError(
            f"eval_args.order TO: {name} is {order.words}; order RO splits at random, row_order file by the file's rows"
        )
    if rule == "TS" and order.by != "time":
        raise InputError(f"eval_args.split TS: {name} is {order.words}")
    if rule == "TS" and eval_args["order"] != "TO":
        raise InputError(
            "eval_args.split TS needs eval_args.order TO: at random RecBole holds out other rows"
        )


def split_words(order: Order, files: Sequence[str] | None, eval_args: Mapping[str, Any]) -> str:
    """The split in one line; begins with "warning: " if it ignores the order of the data or assumes one.

    Args:
        files: file names of pre-split data, to which `eval_args` does not apply; else None.
        eval_args: RecBole's, with `split`, `order` and `group_by`.
    """
    if files is not None:
        return f"Split: given, {len(files)} files ({', '.join(files)})"
    rule, how = next(iter(eval_args["split"].items()))
    at_random = eval_args["order"] == "RO"
    along = {"time": "time", "rows": "the order of rows (declared)", None: "the file's order of rows"}[
        order.by
    ]
    by = "at random" if at_random else f"by {along}, the newest held out"
    if rule == "LS":
        words = f"leave one out, {HELD_OUT.get(how, str(how)).format('last drawn' if at_random else 'newest')}, {by}"
    elif rule == "TS":
        words = f"the newest {100 * how[2] / sum(how):g} % of all rows are test, of the others each user's newest "
        words += f"{100 * how[1] / (how[0] + how[1]):.3g} % validation"
    else:
        of = "each user's rows" if eval_args["group_by"] == "user" else "all rows"
        words = f"{'/'.join(f'{100 * share / sum(how):g}' for share in how)} of {of}, {by}"
    if at_random and order.by is not None and rule != "TS":
        return f"warning: Split: {words}, though the data are {order.words}: training rows may be newer than others"
    if not at_random and order.by is None:
        return f"warning: Split: {words}, as row_order file takes it for time: {SEE}"
    return f"Split: {words}"


def split_by_user(
    users: NDArray, times: NDArray | None, ratios: tuple[float, float, float] = RATIOS
) -> NDArray[np.int8]:
    """Splits each user's interactions by time, the oldest for training, the newest for test.

    Sizes are rounded as in RecBole (``Dataset._calcu_split_ids``): down, but an empty test part, then an empty
    validation part, takes one interaction from training while training keeps one.

    Args:
        users: (n,) user of each interaction.
        times: (n,); None: rows are in order of time. Ties keep the row order.
        ratios: of training, validation and test; they sum to 1.

    Returns:
        (n,) int8: 0 training, 1 validation, 2 test.
    """
    order = np.argsort(users, kind="stable") if times is None else np.lexsort((times, users))
    _, start, count = np.unique(users[order], return_index=True, return_counts=True)
    sizes = [(ratio * count).astype(np.int64) for ratio in ratios]
    sizes[0] = count - sizes[1] - sizes[2]
    open_ = np.ones(len(count), dtype=bool)
    for part in (2, 1):
        open_ &= sizes[0] > 1
        short = open_ & (ratios[part] * count > 0) & (ratios[part] * count < 1)
        sizes[part] += short
        sizes[0] -= short
    rank = np.arange(len(users)) - np.repeat(start, count)
    part_of_rank = (rank >= np.repeat(sizes[0], count)).astype(np.int8)
    part_of_rank += rank >= np.repeat(sizes[0] + sizes[1], count)
    parts = np.empty(len(users), dtype=np.int8)
    parts[order] = part_of_rank
    return parts


def leave_one_out(
    users: NDArray, times: NDArray | None, held: Sequence[int] = (2, 1), all_or_none: bool = True
) -> NDArray[np.int8]:
    """Holds out each user's newest interactions, one for each part in ``held``.

    Args:
        users, times: as for :func:`split_by_user`.
        held: parts of the newest interactions, the newest first.
        all_or_none: users with too few interactions for all of ``held`` and one for training hold out none; if False,
            they hold out all but one, as in RecBole.

    Returns:
        (n,) int8: 0 training, 1 validation, 2 test.
    """
    order = np.argsort(users, kind="stable") if times is None else np.lexsort((times, users))
    _, start, count = np.unique(users[order], return_index=True, return_counts=True)
    later = np.repeat(start + count, count) - 1 - np.arange(len(users))
    most = np.where(count > len(held), len(held), 0) if all_or_none else np.minimum(count - 1, len(held))
    part_of = np.array([*held, 0], dtype=np.int8)
    parts = np.empty(len(users), dtype=np.int8)
    parts[order] = part_of[np.where(later < np.repeat(most, count), later, len(held))]
    return parts


def split_rows(
    users: NDArray, times: NDArray | None, eval_args: Mapping[str, Any], seed: int = 0
) -> NDArray[np.int8]:
    """Splits interactions as RecBole does; a random split has RecBole's sizes but another draw.

    Args:
        users, times: as for :func:`split_by_user`.
        eval_args: `split`, `order` and `group_by`, valid by :func:`check_split`.
        seed: of a random split.

    Returns:
        (n,) int8: 0 training, 1 validation, 2 test.
    """
    rule, how = next(iter(eval_args["split"].items()))
    if eval_args["order"] == "RO":
        times = drawn_order(len(users), seed)
    if rule == "LS":
        return leave_one_out(users, times, HELD[how], all_or_none=False)
    shares = tuple(share / sum(how) for share in how)
    if rule == "RS":
        groups = users if eval_args["group_by"] == "user" else np.zeros_like(users)
        return split_by_user(groups, times, (shares[0], shares[1], shares[2]))
    assert times is not None
    exact = times.astype(np.float32)  # as in RecBole
    parts = np.full(len(users), 2, dtype=np.int8)
    early = exact <= np.percentile(exact, 100 * (1 - shares[2]))
    order = np.flatnonzero(early)[np.lexsort((times[early], users[early]))]
    _, start, count = np.unique(users[order], return_index=True, return_counts=True)
    trained = (count * (shares[0] / (1 - shares[2]))).astype(np.int64)
    parts[order] = np.arange(len(order)) - np.repeat(start, count) >= np.repeat(trained, count)
    return parts
