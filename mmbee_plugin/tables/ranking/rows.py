"""Which rows Table 3 has: the paper's models, and below them what needs no training."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from mmbee_plugin.experiments.rows import PAPER, Row
from mmbee_plugin.recbole.config.files import paper_settings
from mmbee_plugin.recbole.untrained import Score, most_popular, walk

NUMBER = 3
REFERENCE = "MMBee"
"""the row that is compared with every other one"""


@dataclass(frozen=True)
class RankedRow(Row):
    """A row: a model trained once a seed, or a count of the training interactions."""

    model: str | None = None
    """of RecBole's registry."""
    tuning: str | None = None
    """the name of its search space and its tuned settings; None for a row that is never tuned."""
    count: partial[Score] | None = None
    """where there is no model: from the training split to a score, a function of a module with its arguments."""


TRAINED = (
    *("NGCF", "LightGCN", "MMGCN", "GRCN", "EgoGCN", "DIN", "DIEN", "SASRec", "SIM", "MMMLP", "MMSSL"),
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
        RankedRow("DIEN", OWN_DIEN, model="SIM", tuning="DIEN")
        if name == "DIEN"
        else RankedRow(name, model=name, tuning=name)
        for name in TRAINED
    ]
    return (
        *trained,
        RankedRow(PAPER, paper_settings(), model="MMBee"),
        RankedRow("MostPop", count=partial(most_popular)),
        *(RankedRow(name, count=partial(walk, nodes=nodes)) for name, nodes in WALKS),
    )
