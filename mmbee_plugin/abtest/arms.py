"""Arms of a test, and which arm a user is in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.sheet import BEST
from mmbee_plugin.tables.rows import FULL, make_table

MODEL, PLANTED, RANDOM = "model", "planted", "random"
"""what ranks rooms: a trained and served model, the planted chance of a gift, chance"""


@dataclass(frozen=True)
class Arm:
    """A ranking that users are assigned to."""

    name: str
    ranks: str
    """:data:`MODEL`, :data:`PLANTED` or :data:`RANDOM`."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """of the model, over the dataset's."""


def again(control: str) -> str:
    """Name of the A/A arm."""
    return f"A/A: {control} again"


def arms_of(names: Sequence[str]) -> tuple[Arm, ...]:
    """The arms with these names, the first one the control; then the control again (A/A) and the best possible.

    Names are SIM, MMBee, other rows of the paper's Table 2 (such as ``SIM+GIE``), and ``random``.

    Raises:
        InputError: an unknown name, one name twice, or fewer than two.
    """
    rows = {row.name: row.settings for row in make_table(2, (), ()).rows if not row.keeps} | {"MMBee": FULL}
    for name in names:
        if name not in rows and name != RANDOM:
            raise InputError(f"arm {name!r} is unknown; known: {', '.join(['MMBee', *rows, RANDOM])}")
    if len(set(names)) != len(names) or len(names) < 2:
        raise InputError(f"--arms {','.join(names)}: a control and other arms are needed, each once")
    chosen = [Arm(name, RANDOM) if name == RANDOM else Arm(name, MODEL, rows[name]) for name in names]
    control = chosen[0]
    return (*chosen, Arm(again(control.name), control.ranks, control.settings), Arm(BEST, PLANTED))


def assigned(users: Sequence[str], seed: int, arms: int) -> NDArray[np.int64]:
    """(n,) number of each user's arm, a hash of the user's id and the seed; other users have no say in it."""
    keys = (f"{seed}\0{user}".encode() for user in users)
    hashed = (int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little") for key in keys)
    return np.fromiter((each % arms for each in hashed), dtype=np.int64, count=len(users))
