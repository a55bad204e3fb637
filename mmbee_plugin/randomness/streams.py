"""Random streams of a TorchRec job, one for each purpose, seed and position in the run.

No two purposes share a stream, and only that of STEP depends on the rank. GraphCL's seeds are in
:class:`mmbee_plugin.offline.node_vectors.Draws`, those of the tables' initial rows in
:mod:`~mmbee_plugin.torchrec.sharded.initial`.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What is drawn; after the semicolon, the numbers that give the position."""

    WEIGHTS = 1
    """initial dense weights"""
    GROUPS = 2
    """order of the row groups; epoch"""
    WINDOW = 3
    """order of the rows of a window; epoch, its first group"""
    NEGATIVES = 4
    """negative authors; epoch, batch, attempt"""
    STAND_INS = 5
    """users and authors whose rows are replaced by the row of unseen ones; epoch, batch"""
    STEP = 6
    """dropout and the like; step, rank"""


def stream(purpose: Purpose, seed: int, *place: int) -> np.random.Generator:
    """Generator of a purpose at a position."""
    return np.random.default_rng((int(purpose), seed, *place))


def key(purpose: Purpose, seed: int, *place: int) -> int:
    """64-bit key of a purpose at a position, for :func:`~mmbee_plugin.randomness.mixing.mix` or to seed torch."""
    sequence = np.random.SeedSequence((int(purpose), seed, *place))
    return int(sequence.generate_state(1, np.uint64)[0])
