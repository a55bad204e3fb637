"""Which rows Table 3 has: the paper's models, and below them what needs no training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.untrained import Score, most_popular, walk

NUMBER = 3
REFERENCE = "MMBee"
"""the row that is set against every other one"""


@dataclass(frozen=True)
class RankedRow:
    """A row: a model trained once a seed, or a count of the training interactions."""

    name: str
    model: str | None = None
    """of RecBole's registry; its tuned settings go by this name."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """what the row sets beyond the dataset's and the tuned ones."""
    count: partial[Score] | None = None
    """where there is no model: from the training split to a score, a function of a module with its arguments."""


TRAINED = (
    *("NGCF", "LightGCN", "MMGCN", "GRCN", "EgoGCN"),
    *("DIN", "SASRec", "SIM", "MMMLP", "MMSSL", "MMBee"),
)
"""the paper's, in its order"""
WALKS = (("walk u-a-u-a", "uaua"), ("walk u-a-a", "uaa"))
"""over U2A, and over U2A and then Swing's A2A"""

ROWS: tuple[RankedRow, ...] = (
    *(RankedRow(model, model) for model in TRAINED),
    RankedRow("MostPop", count=partial(most_popular)),
    *(RankedRow(name, count=partial(walk, nodes=nodes)) for name, nodes in WALKS),
)


def chosen_rows(rows: Sequence[RankedRow], names: Sequence[str]) -> tuple[RankedRow, ...]:
    """The rows with these names, all of them for none, in the table's order.

    Raises:
        InputError: a name that is no row's.
    """
    known = [row.name for row in rows]
    for name in names:
        if name not in known:
            raise InputError(f"table {NUMBER} has no row {name!r}; it has: {', '.join(known)}")
    return tuple(row for row in rows if row.name in names or not names)
