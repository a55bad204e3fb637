"""The two sides of a sample, as tensors: the only thing the modules know of a data source.

An adapter looks ids up in its tables (``nn.Embedding``, or sharded ones) and fills these. Letters: ``B`` rows, ``H``
history length, ``P`` means over the side's neighbours (one a metapath, or one), ``K`` neighbours of a list, ``N`` query
tokens, ``L`` live segments (1 for static items), ``F`` frames a segment, ``d`` model width, ``D`` width of a raw
feature. Nothing is checked here: the classes are built inside traced code.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch


@dataclass
class UserSide:
    """What is known of ``B`` users."""

    user: torch.Tensor | None
    """(B, d) id vectors, or None for a model that knows users by their history and neighbours alone."""
    history: torch.Tensor
    """(B, H, d) vectors of the authors gifted before, oldest first; rows of the same table as ``AuthorSide.author``."""
    history_mask: torch.Tensor
    """(B, H) bool, true where there is a behaviour."""
    history_gap: torch.Tensor | None = None
    """(B, H) int64, bucket of the time between a behaviour and the request."""
    history_category: torch.Tensor | None = None
    """(B, H) int64 categories of the behaviours' authors, 0 where unknown; None where nothing is searched by them."""
    neighbours: torch.Tensor | None = None
    """(B, P, d) means of neighbours' node vectors, plain or weighted by scores; zero over nobody."""
    neighbour_count: torch.Tensor | None = None
    """(B, P) number of neighbours a mean is over."""
    attributes: torch.Tensor | None = None
    """(B, P, D) means of the neighbours' content attributes, an absent one and a user's counting as zero."""
    peers: torch.Tensor | None = None
    """(B, K, d) id vectors of the most similar users, of the same table as ``user``."""
    peer_weights: torch.Tensor | None = None
    """(B, K) their similarity, 0 where the list is filled up."""
    reach_ids: torch.Tensor | None = None
    """(B, K) int64 ids of the authors in the user's long-walk list, ascending."""
    reach_weights: torch.Tensor | None = None
    """(B, K) the walk's probability of each."""


@dataclass
class AuthorSide:
    """What is known of ``B`` authors at the moment of scoring."""

    author: torch.Tensor
    """(B, d) id vectors."""
    ids: torch.Tensor | None = None
    """(B,) int64, what ``UserSide.reach_ids`` calls the authors."""
    category: torch.Tensor | None = None
    """(B,) int64 the authors' categories, as ``UserSide.history_category`` numbers them."""
    queries: torch.Tensor | None = None
    """(B, N, d) the author's own query tokens."""
    seen: torch.Tensor | None = None
    """(B,) bool, false for an author without a training sample: the shared default takes the place of its rows."""
    segments: dict[str, torch.Tensor] = field(default_factory=dict)
    """per modality (B, L, F, D_m) raw vectors of the last segments, oldest first."""
    segment_mask: dict[str, torch.Tensor] = field(default_factory=dict)
    """per modality (B, L) bool, true where the segment has that modality."""
    neighbours: torch.Tensor | None = None
    """(B, P, d) as on the user's side."""
    neighbour_count: torch.Tensor | None = None
    """(B, P)."""
    attributes: torch.Tensor | None = None
    """(B, P, D) as on the user's side."""
    peers: torch.Tensor | None = None
    """(B, K, d) id vectors of the most similar authors, of the same table as ``author``."""
    peer_weights: torch.Tensor | None = None
    """(B, K) as on the user's side."""
