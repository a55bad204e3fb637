"""Settings of a model and of its training rows, for both adapters; RecBole's names are aliases."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, Field, model_validator

from mmbee_plugin.graph.metapaths import PAPER_METAPATHS, Metapaths
from mmbee_plugin.modules.mfq import QueryStart, chosen_start
from mmbee_plugin.modules.parts import CONTENTS, INTERESTS, PartSettings, needs_user_ids
from mmbee_plugin.modules.shapes import MAX_SEGMENTS, EncoderSettings, SearchSettings, TowerSettings
from mmbee_plugin.settings.needs import Needs, ReadBy
from mmbee_plugin.settings.section import Names, Section

NodeTables = Literal["graphcl", "fresh"]
"""Pre-trained by GraphCL, or trained with the model."""
HistoryMode = Literal["prefix", "others", "daily"]
RowOrder = Literal["file", "random"]


GRAPH: dict[str, Any] = {"folds": 5, "fold_by": "pair", "reach_top_k": 500}
"""A model's defaults of :class:`~mmbee_plugin.graph.settings.GraphSettings` where they differ from the class's own."""


class HistorySettings(Section):
    """A training row's view of its user's history."""

    history: HistoryMode | None = None
    """prefix: what came before the target | others: all of the user's training items but the target | daily: what came
    before the target's day | ~: daily for live data, else prefix for data with time or declared to stand in order,
    others without"""
    history_length: int = Field(
        default=50, ge=1, validation_alias=AliasChoices("history_length", "MAX_ITEM_LIST_LENGTH")
    )
    """newest behaviours kept"""


class RowSettings(Section):
    """Which rows train, and what stands for their time."""

    train_newest: int | None = Field(default=None, ge=1)
    """train on rows with fewer later positives of their user than this, and with an earlier one; ~: on all"""
    train_days: int | None = Field(default=None, ge=1)
    """train on rows of the last so many days (24 hours, as of history daily); earlier ones are history and graph; ~: on
    all"""
    row_order: RowOrder | None = None
    """what stands for time in data without it; ~: random, unless the data are declared to stand in order"""


class CategorySettings(Section):
    """Where the authors' categories are."""

    category_field: Annotated[str | None, Needs("search", among=(None, "hard"))] = None
    """column of .item with one token an item; ~: category"""


class NeighbourSettings(Section):
    """What the interest encoders read of the graphs."""

    metapaths: Annotated[Metapaths, ReadBy("interest")] = PAPER_METAPATHS
    """whose neighbours gie reads; bdr reads u2a2u and a2a"""
    attributes: Annotated[bool, ReadBy("interest")] = True
    """neighbours bring their mean content along"""
    node_tables: Annotated[NodeTables, ReadBy("interest")] = "graphcl"
    """graphcl: pre-trained | fresh: the paper's Θ(-) row"""


class ModelSettings(NeighbourSettings, SearchSettings, EncoderSettings, TowerSettings, PartSettings):
    """The model's content, start and loss."""

    loss: Literal["softmax", "bpr", "bce"] = "softmax"
    """softmax: sampled, over the batch's pool, or a row's own candidates where a pair costs more than a product | bpr |
    bce: the paper's"""
    modalities: Names | None = None
    """the dataset's modalities to read; ~: all"""
    mfq_width: Annotated[int | None, ReadBy("content")] = Field(default=None, ge=1)
    """width of MFQ, or of the content encoder in its place; ~: the model's"""
    segments: Annotated[int, ReadBy("content")] = Field(default=5, ge=1, le=MAX_SEGMENTS)
    """live data: segments L of a sample, the newest known at its moment"""
    query_start: Annotated[QueryStart | None, Needs("use_queries")] = "random"
    """author: the author's own id vector | ~: the paper's, random for live data, else author"""
    init_std: float = Field(default=0.01, ge=0)
    """standard deviation of fresh id vectors"""
    node_std: Annotated[float, ReadBy("interest")] = Field(default=0.1, ge=0)
    """standard deviation of the node tables' entries; GraphCL's are scaled to it"""
    temperature: Annotated[float, Needs("loss", among=("softmax",))] = Field(default=1.0, ge=1e-6)
    """of the softmax"""
    log_q: Annotated[bool, Needs("loss", among=("softmax",))] = True
    """correct the softmax over a pool for how often a candidate is drawn; a row's own candidates need none"""
    new_as_negatives: bool = True
    """authors without a positive training row are drawn as negatives too; false: they never are"""

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if CONTENTS[self.content].has_heads and self.content_width % self.heads:
            wide = self.called("width" if self.mfq_width is None else "mfq_width")
            raise ValueError(f"{wide} {self.content_width} is no multiple of heads {self.heads}")
        if not self.user_ids and (why := needs_user_ids(self.backbone, self.interest, self.metapaths)):
            raise ValueError(why)
        return self

    @property
    def content_width(self) -> int:
        """Width of the content encoder and of its query tokens."""
        return self.width if self.mfq_width is None else self.mfq_width

    @property
    def reads_modalities(self) -> bool:
        """Whether the content encoder reads features."""
        return CONTENTS[self.content].reads_modalities

    @property
    def reads_queries(self) -> bool:
        """Whether authors have query tokens of their own."""
        return CONTENTS[self.content].reads_queries and self.use_queries

    @property
    def means(self) -> tuple[str, ...]:
        """Metapaths whose neighbours are averaged."""
        return self.metapaths if INTERESTS[self.interest].takes_means else ()

    @property
    def lists(self) -> tuple[str, ...]:
        """Metapaths whose neighbour lists the interest encoder reads."""
        return INTERESTS[self.interest].lists(self.metapaths)

    def started(self, live: bool) -> QueryStart:
        """Initialisation of the authors' query tokens; raises InputError as `chosen_start`."""
        return chosen_start(self.query_start, live, self.content_width, self.width)
