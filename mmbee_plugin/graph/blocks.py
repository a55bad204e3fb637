"""Runs a compiled kernel over interleaved blocks of nodes, one thread per core."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def over_blocks(kernel: Callable[..., None], *arguments: object) -> None:
    """Calls ``kernel(first, step, *arguments)`` once per core, for the nodes first, first + step, ...

    The kernel must release the interpreter's lock (``nogil``) and write only to its own nodes. Plain threads, because
    numba's depend on a threading layer that forbids forks and nested use.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as pool:
        for call in [pool.submit(kernel, first, cores, *arguments) for first in range(cores)]:
            call.result()
