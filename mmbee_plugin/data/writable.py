"""Checks of content before it is written as a dataset folder: what NumPy would take for something else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from mmbee_plugin.errors import InputError

LATEST = 1e11
"""seconds since 1970, in the year 5138: beyond, times are in another unit"""
SECONDS = "(pd.to_datetime(dates) - pd.Timestamp(0)).dt.total_seconds()"


class Rows(Protocol):
    """Interactions, as :class:`~mmbee_plugin.data.writer.Interactions` has them."""

    @property
    def users(self) -> np.ndarray: ...

    @property
    def items(self) -> np.ndarray: ...

    @property
    def timestamps(self) -> np.ndarray | None: ...


def check_content(
    source: str,
    users: Sequence[str],
    items: Sequence[str],
    interactions: Mapping[str, Rows],
    counts: Mapping[str, int],
) -> None:
    """Raises InputError, with the first place, for tokens that name two rows or none, rows of nobody, times that are
    not seconds, features of another number of items, and parts without a row.

    Args:
        source, users, items, interactions: of the content.
        counts: modality -> number of its rows.
    """
    for what, tokens in (("user", users), ("item", items)):
        _check_tokens(source, what, tokens)
    for split, rows in interactions.items():
        where = f"{split} interaction" if split else "interaction"
        if not len(rows.users):
            raise InputError(f"{source}: no {where}; the data is too small")
        _check_rows(f"{source}: {where}", "user", rows.users, len(users))
        _check_rows(f"{source}: {where}", "item", rows.items, len(items))
        _check_times(f"{source}: {where}", rows.timestamps)
    for modality, found in counts.items():
        if found != len(items):
            raise InputError(
                f"{source}: {modality} has {found:,} rows for {len(items):,} items; items without "
                "features need a row too, of zeros"
            )


def _check_tokens(source: str, what: str, tokens: Sequence[Any]) -> None:
    empty = [place for place, token in enumerate(tokens) if token is None or token != token or token == ""]
    if empty:
        raise InputError(f"{source}: {what} {empty[0]} has no token; {len(empty):,} are missing or empty")
    token, count = Counter(map(str, tokens)).most_common(1)[0] if len(tokens) else ("", 0)
    if count > 1:
        raise InputError(f"{source}: {what} token {token!r} stands for {count:,} rows; each needs its own")


def _check_rows(where: str, what: str, found: Any, count: int) -> None:
    """NumPy would read -1 as the last row."""
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "iu":
        kind = found.dtype if isinstance(found, np.ndarray) else type(found).__name__
        raise InputError(
            f"{where}s: {what} rows are of {kind}, expected an array of whole numbers, counted from 0; "
            f"pd.Index({what}s).get_indexer(column) gives them"
        )
    outside = np.flatnonzero((found < 0) | (found >= count))
    if len(outside):
        raise InputError(
            f"{where} {outside[0]}: {what} row {found[outside[0]]} of {count:,} {what}s; "
            f"{len(outside):,} rows name {what}s that are not among those given"
        )


def _check_times(where: str, times: np.ndarray | None) -> None:
    if times is None:
        return
    if times.dtype.kind not in "iuf":
        raise InputError(f"{where}s: times are of {times.dtype}, expected seconds since 1970: {SECONDS}")
    wrong = np.flatnonzero(~(np.abs(times) < LATEST))
    if len(wrong):
        raise InputError(
            f"{where} {wrong[0]}: time {times[wrong[0]]:g}, expected seconds since 1970, which are not "
            f"milliseconds; {len(wrong):,} rows have no such time"
        )
