"""What a day goes on from: the newest earlier day whose bundle was published and not rolled back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmbee_plugin.daily.stages import read_record
from mmbee_plugin.logs.period import DAY, Period
from mmbee_plugin.serving.bundle.shelf import Shelf


@dataclass(frozen=True)
class Base:
    """The day that training goes on from."""

    day: str
    bundle: str
    folder: Path
    """of its training"""
    cut: int
    """end of its training part, ms"""


def find_base(
    work: Path, day: str, shelf: Shelf, adapter: str, shared: Mapping[str, Any], period: Period
) -> tuple[Base | None, str]:
    """The day to go on from, or None to train from nothing, and one line that says why.

    Args:
        work: folder of the days. day: YYYY-MM-DD.
        shared: settings that both models must have alike.
        period: of the day's samples, which have to reach back to the base's cut.
    """
    pointer = shelf.current()
    served = set() if pointer is None else {pointer.bundle, *pointer.previous}
    earlier = sorted((path for path in work.glob("????-??-??") if path.name < day), reverse=True)
    for folder in earlier:
        record = read_record(folder, "publish")
        if record is None or not record["result"]["published"] or record["result"]["bundle"] not in served:
            continue
        found = record["result"]
        base = Base(folder.name, found["bundle"], folder / found["path"], found["cut"])
        if found["adapter"] != adapter:
            return None, f"cold start: {folder.name} was trained by {found['adapter']}"
        for name in sorted(found["model"].keys() | shared.keys()):
            before, now = found["model"].get(name), shared.get(name)
            if before != now:
                return None, f"cold start: {folder.name} was trained with {name}={before!r}, now {now!r}"
        if base.cut < period.start:
            return (
                None,
                f"cold start: the window begins after the cut of {folder.name}, the last published day",
            )
        if (period.ends[0] - base.cut) % DAY:
            return None, f"cold start: the cut of {folder.name} is at another time of day"
        if not (base.folder / "start.pt").exists():
            return None, f"cold start: {base.folder}/start.pt is missing"
        return base, f"goes on from {folder.name}, bundle {base.bundle}"
    return None, "cold start: no earlier day was published"
