"""What was before a day: the bundle that was served, and the day that training goes on from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmbee_plugin.daily.adapter import Adapter
from mmbee_plugin.daily.stages import read_record
from mmbee_plugin.logs.period import DAY, Period
from mmbee_plugin.serving.bundle.shelf import Shelf

BUNDLE, PUBLISH = "bundle", "publish"
"""stages whose records tell which bundle a day built, and that it was published or kept back"""


@dataclass(frozen=True)
class Base:
    """The day that training goes on from."""

    day: str
    bundle: str
    folder: Path
    """of its training"""
    cut: int
    """end of its training part, ms"""
    snapshot: str | None
    """key of its graph"""


def earlier_days(work: Path, day: str) -> list[Path]:
    """Folders of the days before one, the newest first."""
    return sorted((path for path in work.glob("????-??-??") if path.name < day), reverse=True)


def find_served(work: Path, day: str, shelf: Shelf) -> str | None:
    """The bundle that was served before a day: of the newest earlier day that was published and not rolled back, else
    the newest published one that is of no day from this one on. None if there is none."""
    for _, found in _published(work, day, shelf):
        return str(found["bundle"])
    pointer = shelf.current()
    if pointer is None:
        return None
    # Built is enough: a day that was killed between publishing and its record is none that was before.
    records = (read_record(path, BUNDLE) for path in work.glob("????-??-??") if path.name >= day)
    later = {record["result"]["bundle"] for record in records if record is not None}
    return next((one for one in (pointer.bundle, *reversed(pointer.previous)) if one not in later), None)


def find_base(
    work: Path, day: str, shelf: Shelf, adapter: Adapter, model: Mapping[str, Any], period: Period
) -> tuple[Base | None, str]:
    """The day to go on from, or None to train from nothing, and one line that says why.

    It is the newest earlier day whose bundle was published and not rolled back: what was kept back by the gate, or by
    somebody, is not built upon, and its rows are trained on again.

    Args:
        work: folder of the days.
        day: YYYY-MM-DD.
        model: settings of the day's training.
        period: of the day's samples, which have to reach back to the base's cut.
    """
    for folder, found in _published(work, day, shelf):
        base = Base(
            folder.name, found["bundle"], folder / found["trained"], found["cut"], found.get("snapshot")
        )
        why = _unfit(base, found, adapter, model, period)
        return (
            (base, f"goes on from {base.day}, bundle {base.bundle}")
            if why is None
            else (None, f"cold start: {why}")
        )
    return None, "cold start: no earlier day is served"


def _published(work: Path, day: str, shelf: Shelf) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Folders of earlier days whose bundle is or was served, the newest first, with the results of their records."""
    pointer = shelf.current()
    served = set() if pointer is None else {pointer.bundle, *pointer.previous}
    for folder in earlier_days(work, day):
        record = read_record(folder, PUBLISH)
        if record is not None and record["result"]["published"] and record["result"]["bundle"] in served:
            yield folder, record["result"]


def _unfit(
    base: Base, found: Mapping[str, Any], adapter: Adapter, model: Mapping[str, Any], period: Period
) -> str | None:
    """Why a day cannot be gone on from; None if it can."""
    if found["adapter"] != adapter.name:
        return f"{base.day} was trained by {found['adapter']}"
    if base.cut < period.start:
        return f"the window begins after the cut of {base.day}, the last served day"
    if (period.ends[0] - base.cut) % DAY:
        return f"the cut of {base.day} was at another time of day"
    why = adapter.unfit(base.folder, found["model"], model)
    return None if why is None else f"{base.day} {why}"
