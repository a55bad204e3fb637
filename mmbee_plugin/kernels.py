"""Functions compiled by Numba, whose machine code is kept for later processes where a folder can be written."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache

from mmbee_plugin.errors import one_line

logger = logging.getLogger(__name__)


def kernel(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compiles a function for the types it is first called with; it runs without the interpreter's lock.

    The machine code is kept beside the source, else in the user's cache folder; ``NUMBA_CACHE_DIR`` names another.
    Where none can be written, or the disk is full, each process compiles it again.

    Args:
        options: of ``numba.njit``, other than ``nogil`` and ``cache``.
    """

    def compiled(function: Callable[..., Any]) -> Any:
        made = njit(nogil=True, **options)(function)
        with suppress(RuntimeError):  # no folder can be written
            made._cache = _Kept(function)
        return made

    return compiled


class _Kept(FunctionCache):
    """Numba's files of a function's machine code, without which the function works as well."""

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keeps the code for one signature, unless it cannot be written."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            self.disable()
            _complain(self.cache_path, one_line(error))


@cache
def _complain(folder: str, reason: str) -> None:
    """Warns once of a folder, however many functions are compiled."""
    logger.warning(
        "%s: compiled code cannot be kept (%s): each process compiles it again; NUMBA_CACHE_DIR names another folder",
        folder,
        reason,
    )
