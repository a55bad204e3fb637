"""Runs a compiled kernel over interleaved blocks of nodes, one thread per core."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def over_blocks(kernel: Callable[..., None], *arguments: object) -> None:
    """Calls ``kernel(first, step, *arguments)`` once per core; a call does the nodes first, first + step, ...

    The kernel must be free of the interpreter's lock (``nogil``) and write only what belongs to its nodes.
    Plain threads and not numba's own: those depend on a threading layer which forbids forks and nested use.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as pool:
        for call in [pool.submit(kernel, first, cores, *arguments) for first in range(cores)]:
            call.result()
