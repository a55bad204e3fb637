"""One process's part: its block of every step, and what it waits for."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Mapping
from itertools import takewhile

from mmbee_plugin.command.time_left import TimeLeft
from mmbee_plugin.files import lock_if_free, locked
from mmbee_plugin.graph.parts.folder import Parts
from mmbee_plugin.graph.parts.steps import Gifts, Lists, Product, Step
from mmbee_plugin.graph.remaining import works_of

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
        left = _time_left(parts, part)

        def told(stage: str) -> None:
            show(left.beside(stage))

        for place, step in enumerate(parts.steps):
            for needed in parts.needs(step):
                _complete(parts, needed, range(parts.n_parts), told)
            parts.prepare(step, told)
            _complete(parts, step, [part], told)
            if place == left.done:
                left.step()


def _time_left(parts: Parts, part: int) -> TimeLeft:
    """Of a part's steps, of which the first may be made already."""

    def made(name: str) -> bool:
        return parts.is_joined(name) or (parts.is_prepared(name) and part not in parts.missing(name))

    graphs = {fold: parts.graph(fold) for fold in parts.graphs}
    near = graphs[None].near
    width = 0 if near is None else len(near.units)
    predicted = {
        fold: works_of(graph.seen, graph.settings, content_width=width) for fold, graph in graphs.items()
    }
    steps = [parts.step(name) for name in parts.steps]
    works = [_work(step, predicted[step.fold], parts.n_parts) for step in steps]
    there = len(list(takewhile(made, parts.steps)))
    return TimeLeft(len(works), "steps", there, works)


def _work(step: Step, predicted: Mapping[str, float], n_parts: int) -> float:
    """Predicted work of one of a step's blocks, as of `works_of`."""
    if isinstance(step, Gifts):  # made whole, while the other parts wait
        return predicted["gifts"]
    if isinstance(step, Lists):
        return sum(predicted[name] for name in step.paths) / n_parts
    return predicted.get("product" if isinstance(step, Product) else step.kind, 0.0) / n_parts


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
