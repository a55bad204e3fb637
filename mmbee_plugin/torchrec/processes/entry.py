"""Runs a process of a job and ends it within seconds of a failure; only the job itself imports torch."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable

from mmbee_plugin.command import threads
from mmbee_plugin.command.entry import TRACEBACK, in_one_line

PATIENCE = 3.0
"""seconds that other ranks wait before they report a failure, which rank 0 has mostly reported by then."""


def run(main: Callable[[], None]) -> None:
    """Runs a process of a job; on failure exits without waiting for the other processes, which torchrun ends.

    Errors that the user can correct print one line and exit with status 2, others print a traceback and exit with 1; an
    interrupt exits with 130. Rank 0 reports at once, the others after `PATIENCE`, if torchrun has not ended them.
    """
    threads.choose()
    try:
        main()
        return
    except KeyboardInterrupt:
        status, line = 130, None
    except Exception as error:
        rank = int(os.environ.get("RANK", 0))
        if rank:
            time.sleep(PATIENCE)
        line = in_one_line(error)
        if line is None or os.environ.get(TRACEBACK):
            traceback.print_exc()
        if line is not None:
            print(f"error: {f'process {rank}: ' if rank else ''}{line}", file=sys.stderr)
        status = 1 if line is None else 2
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
