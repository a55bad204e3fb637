"""What a graph snapshot is built from: settings, interactions, and how the node tables are trained."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from scipy.sparse import csr_matrix

from mmbee_plugin.data.folds import deal
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.donations import Amount
from mmbee_plugin.graph.metapaths import PAPER_METAPATHS, Metapath, Neighbours, Normalisation

OPTIONAL = ("amounts", "later", "times")
"""Columns of :class:`Interactions` that may be absent."""

FoldBy = Literal["order", "pair", "time"]
SEEN: dict[str, np.ufunc] = {"pair": np.not_equal, "order": np.greater, "time": np.less}
"""How the folds that a fold's graph is built from compare with it."""


@dataclass(frozen=True)
class GraphSettings:
    """Everything the graph stage depends on besides its inputs."""

    amount: Amount = "log1p"
    """What an edge of U2A weighs: the summed amount, its log1p, or 1."""
    metapaths: tuple[str, ...] = PAPER_METAPATHS
    """The metapaths whose neighbours are stored."""
    top_k: int = 50
    """Neighbours kept per node and metapath."""
    normalisation: Normalisation = "row"
    exclude_own: bool = True
    """Leave out the node itself, and a user's own authors (see ``expand``)."""
    swing_alpha: float = 1.0
    swing_include_self: bool = True
    swing_top_k: int | None = None
    """Authors kept a row of A2A; all by default."""
    swing_max_users: int | None = None
    swing_user_beta: float = 0.0
    swing_user_gamma: float = 0.0
    reach_top_k: int = 0
    """Authors kept a user in the long walk's list (see ``reach``); 0 stores none."""
    reach_inner: int = 200
    """Neighbours kept in the two lists that make the long walk."""
    reach_own: bool = False
    """Keep a user's own authors in the long walk's list: right where an author can be gifted again."""
    reach_lift: bool = False
    """Score the long walk's authors against their popularity (see ``reach``)."""
    folds: int = 0
    """Parts for cross-fitting: neighbours are also computed without each part's edges; 0 for none."""
    fold_by: FoldBy = "pair"
    """What makes a fold. ``pair``: a hash of user and author; a fold's graph lacks that fold's edges.
    ``order``: fold f holds each user's interaction with f later ones; its graph lacks it and all later ones,
    so that a training pair sees what came before it, as a test pair does.
    ``time``: fold f is the f-th of ``folds`` equal stretches of time; its graph lacks it and everything later, so that
    it sees the past as a test period does, and the first fold sees nothing."""
    fold_seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "metapaths", tuple(self.metapaths))
        for name in self.metapaths:
            Metapath.parse(name)
        if self.reach_top_k < 0:
            raise InputError(f"reach_top_k: {self.reach_top_k} is out of range, expected at least 0 (none)")
        if self.fold_by not in get_args(FoldBy):
            expected = ", ".join(get_args(FoldBy))
            raise InputError(f"fold_by: {self.fold_by!r} is unknown, expected one of {expected}")
        # One fold by pair or time would hold every edge and leave its graph empty.
        fewest = 1 if self.fold_by == "order" else 2
        if self.folds != 0 and self.folds < fewest:
            raise InputError(f"folds: {self.folds} is out of range, expected 0 (none) or at least {fewest}")


@dataclass(frozen=True)
class Interactions:
    """The training interactions, and nothing later: the graph knows no other.

    Shapes:
        - users, authors: (n,) file rows
        - amounts: (n,) or ``None`` where each counts one
        - later: (n,) how many later interactions the row's user has, or ``None`` where the order is unknown;
          needed for folds by order
        - times: (n,) seconds, or ``None`` for data without time; needed for folds by time

    Raises:
        InputError: unequal lengths.
    """

    users: np.ndarray
    authors: np.ndarray
    amounts: np.ndarray | None
    n_users: int
    n_authors: int
    later: np.ndarray | None = None
    times: np.ndarray | None = None

    def __post_init__(self) -> None:
        expected = np.shape(self.users)
        for name in ("authors", *OPTIONAL):
            column = getattr(self, name)
            if column is not None and np.shape(column) != expected:
                found = np.shape(column)
                raise InputError(f"{name} has shape {found}, expected {expected}, one per interaction")

    def seen_by(self, fold: int, settings: GraphSettings) -> "Interactions":
        """Those which the graph of this fold is built from."""
        every = np.ones(len(self.users), dtype=bool)
        folds = deal(settings, self.users, self.authors, every, self.later, self.times)
        seen = SEEN[settings.fold_by](folds, fold)
        columns = {name: getattr(self, name) for name in ("users", "authors", *OPTIONAL)}
        return replace(self, **{name: part[seen] for name, part in columns.items() if part is not None})


@dataclass(frozen=True)
class NodeStage:
    """How the node tables are trained; ``settings`` tell one way from another in the snapshot's key."""

    settings: Mapping[str, object]
    train: Callable[[csr_matrix, Neighbours, Neighbours], tuple[np.ndarray, np.ndarray]]
    """From U2A and the positives of users (u2a2u) and authors (a2u2a) to two float32 tables."""
