"""Runs a compiled kernel over interleaved blocks of nodes in threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from mmbee_plugin.command import threads


def over_blocks(kernel: Callable[..., None], *arguments: object) -> None:
    """Calls ``kernel(first, step, *arguments)`` once per thread, for the nodes first, first + step, ...

    The kernel must release the interpreter's lock (``nogil``) and write only to its own nodes. Plain threads, because
    numba's depend on a threading layer that forbids forks and nested use.
    """
    count = threads.count()
    if count == 1:
        kernel(0, 1, *arguments)
        return
    with ThreadPoolExecutor(count) as pool:
        for call in [pool.submit(kernel, first, count, *arguments) for first in range(count)]:
            call.result()
