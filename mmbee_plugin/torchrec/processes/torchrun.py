"""Runs torchrun in this process, so that a failed job ends with its own error line.

torchrun reports a failed process in some forty lines of its own, a traceback of itself among them, after the line that
says what is wrong; here they are left out, unless the environment sets torchrun's own ``LOGLEVEL``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence


def torchrun(arguments: Sequence[str]) -> int:
    """Runs torchrun with its command line and returns the exit status of the process that failed first, else 0."""
    # Some of torchrun's loggers take their level from LOGLEVEL when imported, the others that of their package.
    level = os.environ.setdefault("LOGLEVEL", "CRITICAL")
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main

    logging.getLogger("torch.distributed").setLevel(level)
    try:
        main(list(arguments))
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        return failure.exitcode
    return 0
