"""Content events of segments, and the rules by which events make an author's highlight.

An event occurs at the same rate in all rooms, but its meaning depends on the author: a highlight is one event, or a
picture and a speech event together, chosen by the author's type or for the author alone. Content alone therefore does
not reveal a highlight; content and author do.
"""

from __future__ import annotations

import numpy as np

TYPES = 8
COMMON = np.arange(0, 4)  # shown by all three modalities
PICTURE = np.arange(4, 7)  # this and the next two: shown by one modality
SPEECH = np.arange(7, 10)
COMMENT = np.arange(10, 13)
EVENTS = 13

# Events of conjunctions are more frequent, so that highlights of all types are about equally frequent.
SHARE = np.where(np.isin(np.arange(EVENTS), [*PICTURE, *SPEECH]), 0.35, 0.12)
STAYS = np.where(np.isin(np.arange(EVENTS), [*PICTURE, *SPEECH]), 5.0, 3.0)
"""(EVENTS,) share of the segments with each event, and its mean length in segments"""


def highlight_rules(
    rng: np.random.Generator,
    types: np.ndarray,
    own: np.ndarray,
    conjunction_types: int,
    comment_types: int,
) -> np.ndarray:
    """Draws the events that together make each author's highlight, (n, EVENTS) bool.

    Args:
        types: (n,) type of each author.
        own: (n,) bool, whether the author's rule differs from the type's; it stays of the same kind.
        conjunction_types: number of types whose rule is a picture and a speech event.
        comment_types: number of types whose rule is a comment event; the other types have a common event.
    """
    common_types = TYPES - conjunction_types - comment_types
    # A rule is an index into the list of its kind; an author's own rule is another index of that list.
    pairs = np.array([(picture, speech) for picture in PICTURE for speech in SPEECH])
    pairs = pairs[np.argsort((pairs[:, 1] - pairs[:, 0]) % 3, kind="stable")]  # first ones share no event
    common, comment = np.stack([COMMON, COMMON], axis=1), np.stack([COMMENT, COMMENT], axis=1)
    rules = np.zeros((len(types), EVENTS), dtype=bool)
    for first, last, kind in (
        (0, common_types, common),
        (common_types, common_types + conjunction_types, pairs),
        (common_types + conjunction_types, TYPES, comment),
    ):
        members = np.flatnonzero((types >= first) & (types < last))
        number = (types[members] - first) % len(kind)
        shift = rng.integers(1, len(kind), size=len(members))
        number = np.where(own[members], (number + shift) % len(kind), number)
        for event in kind[number].T:
            rules[members, event] = True
    return rules


def run_events(rng: np.random.Generator, lengths: np.ndarray) -> np.ndarray:
    """Draws events as stationary Markov chains of two states, (sum of lengths, EVENTS) bool, room after room.

    Args:
        lengths: (R,) segments of each room.
    """
    ends = 1 / STAYS
    begins = ends * SHARE / (1 - SHARE)
    longest = int(lengths.max(initial=0))
    on = np.empty((longest, len(lengths), EVENTS), dtype=bool)
    state = rng.random((len(lengths), EVENTS), dtype=np.float32) < SHARE
    for step in range(longest):
        on[step] = state
        draw = rng.random(state.shape, dtype=np.float32)
        state = np.where(state, draw >= ends, draw < begins)
    inside = np.arange(longest) < lengths[:, None]  # (R, longest)
    return on.transpose(1, 0, 2)[inside]
