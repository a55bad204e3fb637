"""Starts a process of a job, and ends it in seconds where something fails; torch is imported by the job alone."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable

from mmbee_plugin.command import threads
from mmbee_plugin.command.entry import TRACEBACK, in_one_line

PATIENCE = 3.0
"""seconds in which rank 0 may be the one to say what is wrong."""


def run(main: Callable[[], None]) -> None:
    """Runs a process of a job and ends it where it fails, without waiting for the others; torchrun ends those.

    What the user can mend is one line and exit status 2, anything else a traceback and 1. Rank 0 tells at once, the
    others only if they still run after some seconds: mostly all processes find the same fault, or one that follows
    from that of rank 0.
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
