"""A batch as tensors, the same for every data source: user side, author side and training targets.

Adapters look ids up in their tables (``nn.Embedding`` or sharded ones) and fill these classes. Letters: ``B`` rows,
``H`` history length, ``P`` means over a side's neighbours (one per metapath, or a single one), ``K`` neighbours of a
list, ``N`` query tokens, ``L`` live segments (1 for static items), ``F`` frames a segment, ``d`` model width, ``D``
width of a raw feature. Nothing is validated here: the classes are built inside traced code.

Where tables are looked up after the rest of a batch, their vectors (width d) are None until then; ``history`` and
``author`` have width 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch


@dataclass
class UserSide:
    """Inputs of ``B`` users."""

    user: torch.Tensor | None
    """(B, d) id vectors; None for a model without user ids, which reads history and neighbours only."""
    history: torch.Tensor
    """(B, H, d) vectors of the authors gifted before, oldest first; from the same table as ``AuthorSide.author``."""
    history_mask: torch.Tensor
    """(B, H) bool, false for padding."""
    history_gap: torch.Tensor | None = None
    """(B, H) int64 bucket of the time between a behaviour and the request."""
    history_category: torch.Tensor | None = None
    """(B, H) int64 categories of the behaviours' authors, 0 where unknown; None without a search by category."""
    neighbours: torch.Tensor | None = None
    """(B, P, d) means of neighbours' node vectors, plain or weighted by scores; zero without neighbours."""
    neighbour_count: torch.Tensor | None = None
    """(B, P) number of neighbours in each mean."""
    attributes: torch.Tensor | None = None
    """(B, P, D) means of the neighbours' content attributes; missing ones, and those of users, count as zero."""
    peers: torch.Tensor | None = None
    """(B, K, d) id vectors of the most similar users, from the same table as ``user``."""
    peer_weights: torch.Tensor | None = None
    """(B, K) their similarity; 0 for padding."""
    reach_ids: torch.Tensor | None = None
    """(B, K) int64 ids of the authors in the user's long-walk list, ascending; padding has the largest id."""
    reach_weights: torch.Tensor | None = None
    """(B, K) their walk probabilities, or lifts under ``reach_lift``; with visits, above minus ``reach_floor``."""


@dataclass
class AuthorSide:
    """Inputs of ``B`` authors at the moment of scoring."""

    author: torch.Tensor
    """(B, d) id vectors."""
    ids: torch.Tensor | None = None
    """(B,) int64 ids in the numbering of ``UserSide.reach_ids``."""
    category: torch.Tensor | None = None
    """(B,) int64 categories in the numbering of ``UserSide.history_category``."""
    queries: torch.Tensor | None = None
    """(B, N, d) the author's own query tokens."""
    seen: torch.Tensor | None = None
    """(B,) bool, false for an author without a training sample; shared defaults replace its rows."""
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
    """(B, K, d) id vectors of the most similar authors, from the same table as ``author``."""
    peer_weights: torch.Tensor | None = None
    """(B, K) as on the user's side."""


@dataclass
class Targets:
    """Training targets of ``B`` rows.

    One of three kinds: labelled samples, each with its own author (``labels``); a positive among each row's own
    candidates (``position`` alone); a positive in one pool that all rows share (``allowed``).
    """

    labels: torch.Tensor | None = None
    """(B, T) labels 0 or 1 of each task, negative where unknown; those of the first task are always known."""
    position: torch.Tensor | None = None
    """(B, 1 + M) indices of a row's candidates among the authors, the positive first; (B,) the positive in a shared
    pool."""
    allowed: torch.Tensor | None = None
    """(B, C) bool, false for candidates that are other training items of the row's user."""
    log_expected: torch.Tensor | None = None
    """(C,) see :func:`~mmbee_plugin.modules.losses.log_expected_draws`; None leaves the scores uncorrected."""
    weights: torch.Tensor | None = None
    """(B,) loss weight of each row where a process holds a part of a batch; 0 for padding. Over all processes they sum
    to the number of processes, since gradients are averaged over processes. None weighs all rows alike."""
    task_weights: torch.Tensor | None = None
    """(B, T) the same for each task, over the rows with a known label; only with ``weights`` and T > 1."""


def distinct_moments(
    authors: torch.Tensor, segments: torch.Tensor | None, n_authors: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Deduplicates the (author, newest segment) pairs of a batch.

    Args:
        authors: (B,) ids below ``n_authors``.
        segments: (B,) rows of the authors' newest known segments, -1 for none; None where they do not matter.

    Shapes:
        - output: (C,) one row number per distinct pair, and (B,) index of each row's pair among these
    """
    state = authors if segments is None else torch.where(segments >= 0, n_authors + segments, authors)
    states, place = state.unique(return_inverse=True)
    rows = torch.arange(len(authors), device=authors.device)
    return place.new_empty(len(states)).scatter_(0, place, rows), place
