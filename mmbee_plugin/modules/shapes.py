"""Settings of the model's parts, declared where the parts read them: names, shapes and rates.

What users choose has classes of its own (`TowerSettings`, `EncoderSettings`, `SearchSettings`), which are bases of
:class:`~mmbee_plugin.assembly.settings.ModelSettings`; the classes below them add what the data and the model give.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AliasChoices, Field

from mmbee_plugin.settings.needs import Needs, ReadBy
from mmbee_plugin.settings.section import Section

MAX_SEGMENTS = 32
"""segments of a sample at most"""
Pooling = Literal["concat", "set"]
Projection = Literal["elementwise", "token", "sum"]
Fusion = Literal["soft", "hard"]
Search = Literal["hard", "soft"]


class TowerSettings(Section):
    """Vectors of users and authors, what neighbours add to them, and the head over them."""

    width: int = Field(default=64, ge=1, validation_alias=AliasChoices("width", "embedding_size"))
    """model width d"""
    hidden: Annotated[
        tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]], ReadBy("head", "backbone")
    ] = Field(default=(200, 80), strict=False, validation_alias=AliasChoices("hidden", "mlp_hidden_size"))
    """hidden widths of the mlp head; of mmoe's experts and of their towers"""
    user_ids: bool = True
    """users have id vectors; false: history and neighbours are all that is known of them (not with bdr)"""
    dropout: float = Field(default=0.5, ge=0, lt=1, validation_alias=AliasChoices("dropout", "dropout_prob"))
    """dropout in the head, and in bdr's scores"""
    history_dropout: Annotated[float, ReadBy("backbone")] = Field(default=0.5, ge=0, lt=1)
    """dropout in sasrec, which tells the newest 50 behaviours apart by position"""
    pooling: Annotated[Pooling, ReadBy("interest")] = "concat"
    """concat: one mean per metapath | set: the paper's one mean per side, each neighbour once"""
    neighbour_weights: Annotated[bool, ReadBy("interest")] = True
    """weigh neighbours by their scores; false: the paper's plain means"""
    reach_floor: Annotated[float, Needs("graph.reach_top_k"), Needs("reach")] = Field(default=1e-4, ge=1e-12)
    """entry of the long walk's lists that starts to count: a probability, or about 10 where they hold lifts"""
    reach_weight: Annotated[float, Needs("graph.reach_top_k"), Needs("reach")] = 1.0
    """what the logarithm of an entry of these lists weighs in the logit at the start; 0 is better where the lists hold
    probabilities and the head is mlp, whose first logits they drown"""
    experts: Annotated[int, ReadBy("backbone")] = Field(default=8, ge=1)
    """experts of mmoe"""


class GTRShapes(TowerSettings):
    """A model's vectors and head on given data."""

    user_metapaths: tuple[str, ...] = ()
    """metapaths that start at the user, in the order of the tensors"""
    author_metapaths: tuple[str, ...] = ()
    """metapaths that start at the author"""
    attribute_width: int = Field(default=0, ge=0)
    """width D of the neighbours' mean attributes, 0 for none"""
    reach: bool = False
    """add what the stored long walk says of the pair"""
    tasks: tuple[str, ...] = ("gift",)
    """what mmoe predicts, the first of them the one to rank by; every other backbone predicts the first alone"""


class EncoderSettings(Section):
    """Content encoders: MFQ, MTA, EgoFusion and their tokens."""

    heads: Annotated[int, ReadBy("content")] = Field(default=4, ge=1)
    """attention heads in MFQ and MTA"""
    num_queries: Annotated[int, Needs("use_queries")] = Field(default=4, ge=1)
    """query tokens N per author"""
    use_queries: Annotated[bool, ReadBy("content")] = True
    """false: the paper's q_m(-) row, fused tokens are averaged instead of being read by queries"""
    shared_queries: Annotated[bool, Needs("use_queries")] = True
    """an author's queries are offsets from those that all share; false: the paper's, each has its own alone"""
    match: Annotated[bool, Needs("use_queries")] = True
    """MFQ also puts out each query times the newest segment, feature by feature; false: the paper's output"""
    projection: Annotated[Projection, ReadBy("content")] = "sum"
    """reading of MFQ's orthogonal projection"""
    content_dropout: Annotated[float, ReadBy("content")] = Field(default=0.0, ge=0, lt=1)
    """dropout in the attention blocks"""
    joint_layers: Annotated[int, ReadBy("content")] = Field(default=2, ge=1)
    """MTA's stacked layers"""
    fusion: Annotated[Fusion, ReadBy("content")] = "soft"
    """EgoFusion's modulation: gated, or hard, where an edge's attention is above fusion_threshold"""
    fusion_threshold: Annotated[float, Needs("fusion", among=("hard",))] = Field(default=0.4, ge=0, le=1)
    """attention above which hard modulation sets in"""
    modality_dropout: Annotated[float, ReadBy("content")] = Field(default=0.1, ge=0, le=1)
    """chance that a present modality is hidden in training, never the last one of an author"""
    default_query_rate: Annotated[float, Needs("use_queries")] = Field(default=0.1, ge=0, le=1)
    """chance in training that an author reads with the default queries, as one never seen does"""


class ContentSettings(EncoderSettings):
    """A content encoder's settings with the shapes it has in a model."""

    widths: dict[str, int]
    """raw feature width D_m of each modality, in token order"""
    width: int = Field(default=64, ge=1)
    """width d of the encoder and of its query tokens; need not be the model's"""
    max_segments: int = Field(default=MAX_SEGMENTS, ge=1)
    """rows of the segment-age embedding"""


class SearchSettings(Section):
    """SIM: its search and its two attention units."""

    search_heads: Annotated[int, ReadBy("backbone")] = Field(default=2, ge=1)
    """attention heads of the exact search unit; each sees the whole behaviour vector"""
    search: Annotated[Search | None, ReadBy("backbone")] = None
    """hard: behaviours of the target's category, the newest | soft: by embedding | ~: hard where the data have
    categories"""
    searched: Annotated[int, ReadBy("backbone")] = Field(default=20, ge=1)
    """behaviours K at most that the search keeps; a soft search of no more keeps them all"""
    short_length: Annotated[int, ReadBy("backbone")] = Field(default=0, ge=0)
    """newest behaviours S that a DIN unit sees and the search leaves out; 0 for data without an order"""


class SIMSettings(SearchSettings):
    """SIM's settings with the shapes it has in a model; ``search`` is chosen."""

    width: int = Field(default=64, ge=1)
    """model width d"""
    search: Search = "soft"
    """as in :class:`SearchSettings`"""
    gaps: int = Field(default=0, ge=0)
    """buckets of the time gap; 0 for data without time"""

    def idle(self, longest: int) -> str | None:
        """Why a soft search keeps every behaviour of histories of up to ``longest``, or None if it leaves some out.

        Hard search leaves out other categories however short the history.
        """
        left = longest - self.short_length
        if self.search == "hard" or left > self.searched:
            return None
        beside = f" beside the {self.short_length} newest" if self.short_length else ""
        return (
            f"SIM's search unit is idle: histories have at most {max(0, left)} behaviours{beside}, and it keeps "
            f"{self.searched}; the model is SIM's exact search unit over all of them. Set searched to less, or keep "
            "longer histories"
        )
