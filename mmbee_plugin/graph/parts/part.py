"""One process's part: its block of every step, and what it waits for."""

from __future__ import annotations

import time
from collections.abc import Callable, Container

from mmbee_plugin.files import lock_if_free, locked
from mmbee_plugin.graph.parts.folder import Parts

_PAUSE = 0.2
"""seconds between looks at blocks that other processes make"""


def make_part(parts: Parts, part: int, progress: Callable[[str], None] | None = None) -> None:
    """Makes block ``part`` (from 0) of every step, unless it is there.

    Before a step that reads others, blocks of those which nobody is making are made here too, and those which another
    process is making are waited for: parts may run side by side or one after the other, and a part that never comes
    holds up none.

    Raises:
        InputError: another process makes this part, or the folder cannot be written.
    """
    show = progress or (lambda stage: None)
    complaint = f"part {part + 1} of {parts.n_parts} is being made by another process"
    with locked(parts.path / "locks" / f"part-{part}", complaint):
        for step in parts.steps:
            for needed in parts.needs(step):
                _complete(parts, needed, range(parts.n_parts), show)
            parts.prepare(step, show)
            _complete(parts, step, [part], show)


def _complete(parts: Parts, step: str, wanted: Container[int], show: Callable[[str], None]) -> None:
    """Makes the wanted blocks of a step that are missing, or waits for them."""
    waits = False
    while missing := [block for block in parts.missing(step) if block in wanted]:
        for block in missing:
            with lock_if_free(parts.lock_of_block(step, block)) as free:
                if free:
                    _make(parts, step, block, show)
                    break
        else:
            if not waits:
                show(f"{step}: waits for part {', '.join(str(block + 1) for block in missing)}")
            waits = True
            time.sleep(_PAUSE)


def _make(parts: Parts, step: str, block: int, show: Callable[[str], None]) -> None:
    """Makes a block, whose lock is held, unless it is there by now."""
    if block in parts.missing(step):
        parts.sweep(step, block)
        of = f", {block + 1} of {parts.n_parts}"
        parts.keep(step, block, parts.make(step, block, lambda stage: show(stage + of)))
