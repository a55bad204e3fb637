"""Parts of a score (behaviours, metapaths, modalities, segments), and their removal from the tensors of a pair."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import torch

from mmbee_plugin.graph.metapaths import Metapath
from mmbee_plugin.graph.pools import pools_of
from mmbee_plugin.modules.batch import AuthorSide, UserSide
from mmbee_plugin.modules.gtr import GTRModel
from mmbee_plugin.modules.parts import INTERESTS

Side = TypeVar("Side", UserSide, AuthorSide)
BEHAVIOUR, WALK, MODALITY, SEGMENT = "behaviour", "long walk", "modality", "segment"


class Candidate(NamedTuple):
    """A part that can be left out of a score."""

    kind: str
    name: str
    leave_out: Callable[[UserSide, AuthorSide, int], None] | None
    """removes the part from one row of the sides, in place; None if the pair lacks the part."""


def repeated(side: Side, rows: int) -> Side:
    """Copies a side of one row to ``rows`` rows, each with memory of its own."""

    def copies(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: copies(one) for name, one in value.items()}
        return None if value is None else value.repeat(rows, *[1] * (value.dim() - 1))

    return replace(side, **{one.name: copies(getattr(side, one.name)) for one in fields(side)})


def behaviours(tokens: Sequence[str], moments: Sequence[str]) -> Iterator[Candidate]:
    """Candidates of a history: each behaviour, all behaviours to one author, and all of them.

    Args:
        tokens: (H,) authors, oldest first. moments: (H,) their times, as text.
    """
    length = len(tokens)
    if not length:
        yield Candidate(BEHAVIOUR, "of any kind", None)
    for place, (token, moment) in enumerate(zip(tokens, moments, strict=True)):
        kept = torch.arange(length) != place
        yield Candidate(BEHAVIOUR, f"{token}, {moment}", partial(_keep_behaviours, kept))
    for token in dict.fromkeys(tokens):
        kept = torch.tensor([other != token for other in tokens])
        if 0 < int(kept.sum()) < length - 1:
            name = f"{token}, all {length - int(kept.sum())}"
            yield Candidate(BEHAVIOUR, name, partial(_keep_behaviours, kept))
    if length > 1:
        kept = torch.zeros(length, dtype=torch.bool)
        yield Candidate(BEHAVIOUR, f"all {length}", partial(_keep_behaviours, kept))


def graph(gtr: GTRModel, user: UserSide, author: AuthorSide) -> Iterator[Candidate]:
    """Candidates of the graph: each list of neighbours that has a mean (of a metapath, or pooled over a side) or BDR's
    lists of peers, and the stored long walk from the user to the author."""
    settings = gtr.settings
    peers = INTERESTS[settings.interest].peer_paths
    names = settings.user_metapaths, settings.author_metapaths
    paths = [
        [path for path in peers if path.startswith(start)]
        or [pool.name for pool in pools_of([Metapath.parse(name) for name in means], settings.pooling)]
        for start, means in zip("ua", names, strict=True)
    ]
    sides: tuple[tuple[str, UserSide | AuthorSide], ...] = (
        ("user metapath", user),
        ("author metapath", author),
    )
    for which, (kind, side) in enumerate(sides):
        for number, name in enumerate(paths[which]):
            count = _list_length(side, number)
            shown = f"{name}, {count} neighbours" if count else name
            yield Candidate(kind, shown, partial(_empty_list, which, number) if count else None)
    if gtr.reach is not None:
        entry = _walk_entry(user, author)
        yield Candidate(
            WALK,
            f"to the author, entry {entry:.2g}" if entry else "to the author",
            _end_walk if entry else None,
        )


def content(author: AuthorSide, names: Sequence[str]) -> Iterator[Candidate]:
    """Candidates of the content: each modality, and each of several segments.

    Args:
        names: (L,) names of the segments, oldest first.
    """
    for modality, mask in author.segment_mask.items():
        yield Candidate(MODALITY, modality, partial(_hide_modality, modality) if mask.any() else None)
    if len(names) < 2 or not author.segment_mask:
        return
    present = torch.stack(list(author.segment_mask.values())).any(dim=0)[0]  # (L,)
    for place, (name, there) in enumerate(zip(names, present.tolist(), strict=True)):
        yield Candidate(SEGMENT, name, partial(_hide_segment, place) if there else None)


def _keep_behaviours(kept: torch.Tensor, user: UserSide, _: AuthorSide, row: int) -> None:
    count = int(kept.sum())
    for values in (user.history, user.history_gap, user.history_category):
        if values is not None:
            values[row, :count] = values[row, : len(kept)][kept]
    user.history[row, count:] = 0
    user.history_mask[row, count:] = False


def _list_length(side: UserSide | AuthorSide, number: int) -> int:
    if side.peer_weights is not None:
        return int((side.peer_weights > 0).sum())
    return 0 if side.neighbour_count is None else int(side.neighbour_count[0, number])


def _empty_list(which: int, number: int, user: UserSide, author: AuthorSide, row: int) -> None:
    side: UserSide | AuthorSide = user if which == 0 else author
    if side.peer_weights is not None:
        side.peer_weights[row] = 0
        return
    assert side.neighbours is not None and side.neighbour_count is not None
    side.neighbours[row, number] = 0
    side.neighbour_count[row, number] = 0
    if side.attributes is not None:
        side.attributes[row, number] = 0


def _walk_entry(user: UserSide, author: AuthorSide) -> float:
    """Weight of the author in the user's long-walk list, 0 if it is not there."""
    assert user.reach_ids is not None and user.reach_weights is not None and author.ids is not None
    return float(user.reach_weights[user.reach_ids == author.ids].sum())


def _end_walk(user: UserSide, _: AuthorSide, row: int) -> None:
    assert user.reach_weights is not None
    user.reach_weights[row] = 0


def _hide_modality(modality: str, _: UserSide, author: AuthorSide, row: int) -> None:
    author.segment_mask[modality][row] = False


def _hide_segment(place: int, _: UserSide, author: AuthorSide, row: int) -> None:
    for mask in author.segment_mask.values():
        mask[row, place] = False
