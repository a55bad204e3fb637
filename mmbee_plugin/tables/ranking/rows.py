"""Rows of Table 3: the paper's models, then baselines without training."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from mmbee_plugin.experiments.rows import PAPER, Row
from mmbee_plugin.recbole.config.files import paper_settings
from mmbee_plugin.recbole.untrained import Score, most_popular, walk

NUMBER = 3
REFERENCE = "MMBee"
"""row that is compared with every other one"""


@dataclass(frozen=True)
class RankedRow(Row):
    """A model trained once a seed, or a score counted from the training interactions or solved in closed form."""

    model: str | None = None
    """name in RecBole's registry."""
    tuning: str | None = None
    """name of its search space and its tuned settings; None for a row that is never tuned."""
    solved: bool = False
    """whether the model is a closed form, so that every seed gives the same."""
    count: partial[Score] | None = None
    """for a row without a model: maps the training split to a score; a module-level function with its arguments."""


TRAINED = (
    *("NGCF", "LightGCN", "MMGCN", "GRCN", "EgoGCN", "DIN", "DIEN", "SASRec", "SIM", "MMMLP", "MMSSL"),
    "MMBee",
)
"""the paper's models in its order, and DIEN, which the paper's description of DIN fits"""
OWN_DIEN = {"backbone": "dien", "head": "mlp", "loss": "bce", "history": "prefix"}
"""this package's DIEN (BCE and the auxiliary loss) as a backbone of SIM, whose settings in the dataset's file apply;
RecBole's DIEN needs a sampled negative for each behaviour, which the common dataset class lacks"""
LINEAR = ("ItemKNN", "EASE", "FBSM")
"""models in closed form, strong and cheap, with the settings of the dataset's file: RecBole's two of items' ids, and
one of their features alone, which scores items that nobody took"""
WALKS = (("walk u-a-u-a", "uaua"), ("walk u-a-u-a-u-a", "uauaua"), ("walk u-a-a", "uaa"))
"""random walks over U2A, and over U2A then Swing's A2A"""


def table_rows() -> tuple[RankedRow, ...]:
    """All rows of the table. Raises InputError if the file with the paper's settings cannot be read."""
    trained = [
        RankedRow("DIEN", OWN_DIEN, model="SIM", tuning="DIEN")
        if name == "DIEN"
        else RankedRow(name, model=name, tuning=name)
        for name in TRAINED
    ]
    return (
        *trained,
        RankedRow(PAPER, paper_settings(), model="MMBee"),
        *(RankedRow(name, model=name, solved=True) for name in LINEAR),
        RankedRow("MostPop", count=partial(most_popular)),
        *(RankedRow(name, count=partial(walk, nodes=nodes)) for name, nodes in WALKS),
    )
