"""The content events, which modalities show them, and which of them are an author's highlight.

Every event comes and goes at the same rate in every room, whatever the author's type. What it means differs: an
author's highlight is one event, or a picture and a speech event at the same time, and which one is given by his type
or is his own. So a picture alone does not tell a highlight; the picture and the author do.
"""

from __future__ import annotations

import numpy as np

TYPES = 8
COMMON = np.arange(0, 4)  # shown by all three modalities
PICTURE = np.arange(4, 7)  # shown by one modality each
SPEECH = np.arange(7, 10)
COMMENT = np.arange(10, 13)
EVENTS = 13

# In conjunctions both events are frequent, so that the highlights of all types are about as frequent.
SHARE = np.where(np.isin(np.arange(EVENTS), [*PICTURE, *SPEECH]), 0.35, 0.12)
STAYS = np.where(np.isin(np.arange(EVENTS), [*PICTURE, *SPEECH]), 5.0, 3.0)
"""(EVENTS,) share of the segments with the event, and for how many segments it stays on average."""


def highlight_rules(
    rng: np.random.Generator,
    types: np.ndarray,
    own: np.ndarray,
    conjunction_types: int,
    comment_types: int,
) -> np.ndarray:
    """Which events must come together to make each author's highlight.

    Args:
        types: (n,) type of each author. own: (n,) bool, whether his rule is another than his type's.
        conjunction_types, comment_types: how many types have rules of these kinds; the others' events are common.

    Returns:
        (n, EVENTS) bool: a segment is a highlight when all marked events are on. An author's own rule is of the
        kind of his type's.
    """
    common_types = TYPES - conjunction_types - comment_types
    # A rule is a number into its kind's list; an own rule is a different number of the same list.
    pairs = np.array([(picture, speech) for picture in PICTURE for speech in SPEECH])
    pairs = pairs[np.argsort((pairs[:, 1] - pairs[:, 0]) % 3, kind="stable")]  # the first ones share no event
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
    """Every event as a Markov chain of two states, in its long-run balance from the first segment on.

    Args:
        lengths: (R,) segments of each room.

    Returns:
        (sum of lengths, EVENTS) bool, room after room.
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
