"""Settings of the model and of its parts, as the parts read them: names, shapes and rates."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GTRSettings:
    """Which parts make the model, and their shapes."""

    backbone: str = "sim"
    """sim, din, dien, sasrec, mmoe (the mean of the history under a head of its own) or mean."""
    content: str = "mfq"
    """none, concat, mfq, mta or ego_fusion."""
    interest: str = "gie"
    """none, gie or bdr."""
    head: str = "mlp"
    """mlp (the paper's) or dot (ids and two towers); unused with mmoe."""
    width: int = 64
    """model width d."""
    hidden: tuple[int, int] = (200, 80)
    """hidden widths of the mlp head; of mmoe's experts and of their towers."""
    dropout: float = 0.0
    """dropout in the head."""
    history_dropout: float = 0.0
    """dropout in sasrec; no other backbone has any."""
    pooling: str = "concat"
    """concat: one mean per metapath; set: one mean over all that a side's metapaths lead to, each once."""
    neighbour_weights: bool = True
    """whether the means given are weighted by the neighbours' scores, or plain."""
    user_metapaths: tuple[str, ...] = ()
    """metapaths that start at the user, in the order of the tensors."""
    author_metapaths: tuple[str, ...] = ()
    """metapaths that start at the author."""
    attribute_width: int = 0
    """width D of the neighbours' mean attributes, 0 for none."""
    reach: bool = False
    """add what the stored long walk says of the pair."""
    reach_floor: float = 1e-4
    """entry of the long walk's list that starts to count: a probability, or a lift (about 10) where it holds lifts."""
    reach_weight: float = 1.0
    """what its logarithm weighs at the start; a list of probabilities drowns an MLP's first logits, so 0 there."""
    user_ids: bool = True
    """whether a user has an id vector; without one a user is known by history and neighbours alone."""
    tasks: tuple[str, ...] = ("gift",)
    """what mmoe predicts, the first of them the one to rank by; every other backbone predicts the first alone."""
    experts: int = 8
    """experts of mmoe."""


@dataclass(frozen=True)
class ContentSettings:
    """What the content encoders share."""

    widths: dict[str, int]
    """raw feature width D_m of each modality, in token order."""
    width: int = 64
    """width d of the encoder and of its query tokens; need not be the model's."""
    heads: int = 4
    """attention heads."""
    num_queries: int = 4
    """query tokens N an author owns."""
    use_queries: bool = True
    """off (the paper's q_m(-) row): the fused tokens are averaged instead of being read by queries."""
    shared_queries: bool = True
    """an author's queries are offsets from those that all authors share; off (the paper's), each author has its own
    alone."""
    match: bool = True
    """MFQ also gives each query times what is on now; off, its output is the paper's."""
    projection: str = "sum"
    """reading of the orthogonal projection: elementwise, token or sum."""
    dropout: float = 0.0
    """dropout in the attention blocks."""
    joint_layers: int = 2
    """MTA's stacked layers."""
    fusion: str = "soft"
    """EgoFusion's modulation: soft (gated) or hard (where the edge is strong enough)."""
    fusion_threshold: float = 0.4
    """attention above which hard modulation sets in."""
    modality_dropout: float = 0.1
    """chance that a present modality is hidden in training, never the last one of an author."""
    default_query_rate: float = 0.1
    """chance in training that an author reads with the default queries, as one never seen does."""
    max_segments: int = 32
    """rows of the segment-age embedding."""


@dataclass(frozen=True)
class SIMSettings:
    """Shape of the search and of the two attention units."""

    width: int = 64
    """model width d."""
    heads: int = 2
    """attention heads of the exact search unit; each sees the whole behaviour vector."""
    search: str = "soft"
    """hard: by category, the newest of equals; soft: by embedding."""
    searched: int = 20
    """behaviours K at most that the general search unit keeps of a history."""
    short: int = 0
    """newest behaviours S that a DIN unit sees and the search leaves out; 0 for data without an order."""
    gaps: int = 0
    """buckets of the time gap; 0 for data without time."""

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
