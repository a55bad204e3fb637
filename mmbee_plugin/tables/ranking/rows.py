"""Which rows Table 3 has: the paper's models, and below them what needs no training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.config.files import paper_settings
from mmbee_plugin.recbole.untrained import Score, most_popular, walk
from mmbee_plugin.tables.rows import PAPER

NUMBER = 3
REFERENCE = "MMBee"
"""the row that is set against every other one"""


@dataclass(frozen=True)
class RankedRow:
    """A row: a model trained once a seed, or a count of the training interactions."""

    name: str
    model: str | None = None
    """of RecBole's registry."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """what the row sets; it wins over the dataset's, the tuned and the given settings."""
    tuning: str | None = None
    """the name of its search space and its tuned settings; None for a row that is never tuned."""
    count: partial[Score] | None = None
    """where there is no model: from the training split to a score, a function of a module with its arguments."""


TRAINED = (
    "NGCF",
    "LightGCN",
    "MMGCN",
    "GRCN",
    "EgoGCN",
    "DIN",
    "DIEN",
    "SASRec",
    "SIM",
    "MMMLP",
    "MMSSL",
    "MMBee",
)
"""the paper's, in its order; what it says of its DIN describes DIEN, so that both are there"""
OWN_DIEN = {"backbone": "dien", "head": "mlp", "loss": "bce", "history": "prefix"}
"""DIEN as this package has it (BCE and the auxiliary loss), with SIM's empty slots and its settings in the dataset's
file; RecBole's model of that name wants drawn negatives for each behaviour, which the common dataset class lacks"""
WALKS = (("walk u-a-u-a", "uaua"), ("walk u-a-a", "uaa"))
"""over U2A, and over U2A and then Swing's A2A"""


def table_rows() -> tuple[RankedRow, ...]:
    """All rows of the table. Raises InputError where the file with the paper's settings cannot be read."""
    trained = [
        RankedRow("DIEN", "SIM", OWN_DIEN, "DIEN") if name == "DIEN" else RankedRow(name, name, tuning=name)
        for name in TRAINED
    ]
    return (
        *trained,
        RankedRow(PAPER, "MMBee", paper_settings()),
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
