"""A batch as tensors, the same of any data source: the two sides of its samples, and what their scores are trained on.

An adapter looks ids up in its tables (``nn.Embedding``, or sharded ones) and fills these. Letters: ``B`` rows, ``H``
history length, ``P`` means over the side's neighbours (one a metapath, or one), ``K`` neighbours of a list, ``N`` query
tokens, ``L`` live segments (1 for static items), ``F`` frames a segment, ``d`` model width, ``D`` width of a raw
feature. Nothing is checked here: the classes are built inside traced code.

Where the tables are looked up later than the rest, what they give (vectors of width d) is None until then, and
``history`` and ``author`` have width 0.
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


@dataclass
class Targets:
    """What the scores of ``B`` rows are trained on.

    One of three kinds: labelled samples (``labels``), each with an author of its own; a positive among the row's own
    candidates (``position`` alone); a positive in one pool that all rows share (``allowed``).
    """

    labels: torch.Tensor | None = None
    """(B, T) 1 or 0 of each of the model's tasks, negative where unknown; the first task's are known."""
    position: torch.Tensor | None = None
    """(B, 1 + M) which of the batch's authors a row's candidates are, the positive first; of a shared pool (B,), which
    of them is the positive."""
    allowed: torch.Tensor | None = None
    """(B, C) bool, false for a candidate that is another training item of the row's user."""
    log_expected: torch.Tensor | None = None
    """(C,) as :func:`~mmbee_plugin.modules.losses.log_expected_draws`; None leaves the scores uncorrected."""
    weights: torch.Tensor | None = None
    """(B,) loss weight of each row of a process that holds a part of a batch; 0 for padding. Over all processes they
    sum to the number of processes, since gradients are averaged over these. None weighs all rows alike."""
    task_weights: torch.Tensor | None = None
    """(B, T) the same for each task, over the rows in which its label is known; where T > 1 and there are weights."""


def distinct_moments(
    authors: torch.Tensor, segments: torch.Tensor | None, n_authors: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows that name each author and segment once, and which of these rows every row equals.

    Args:
        authors: (B,) ids below ``n_authors``.
        segments: (B,) rows of the authors' newest known segments, -1 for none; None where they do not matter.

    Shapes:
        - output: (C,) row numbers, and (B,) places among them
    """
    state = authors if segments is None else torch.where(segments >= 0, n_authors + segments, authors)
    states, place = state.unique(return_inverse=True)
    rows = torch.arange(len(authors), device=authors.device)
    return place.new_empty(len(states)).scatter_(0, place, rows), place
