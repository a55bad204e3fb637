"""Makes the parts of a snapshot by processes on one machine."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from signal import Signals

from mmbee_plugin.command import children, threads
from mmbee_plugin.errors import InputError, one_line
from mmbee_plugin.files import locked
from mmbee_plugin.graph.build import stored
from mmbee_plugin.graph.inputs import Inputs
from mmbee_plugin.graph.parts.folder import Parts
from mmbee_plugin.graph.parts.merge import merge
from mmbee_plugin.graph.parts.part import make_part
from mmbee_plugin.graph.snapshot import Snapshot


def build_by_workers(
    inputs: Inputs, root: Path, progress: Callable[[str], None] | None = None, *, workers: int
) -> Snapshot:
    """Opens the snapshot of these inputs; if it is not there, makes it in as many parts as there are workers.

    Args:
        inputs: of the snapshot.
        root: folder of the snapshots.
        progress: called with each stage's name and the part that it is of, as it starts.
        workers: processes, each of which makes a part; they share the threads.

    Raises:
        InputError: a worker was killed or could not go on; what is finished is kept, and the same call goes on.
    """
    if stored(inputs, root) is None:
        parts = Parts.create(inputs, root, workers)
        with locked(parts.path / "locks" / "workers", "other workers are making these parts"):
            _run(parts, progress or (lambda stage: None))
    return merge(inputs, root, progress, workers)


def _run(parts: Parts, show: Callable[[str], None]) -> None:
    # Workers are forked from a process that has imported what they need, and nothing else.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", __name__])
    each = max(1, threads.count() // parts.n_parts)
    running: dict[Connection, tuple[int, BaseProcess]] = {}
    failures = {}
    try:
        for part in range(parts.n_parts):
            ours, theirs = context.Pipe(duplex=False)
            process: BaseProcess = context.Process(
                target=_work, args=(parts.path, part, each, theirs), daemon=True
            )
            process.start()
            theirs.close()
            running[ours] = part, process
        while running:
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                part, process = running[ready]
                try:
                    failed, said = ready.recv()
                except (EOFError, OSError):
                    del running[ready]
                    process.join()
                    if process.exitcode and part not in failures:
                        failures[part] = _ended(process.exitcode)
                    continue
                if failed:
                    failures[part] = said
                show(f"part {part + 1}: {said}")
    finally:
        for _, process in running.values():
            process.terminate()
    if failures:
        part, why = min(failures.items())
        raise InputError(
            f"part {part + 1} of {parts.n_parts} {why}; what is finished is kept, the same command goes on"
        )


def _work(path: Path, part: int, n_threads: int, driver: Connection) -> None:
    children.begin()
    os.environ[threads.COUNT] = str(n_threads)

    def show(stage: str) -> None:
        with suppress(BrokenPipeError):
            driver.send((False, stage))

    try:
        make_part(Parts.open(path), part, show)
    except (InputError, OSError, MemoryError) as error:
        driver.send((True, f"stopped: {one_line(error)}"))
        raise SystemExit(2) from None


def _ended(code: int) -> str:
    if code < 0:
        return f"was ended by {Signals(-code).name}, if not by you probably for lack of memory"
    return f"ended with status {code}"
