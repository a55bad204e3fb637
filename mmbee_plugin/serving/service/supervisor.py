"""Runs the processes of a service: starts them, restarts those that end by themselves, and ends all together."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess

from mmbee_plugin.command.parent import end_with
from mmbee_plugin.errors import InputError

GRACE = 30.0
"""seconds that processes have to end before they are killed"""
SHORT = 10.0
"""seconds of life below which a process is restarted later each time"""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""seconds between such a process's end and its restart"""
SET_NAME = 15
"""PR_SET_NAME of prctl(2)"""


@dataclass
class _Part:
    work: Callable[[], None]
    process: BaseProcess | None = None
    started: float = 0.0
    due: float = 0.0
    pause: float = FIRST_PAUSE


class Supervisor:
    """Processes by name, forked from this one, which must have no threads.

    Args:
        parts: name -> what the process does; it is expected to go on until SIGTERM.
        show: called with one line for a process that has ended.
    """

    def __init__(self, parts: Mapping[str, Callable[[], None]], show: Callable[[str], None]) -> None:
        self._parts = {name: _Part(work) for name, work in parts.items()}
        self._show = show

    def run(self) -> None:
        """Runs until SIGINT or SIGTERM, then ends all processes."""
        gc.collect()
        gc.freeze()  # what is imported is shared with the processes, as long as no collection writes to it
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            while True:
                self._start_due()
                running = [part for part in self._parts.values() if part.process is not None]
                due = [part.due for part in self._parts.values() if part.process is None]
                pause = max(0.0, min(due) - time.monotonic()) if due else None
                wait([part.process.sentinel for part in running if part.process], pause)
                self._note_ended()
        except KeyboardInterrupt:
            pass
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            self._end()
            signal.signal(signal.SIGTERM, before)

    def _start_due(self) -> None:
        now = time.monotonic()
        for name, part in self._parts.items():
            if part.process is None and part.due <= now:
                arguments = name, part.work, os.getpid(), self._show
                process = multiprocessing.get_context("fork").Process(target=_run, args=arguments, name=name)
                process.start()
                part.process, part.started = process, now

    def _note_ended(self) -> None:
        for name, part in self._parts.items():
            if part.process is not None and not part.process.is_alive():
                now = time.monotonic()
                part.pause = FIRST_PAUSE if now - part.started > SHORT else min(2 * part.pause, LONGEST_PAUSE)
                part.due = now + part.pause
                self._show(f"{name} ended ({_cause(part.process.exitcode)}); it starts again")
                part.process.close()
                part.process = None

    def _end(self) -> None:
        running = [part.process for part in self._parts.values() if part.process is not None]
        for process in running:
            process.terminate()
        end = time.monotonic() + GRACE
        for process in running:
            process.join(max(0.0, end - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()


def _run(name: str, work: Callable[[], None], parent: int, show: Callable[[str], None]) -> None:
    ctypes.CDLL(None).prctl(SET_NAME, f"mmbee {name}".encode())  # for ps and top
    if not end_with(parent):
        return
    try:
        work()
    except KeyboardInterrupt:
        pass
    except InputError as error:
        show(str(error))
        sys.exit(1)


def _cause(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit status {code}"
