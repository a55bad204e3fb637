"""Runs a command; errors that the user can fix are one line on stderr and exit status 2.

These are invalid input, a library that is not installed, a file that cannot be read or written, and RecBole's errors
about settings or data. Any other error is a bug of this package and keeps its traceback; with ``MMBEE_TRACEBACK`` set,
all do.
"""

from __future__ import annotations

import importlib
import linecache
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from mmbee_plugin.command import threads
from mmbee_plugin.command.extras import installed, missing
from mmbee_plugin.errors import InputError

TRACEBACK = "MMBEE_TRACEBACK"
HINT = f"{TRACEBACK}=1 shows the traceback"
IN_LIBRARIES: tuple[tuple[type[Warning], str], ...] = (
    (DeprecationWarning, r"torch\.jit"),  # torch.jit.script, which torch_geometric calls
    (DeprecationWarning, r"numpy\._core"),  # a tensor that RecBole gives to NumPy 2
    (FutureWarning, r"torch\.cuda"),  # pynvml, which torch imports
    (UserWarning, r"hyperopt"),  # pkg_resources, which hyperopt imports
)
"""(category, module) of warnings that libraries cause in each other and users cannot fix"""


def start(module: str) -> int:
    """Chooses the threads, imports a module, runs its ``main()`` and returns the exit status.

    A library missing during the import is one line too.
    """
    threads.choose()
    status = 0

    def run() -> None:
        nonlocal status
        status = importlib.import_module(module).main() or 0

    return exit_status(run) or status


def exit_status(command: Callable[[], object]) -> int:
    """Runs ``command`` without :data:`IN_LIBRARIES` and returns 0, 2 after one line on stderr, or 130 when interrupted.

    Raises:
        Exception: an error that the user cannot fix.
    """
    try:
        with warnings.catch_warnings():
            for category, of_module in IN_LIBRARIES:
                warnings.filterwarnings("ignore", category=category, module=of_module)
            command()
    except KeyboardInterrupt as interrupt:
        sys.stderr.write(f"interrupted; {interrupt}\n" if str(interrupt) else "interrupted\n")
        return 130
    except Exception as error:
        line = in_one_line(error)
        if line is None:
            raise
        if os.environ.get(TRACEBACK):
            traceback.print_exc()
        sys.stderr.write(f"error: {line}\n")
        return 2
    return 0


def in_one_line(error: Exception) -> str | None:
    """The line to print for an error that the user can fix; None for any other."""
    if isinstance(error, InputError):
        return _joined(error)
    if isinstance(error, ModuleNotFoundError) and error.name:
        module = error.name.partition(".")[0]
        ours = module in (*sys.stdlib_module_names, "mmbee_plugin") or installed(module)
        return None if ours else str(missing(module))
    if isinstance(error, OSError) and error.strerror:
        named = f"{error.filename}: " if error.filename else ""
        return f"{named}{error.strerror}; {HINT}"
    place = _place_in_recbole(error.__traceback__)
    if place is None:
        return None
    file, line = place
    settings = dict.fromkeys(re.findall(r"config\[[\"'](\w+)[\"']\]", linecache.getline(file, line)))
    named = f"setting {', '.join(settings)}: " if settings else ""
    where = Path(file).relative_to(Path(file.rpartition("/recbole/")[0]))
    said = _joined(error) or "no reason given"
    return f"{named}RecBole does not take it: {type(error).__name__}: {said} ({where}, line {line}); {HINT}"


def _joined(error: Exception) -> str:
    # A KeyError's text is the key in quotes.
    return " ".join(str(error.args[0] if isinstance(error, KeyError) and error.args else error).split())


def _place_in_recbole(frames: TracebackType | None) -> tuple[str, int] | None:
    """File and line in RecBole that raised the error, itself or in a library it called; None if this package did."""
    place = None
    while frames is not None:
        package = frames.tb_frame.f_globals.get("__name__", "").partition(".")[0]
        if package == "recbole":
            place = frames.tb_frame.f_code.co_filename, frames.tb_lineno
        elif package == "mmbee_plugin":
            place = None
        frames = frames.tb_next
    return place
