"""What was before a day: the bundle that was served, and the day that training goes on from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from mmbee_plugin.daily.adapter import Adapter
from mmbee_plugin.daily.stages import read_record
from mmbee_plugin.logs.period import DAY, Period
from mmbee_plugin.serving.bundle.shelf import Shelf

BUNDLE, PUBLISH = "bundle", "publish"
"""stages whose records tell which bundles a day has built, and with which one it ended"""


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


def bundles_of(folder: Path) -> set[str]:
    """Ids of all bundles that a day has built, whatever its settings were."""
    record = read_record(folder, BUNDLE)
    return set() if record is None else {record["result"]["bundle"], *record["result"].get("earlier", ())}


def served_before(work: Path, day: str, shelf: Shelf) -> tuple[str, ...]:
    """The bundles that CURRENT named before it named one of this day or of a later one, the newest last."""
    # Built is enough: a day that was killed between publishing and its record is none that was before.
    since = {one for path in work.glob("????-??-??") if path.name >= day for one in bundles_of(path)}
    return tuple(takewhile(lambda one: one not in since, _chain(shelf)))


def overtaken(work: Path, day: str, shelf: Shelf) -> str | None:
    """Why a day cannot be learned any more: CURRENT would go back in time. None if it can."""
    served = set(_chain(shelf))
    newest = max((path.name for path in work.glob("????-??-??") if served & bundles_of(path)), default=day)
    if newest <= day:
        return None
    return (
        f"{day}: not learned yet with this log and these settings, and {newest} was published meanwhile; "
        "days are learned in order, mmbee bundle rollback takes later ones back"
    )


def _chain(shelf: Shelf) -> tuple[str, ...]:
    pointer = shelf.current()
    return () if pointer is None else (*pointer.previous, pointer.bundle)


def find_base(
    work: Path,
    day: str,
    served: Sequence[str],
    adapter: Adapter,
    model: Mapping[str, Any],
    period: Period,
) -> tuple[Base | None, str]:
    """The day to go on from, or None to train from nothing, and one line that says why.

    It is the earlier day whose bundle was served last: what the gate kept back, or somebody took back, is not built
    upon, and its rows are trained on again.

    Args:
        work: folder of the days.
        day: YYYY-MM-DD.
        served: before that day, see `served_before`.
        model: settings of the day's training.
        period: of the day's samples, which have to reach back to the base's cut.
    """
    records = ((folder, read_record(folder, PUBLISH)) for folder in earlier_days(work, day))
    ended = {
        each["result"]["bundle"]: (folder, each["result"]) for folder, each in records if each is not None
    }
    bundle = next((one for one in reversed(served) if one in ended), None)
    if bundle is None:
        return None, "cold start: no earlier day is served"
    folder, found = ended[bundle]
    base = Base(folder.name, bundle, folder / found["trained"], found["cut"], found.get("snapshot"))
    why = _unfit(base, found, adapter, model, period)
    if why is not None:
        return None, f"cold start: {why}"
    return base, f"goes on from {base.day}, bundle {base.bundle}"


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
