"""Large counts on a command line."""

from __future__ import annotations

import math

from mmbee_plugin.errors import InputError


def parse_count(text: str) -> int:
    """1e9, 10_000_000 -> an integer of at least 1; raises InputError for anything else."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 1 or number != int(number):
        raise InputError(f"{text!r} is no count; write for instance 1e9")
    return int(number)
