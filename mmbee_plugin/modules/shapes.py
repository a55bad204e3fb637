"""Settings of the model and of its parts, as the parts read them: names, shapes and rates."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GTRSettings:
    """Names of the parts of a model (:mod:`~mmbee_plugin.modules.parts`), and their shapes."""

    backbone: str = "sim"
    """Name in ``BACKBONES``."""
    content: str = "mfq"
    """Name in ``CONTENTS``."""
    interest: str = "gie"
    """Name in ``INTERESTS``."""
    head: str = "mlp"
    """Name in ``HEADS``; unused with a backbone that has a head of its own."""
    width: int = 64
    """Model width d."""
    hidden: tuple[int, int] = (200, 80)
    """Widths of the MLP head's hidden layers, or of MMoE's experts and towers."""
    dropout: float = 0.0
    """Dropout in the head."""
    history_dropout: float = 0.0
    """Dropout in SASRec; no other backbone has any."""
    pooling: str = "concat"
    """Means over neighbours: one a metapath (``concat``), or one over the set of a side's neighbours (``set``)."""
    neighbour_weights: bool = True
    """Whether these means are weighted by the neighbours' scores, or plain."""
    user_metapaths: tuple[str, ...] = ()
    """Metapaths from users, in the order of the tensors."""
    author_metapaths: tuple[str, ...] = ()
    """Metapaths from authors."""
    attribute_width: int = 0
    """Width D of the neighbours' mean attributes, 0 for none."""
    reach: bool = False
    """Whether the stored long walk from the user to the author adds to the logit (:class:`Reach`)."""
    reach_floor: float = 1e-4
    """Entry of the long walk's list from which on it counts: a probability, or a lift (about 10) in lists of lifts."""
    reach_weight: float = 1.0
    """Weight of its logarithm at the start; 0 with an MLP head, whose first logits it would drown."""
    user_ids: bool = True
    """Whether users have id vectors; without, they are known by history and neighbours alone."""
    tasks: tuple[str, ...] = ("gift",)
    """Tasks to predict, the first of them the one to rank by; most heads predict the first alone."""
    experts: int = 8
    """Experts of MMoE."""


@dataclass(frozen=True)
class ContentSettings:
    """Shapes and rates of the content encoders."""

    widths: dict[str, int]
    """Width D_m of each modality's raw features, in token order."""
    width: int = 64
    """Width d of the encoder and of its query tokens; need not be the model's."""
    heads: int = 4
    """Attention heads."""
    num_queries: int = 4
    """Query tokens N of an author."""
    use_queries: bool = True
    """Whether queries read the fused tokens; off (the paper's q_m(-) row), these are averaged."""
    shared_queries: bool = True
    """Whether an author's queries are offsets from shared ones; off (the paper's), they are the author's own."""
    match: bool = True
    """Whether MFQ adds each query times the newest segment; off, its output is the paper's."""
    projection: str = "sum"
    """Reading of the orthogonal projection: elementwise, token or sum."""
    dropout: float = 0.0
    """Dropout in the attention blocks."""
    joint_layers: int = 2
    """Stacked layers of MTA."""
    fusion: str = "soft"
    """Modulation in EgoFusion: soft (gated), or hard (where the edge is strong enough)."""
    fusion_threshold: float = 0.4
    """Attention above which hard modulation sets in."""
    modality_dropout: float = 0.1
    """Rate at which present modalities are hidden in training, never the last one of an author."""
    default_query_rate: float = 0.1
    """Rate at which authors read with the default queries in training, as authors never seen do later."""
    max_segments: int = 32
    """Rows of the segment-age embedding, so the most segments of a sample."""


@dataclass(frozen=True)
class SIMSettings:
    """Shapes of SIM's search and of its two attention units."""

    width: int = 64
    """Model width d."""
    heads: int = 2
    """Attention heads of the exact search unit; each reads the whole behaviour vector."""
    search: str = "soft"
    """Search by category, newest first (``hard``), or by embedding (``soft``)."""
    searched: int = 20
    """Most behaviours K that the general search unit keeps of a history."""
    short: int = 0
    """Newest behaviours S that a DIN unit reads and the search leaves out; 0 for data without an order."""
    gaps: int = 0
    """Buckets of the time gap; 0 for data without time."""

    def idle(self, longest: int) -> str | None:
        """Why a soft search keeps every behaviour of histories of up to ``longest``, or None if it leaves some out.

        Hard search leaves out other categories however short the history.
        """
        left = longest - self.short
        if self.search == "hard" or left > self.searched:
            return None
        beside = f" beside the {self.short} newest" if self.short else ""
        return (
            f"SIM's search unit is idle: histories have at most {max(0, left)} behaviours{beside}, and it keeps "
            f"{self.searched}; the model is SIM's exact search unit over all of them. Set searched to less, or keep "
            "longer histories"
        )
