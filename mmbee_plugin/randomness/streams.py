"""Where a job's random numbers come from: a stream for each purpose, by the seed and by the place in the run.

No two purposes share a stream, and none depends on the number of processes but the one that says so. What GraphCL draws
has its seeds in :class:`mmbee_plugin.offline.node_vectors.Draws`, and the tables' first rows theirs in
:mod:`~mmbee_plugin.torchrec.sharded.initial`.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What is drawn, and by which numbers its place is known."""

    WEIGHTS = 1
    """of the dense part, before the first step"""
    GROUPS = 2
    """order of the row groups; epoch"""
    WINDOW = 3
    """order of the rows of a window; epoch, its first group"""
    NEGATIVES = 4
    """authors; epoch, batch, attempt"""
    STAND_INS = 5
    """who reads the row of an unseen one; epoch, batch"""
    STEP = 6
    """dropout and the like; step, rank"""


def stream(purpose: Purpose, seed: int, *place: int) -> np.random.Generator:
    """The random numbers of a purpose at a place."""
    return np.random.default_rng((int(purpose), seed, *place))


def key(purpose: Purpose, seed: int, *place: int) -> int:
    """64 bits in place of a stream: for :func:`~mmbee_plugin.randomness.mixing.mix`, or to seed torch."""
    sequence = np.random.SeedSequence((int(purpose), seed, *place))
    return int(sequence.generate_state(1, np.uint64)[0])
