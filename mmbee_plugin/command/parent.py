"""A process that ends when the one that started it is gone."""

from __future__ import annotations

import ctypes
import os
import signal

SET_DEATH_SIGNAL = 1
"""PR_SET_PDEATHSIG of prctl(2)"""


def end_with(parent: int) -> bool:
    """Has the kernel send this process SIGTERM when its parent ends, even by SIGKILL.

    Args:
        parent: process id. Its thread that started this process counts as the parent.

    Returns:
        whether the parent still runs; if not, no signal will come.
    """
    ctypes.CDLL(None).prctl(SET_DEATH_SIGNAL, signal.SIGTERM)
    return os.getppid() == parent
