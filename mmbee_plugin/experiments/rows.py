"""Rows: models by their settings, which of them are wanted, and how their settings meet those given for all rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.config.sources import merged

Settings = Mapping[str, Any]
PAPER = "MMBee, the paper's"
"""the row with the settings of ``recbole_configs/paper.yaml``, whatever the dataset's file says"""

LENGTHS_OF_TRAINING = ("epochs", "eval_step", "stopping_step")
"""settings that, given for all rows, also win over a row's own, so that all of them may train alike"""


@dataclass(frozen=True)
class Row:
    """A row: a model by its settings, trained once a seed."""

    name: str
    settings: Settings = field(default_factory=dict)
    """what the row sets; it wins over the dataset's settings and those given for all rows."""
    against: str | None = None
    """the row from which its improvement counts; None for a row that others count from."""
    labels: tuple[str, ...] = ()
    """what stands in the table's first columns; the name alone by default."""
    keeps: bool = False
    """whether a setting given for all rows gives way to the row's own, and a note says so (but for
    :data:`LENGTHS_OF_TRAINING`); other rows refuse it."""


AnyRow = TypeVar("AnyRow", bound=Row)


def chosen(rows: Sequence[AnyRow], names: Sequence[str], where: str) -> tuple[AnyRow, ...]:
    """The rows with these names and those they are measured from, in their order; all rows for no names.

    Args:
        where: what has the rows, such as ``table 2``.

    Raises:
        InputError: a name that is no row's.
    """
    known = {row.name: row for row in rows}
    for name in names:
        if name not in known:
            raise InputError(f"{where} has no row {name!r}; it has: {', '.join(known)}")
    wanted = set(names or known)
    waiting = list(wanted)
    while waiting:
        against = known[waiting.pop()].against
        if against and against not in wanted:
            wanted.add(against)
            waiting.append(against)
    return tuple(row for row in rows if row.name in wanted)


def check_own(rows: Sequence[Row], given: Settings, where: str) -> None:
    """Raises InputError for a given setting that the rows themselves make, but for rows that keep theirs."""
    for row in rows:
        for key in () if row.keeps else both_set(row.settings, given):
            raise InputError(f"setting {key!r}: the rows of {where} set it; choose rows with --only")


def over(given: Settings, settings: Settings) -> dict[str, Any]:
    """What a row is trained with: what was given for all rows, and its own settings over that."""
    own = {
        name: value
        for name, value in settings.items()
        if name not in LENGTHS_OF_TRAINING or name not in given
    }
    return merged(given, own)


def both_set(settings: Settings, given: Settings) -> list[str]:
    """The settings in both, by the names that a command line has for them, such as ``graph.folds``."""
    own = dict(_entries(settings))
    return [name for name in dict(_entries(given)) if name in own]


def kept_note(row: str, settings: Settings, given: Settings) -> list[str]:
    """A line that says which given settings a row does not follow; none where it follows all."""
    found, wanted = dict(_entries(over(given, settings))), dict(_entries(given))
    kept = [f"{name} {found[name]}" for name in wanted if found[name] != wanted[name]]
    return [f"{row} keeps its own {', '.join(kept)}; what was given is for the other rows."] if kept else []


def _entries(settings: Settings, outer: str = "") -> Iterator[tuple[str, Any]]:
    """A dict's entries one by one, those of dicts inside it under ``outer.inner``."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _entries(value, f"{outer}{name}.")
        else:
            yield f"{outer}{name}", value
