"""Inputs of a graph snapshot: settings, interactions, and the training of the node tables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator
from scipy.sparse import csr_matrix

from mmbee_plugin.data.folds import deal
from mmbee_plugin.data.ragged import NOBODY
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.donations import Amount
from mmbee_plugin.graph.lists import NodeLists
from mmbee_plugin.graph.metapaths import PAPER_METAPATHS, Metapaths, Normalisation
from mmbee_plugin.settings.needs import Needs, ReadBy
from mmbee_plugin.settings.section import Names, Section

OPTIONAL = ("amounts", "later", "times")
"""columns of :class:`Interactions` that may be absent"""

FoldBy = Literal["order", "pair", "time", "day"]
SEEN: dict[str, np.ufunc] = {"pair": np.not_equal, "order": np.greater, "time": np.less, "day": np.less}
"""`SEEN[fold_by](folds, f)` marks the rows that the graph of fold f is built from"""


REFRESHING = {"refresh_from", "refresh_limit"}
"""settings that say where lists are kept from; what was kept is no setting of a snapshot but a fact of it"""


class GraphStage(Section):
    """How the offline stage makes graphs and neighbour lists."""

    amount: Amount = "log1p"
    """what an edge of U2A weighs: the summed amount, its log1p, or 1"""
    top_k: int = Field(default=50, ge=1)
    """neighbours kept per node and metapath"""
    normalisation: Normalisation = "row"
    """of the edges' weights along a path"""
    exclude_own: bool = True
    """leave out the node itself, and a user's own authors"""
    swing_alpha: float = Field(default=1.0, ge=0)
    """smoothing of Swing, eq. 8"""
    swing_include_self: bool = True
    """sum over v = u too, as eq. 8 is written"""
    swing_top_k: int | None = Field(default=None, ge=1)
    """authors kept a row of A2A; ~: all"""
    swing_max_users: int | None = Field(default=None, ge=1)
    """users of an author that Swing pairs at most; ~: all"""
    walk_max_users: int | None = Field(default=None, ge=1)
    """users of an author that a walk's step a2u leads to at most; ~: all"""
    hub_seed: Annotated[int, Needs("swing_max_users", "walk_max_users")] = 0
    """of the samples that swing_max_users and walk_max_users keep"""
    swing_user_beta: Annotated[float, Needs("swing_user_gamma")] = Field(default=0.0, ge=0)
    """weight of a user: (degree + beta) to the power of -gamma"""
    swing_user_gamma: float = Field(default=0.0, ge=0)
    """see swing_user_beta; 0 weighs all users alike"""
    reach_top_k: Annotated[int, ReadBy("interest")] = Field(default=0, ge=0)
    """authors kept a user in the long walk's list; 0: no list"""
    reach_inner: Annotated[int, Needs("reach_top_k")] = Field(default=200, ge=1)
    """neighbours kept in the two lists that make the long walk"""
    reach_own: Annotated[bool, Needs("reach_top_k")] = False
    """keep a user's own authors in the long walk's list: right where an author can be gifted again"""
    reach_lift: Annotated[bool, Needs("reach_top_k")] = False
    """score the long walk's authors against their popularity"""
    content_top_k: Annotated[int, Needs("reach_top_k")] = Field(default=0, ge=0)
    """authors nearest by content to whom the long walk leads, and by whom it reaches those without a gift; 0: none"""
    content_modalities: Annotated[Names | None, Needs("content_top_k")] = None
    """modalities that say who is near by content, of those that the model reads; ~: all with vectors"""
    content_share: Annotated[float, Needs("content_top_k")] = Field(default=0.1, ge=0)
    """weight of the walk's last step by content, beside the one by gifts"""
    content_sharpness: Annotated[float, Needs("content_top_k")] = Field(default=5.0, ge=0)
    """a neighbour by content weighs exp(this x cosine)"""
    visits: Annotated[float, Needs("reach_top_k")] = Field(default=0.0, ge=0)
    """weight of a user's own earlier visits in the long walk's lists, the power of their lift; 0: none"""
    visits_prior: Annotated[float, Needs("visits")] = Field(default=20.0, ge=0)
    """added to a user's number of visits in that lift, so that few visits say little"""
    visits_profile: Annotated[float, Needs("reach_top_k")] = Field(default=0.0, ge=0)
    """weight of a latent score in the same lists, by singular vectors of visits and gifts; 0: none"""
    visits_rank: Annotated[int, Needs("visits_profile")] = Field(default=32, ge=1)
    """dimensions of visits_profile"""
    visits_floor: Annotated[float, Needs("visits", "visits_profile")] = Field(default=10.0, gt=0)
    """entry of the long walk that weighs as much as a lift of 1: the model's reach_floor"""
    folds: int = Field(default=0, ge=0)
    """parts for cross-fitting: neighbours are also computed without each part's edges; 0: none"""
    fold_by: Annotated[FoldBy, Needs("folds")] = "pair"
    """pair: by a hash of user and author; a fold's graph lacks its edges | order: fold f has each user's interaction
    with f later ones; its graph lacks it and all later ones | time: fold f is the f-th of equal stretches of time; its
    graph lacks it and all later ones, so the first fold sees nothing | day: as time, each fold one of the last days of
    training, the first also all earlier ones"""
    fold_seed: Annotated[int, Needs("fold_by", among=("pair",))] = 0
    """of the hash"""
    statistics: Annotated[Names, Needs("attributes")] = ("content",)
    """what neighbours bring along besides their vectors: names of graph/statistics.py"""
    refresh_from: str | None = None
    """earlier snapshot, a folder; nodes that no changed gift touches keep its lists, which is approximate; ~: all lists
    are new"""
    refresh_limit: Annotated[int, Needs("refresh_from")] = Field(default=6, ge=1)
    """refreshes in a row, after which all lists are new"""

    @model_validator(mode="after")
    def _enough_folds(self) -> Self:
        # A single fold by pair or time would contain every edge and leave its graph empty.
        if self.folds == 1 and self.fold_by != "order":
            raise ValueError("folds 1 is out of range, expected 0 (none) or at least 2")
        return self

    @property
    def steps_by_content(self) -> bool:
        """Whether the long walk has them."""
        return bool(self.reach_top_k and self.content_top_k)

    @property
    def pools_visits(self) -> bool:
        """Whether the long walk's lists have visits."""
        return bool(self.reach_top_k and (self.visits or self.visits_profile))

    @property
    def pooled_at(self) -> float | None:
        """The ``reach_floor`` that lists pooled with visits are made for; None for lists of probabilities or lifts."""
        return self.visits_floor if self.pools_visits else None


