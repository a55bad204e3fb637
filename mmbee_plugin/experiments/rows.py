"""Rows of a table or study: a model's settings, their choice by name, and their precedence over settings given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.config.sources import merged
from mmbee_plugin.settings.words import entries

Settings = Mapping[str, Any]
PAPER = "MMBee, the paper's"
"""the row with the settings of ``recbole_configs/paper.yaml``, which win over the dataset's file"""

LENGTHS_OF_TRAINING = ("epochs", "eval_step", "stopping_step")
"""settings that win over a row's own when given for all rows, so that all train for as long"""


@dataclass(frozen=True)
class Row:
    """A model by its settings, trained once a seed."""

    name: str
    settings: Settings = field(default_factory=dict)
    """the row's own; they win over the dataset's settings and those given for all rows."""
    against: str | None = None
    """the baseline row of its improvement; None for a baseline itself."""
    labels: tuple[str, ...] = ()
    """texts of the table's first columns; by default the name."""
    keeps: bool = False
    """True: the row's own settings win over given ones (except :data:`LENGTHS_OF_TRAINING`), with a note; False: a
    given setting that the row makes itself is an error."""


AnyRow = TypeVar("AnyRow", bound=Row)


def chosen(rows: Sequence[AnyRow], names: Sequence[str], where: str) -> tuple[AnyRow, ...]:
    """The rows with these names and their baselines, in table order; all rows for no names.

    Args:
        where: for the error message, such as ``table 2``.

    Raises:
        InputError: an unknown name.
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
    """Raises InputError for a given setting that a row makes itself, unless the row ``keeps`` its own."""
    for row in rows:
        for key in () if row.keeps else both_set(row.settings, given):
            raise InputError(f"setting {key!r}: the rows of {where} set it; choose rows with --only")


def over(given: Settings, settings: Settings) -> dict[str, Any]:
    """A row's settings over those given for all rows, except :data:`LENGTHS_OF_TRAINING`, where given ones win."""
    own = {
        name: value
        for name, value in settings.items()
        if name not in LENGTHS_OF_TRAINING or name not in given
    }
    return merged(given, own)


def both_set(settings: Settings, given: Settings) -> list[str]:
    """Names of the settings in both, dotted as on a command line: ``graph.folds``."""
    own = dict(entries(settings))
    return [name for name in dict(entries(given)) if name in own]


def kept_note(row: str, settings: Settings, given: Settings) -> list[str]:
    """A note on the given settings that a row's own override; empty if none."""
    found, wanted = dict(entries(over(given, settings))), dict(entries(given))
    kept = [f"{name} {found[name]}" for name in wanted if found[name] != wanted[name]]
    return [f"{row} keeps its own {', '.join(kept)}; what was given is for the other rows."] if kept else []
