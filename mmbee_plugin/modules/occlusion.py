"""Occlusion: how far a pair's logits fall when one behaviour, metapath, modality or segment is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, NamedTuple, TypeVar

import torch

from mmbee_plugin.modules.batch import AuthorSide, UserSide
from mmbee_plugin.modules.gtr import EncodedAuthor, GTRModel
from mmbee_plugin.modules.parts import INTERESTS
from mmbee_plugin.moments import clock

Side = TypeVar("Side", UserSide, AuthorSide)
BEHAVIOUR, WALK, MODALITY, SEGMENT = "behaviour", "long walk", "modality", "segment"
USER_LISTS, AUTHOR_LISTS = "user metapath", "author metapath"


class Candidate(NamedTuple):
    """A part that can be left out of a score."""

    kind: str
    name: str
    leave_out: Callable[[UserSide, Any, int], None] | None
    """removes the part from one row of the sides, in place; None if the pair lacks the part."""


@dataclass(frozen=True)
class Fall:
    """A part that was left out.

    Attributes:
        falls: (T,) by task the full logit minus the logit without this part; negative if the logit rises.
    """

    kind: str
    name: str
    falls: tuple[float, ...]


@dataclass(frozen=True)
class Occluded:
    """A pair's logits, and their fall without each part.

    Attributes:
        logits: (T,) with all parts.
        falls: by descending absolute fall of the first task.
        absent: parts that the model reads but this pair lacks.
    """

    logits: tuple[float, ...]
    falls: tuple[Fall, ...]
    absent: tuple[str, ...]


def occlude(
    gtr: GTRModel, user: UserSide, author: AuthorSide | EncodedAuthor, candidates: Iterable[Candidate]
) -> Occluded:
    """Scores a pair with all parts, and without each.

    Without a behaviour the history is one shorter, without a metapath its list is empty, without a modality or segment
    its tokens are placeholders: all of these occur in training.

    Args:
        user: of one row.
        author: of one row; an encoded one has no parts to leave out.
        candidates: from `behaviours`, `graph` and `content`.
    """
    every = list(candidates)
    present = [one for one in every if one.leave_out is not None]
    rows = 1 + len(present)
    user = _repeated(user, rows)
    if isinstance(author, AuthorSide):
        author = _repeated(author, rows)
    for row, one in enumerate(present, start=1):
        assert one.leave_out is not None
        one.leave_out(user, author, row)
    encoded = author if isinstance(author, EncodedAuthor) else gtr.encode_author(author)
    full, *without = gtr.score_tasks(gtr.encode_user(user), encoded.unsqueeze(1)).squeeze(1).tolist()
    falls = [
        Fall(one.kind, one.name, tuple(whole - left for whole, left in zip(full, logits, strict=True)))
        for one, logits in zip(present, without, strict=True)
    ]
    return Occluded(
        tuple(full),
        tuple(sorted(falls, key=lambda fall: -abs(fall.falls[0]))),
        tuple(f"{one.kind} {one.name}" for one in every if one.leave_out is None),
    )


def behaviours(tokens: Sequence[str], times: Sequence[float] | None) -> Iterator[Candidate]:
    """Candidates of a history: each behaviour, all behaviours to one author, and all of them.

    Args:
        tokens: (H,) authors, oldest first.
        times: (H,) seconds since 1970; None for data without time, where positions name the behaviours.
    """
    length = len(tokens)
    moments = (
        [f"{place} of {length}" for place in range(1, length + 1)] if times is None else map(clock, times)
    )
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


def graph(gtr: GTRModel, user: UserSide, author: AuthorSide | EncodedAuthor) -> Iterator[Candidate]:
    """Candidates of the graph: each list of neighbours that has a mean (of a metapath, or pooled over a side) or BDR's
    lists of peers, and the stored long walk from the user to the author. An encoded author has no lists."""
    sides: list[tuple[str, str, UserSide | AuthorSide]] = [(USER_LISTS, "u", user)]
    if isinstance(author, AuthorSide):
        sides.append((AUTHOR_LISTS, "a", author))
    for which, (kind, start, side) in enumerate(sides):
        for number, name in enumerate(_lists_of(gtr, start)):
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


def content(author: AuthorSide, starts: Sequence[float | None]) -> Iterator[Candidate]:
    """Candidates of the content: each modality, and each of several segments.

    Args:
        starts: (L,) of the segments in seconds since 1970, oldest first, None for none; empty for static items.
    """
    for modality, mask in author.segment_mask.items():
        yield Candidate(MODALITY, modality, partial(_hide_modality, modality) if mask.any() else None)
    if len(starts) < 2 or not author.segment_mask:
        return
    names = [
        f"{len(starts) - place} before" if one is None else clock(one) for place, one in enumerate(starts)
    ]
    names[-1] += " (newest)"
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


def _lists_of(gtr: GTRModel, start: str) -> tuple[str, ...]:
    """Names of the lists that the model reads of a side (``u`` or ``a``), in the order of the tensors."""
    settings = gtr.settings
    peers = tuple(path for path in INTERESTS[settings.interest].peer_paths if path.startswith(start))
    means = settings.user_metapaths if start == "u" else settings.author_metapaths
    return peers or (("+".join(means),) if settings.pooling == "set" and means else means)


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


def _walk_entry(user: UserSide, author: AuthorSide | EncodedAuthor) -> float:
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


def _repeated(side: Side, rows: int) -> Side:
    """Copies a side of one row to ``rows`` rows, each with memory of its own."""

    def copies(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: copies(one) for name, one in value.items()}
        return None if value is None else value.repeat(rows, *[1] * (value.dim() - 1))

    return replace(side, **{one.name: copies(getattr(side, one.name)) for one in fields(side)})