class GraphSettings(GraphStage):
    """What the graph stage depends on besides its inputs."""

    metapaths: Metapaths = PAPER_METAPATHS
    """the metapaths whose neighbours are stored"""


@dataclass(frozen=True)
class Interactions:
    """The training interactions, the only ones that a graph is built from.

    Shapes:
        - users, authors: (n,) file rows
        - amounts: (n,), or ``None`` to count 1 each
        - later: (n,) number of the user's later interactions, or ``None`` if unknown; needed for folds by order
        - times: (n,) seconds, or ``None`` for data without time; needed for folds by time and day

    Raises:
        InputError: unequal lengths, or more nodes of a type than ids of 32 bits are for.
    """

    users: np.ndarray
    authors: np.ndarray
    amounts: np.ndarray | None
    n_users: int
    n_authors: int
    later: np.ndarray | None = None
    times: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name, count in (("users", self.n_users), ("authors", self.n_authors)):
            if count > NOBODY:
                raise InputError(f"{count:,} {name}: ids are of 32 bits, for at most {NOBODY:,}")
        expected = np.shape(self.users)
        for name in ("authors", *OPTIONAL):
            column = getattr(self, name)
            if column is not None and np.shape(column) != expected:
                found = np.shape(column)
                raise InputError(f"{name} has shape {found}, expected {expected}, one per interaction")

    def seen_by(self, fold: int, settings: GraphSettings) -> "Interactions":
        """The interactions that the graph of ``fold`` is built from."""
        every = np.ones(len(self.users), dtype=bool)
        folds = deal(settings, self.users, self.authors, every, self.later, self.times)
        seen = SEEN[settings.fold_by](folds, fold)
        columns = {name: getattr(self, name) for name in ("users", "authors", *OPTIONAL)}
        return replace(self, **{name: part[seen] for name, part in columns.items() if part is not None})


@dataclass(frozen=True)
class NodeStage:
    """Training of the node tables; ``settings`` enter the snapshot's key."""

    settings: Mapping[str, object]
    train: Callable[[csr_matrix, NodeLists, NodeLists], tuple[np.ndarray, np.ndarray]]
    """maps U2A and the positives of users (u2a2u) and authors (a2u2a) to tables (n_users, d) and (n_authors, d)"""
    uncut: bool = False
    """whether the positives are all neighbours, not the ``top_k`` of the stored lists"""
