"""The loop over days: one day learned and published, or kept back by the gate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mmbee_plugin.command.time_left import TimeLeft
from mmbee_plugin.daily.adapter import Adapter
from mmbee_plugin.daily.day import Day
from mmbee_plugin.daily.outcome import DayOutcome
from mmbee_plugin.daily.settings import DailySettings
from mmbee_plugin.errors import InputError
from mmbee_plugin.files import locked
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.period import day_of, days_of, name_of
from mmbee_plugin.serving.bundle.shelf import Shelf

WORK = ".daily"
"""folder of the loop's work in the folder of bundles, unless another is given"""
ADAPTERS = ("recbole", "torchrec")
LOCKED = "another mmbee daily works here; let it end, or give another --work"


def run_day(
    logs: Path,
    bundles: Path,
    day: str,
    settings: DailySettings | None = None,
    work: Path | None = None,
    adapter: str = "recbole",
    given: Mapping[str, Any] | None = None,
    show: Callable[[str], None] = lambda line: None,
    store: str | None = None,
) -> DayOutcome:
    """Learns a day of a log and publishes its bundle, unless the gate closes.

    Killed at any moment, the same call goes on where it was and ends with the same bundle; done before, it finds what
    was done.

    Args:
        logs: the log folder; days after this one may be there, and are not read.
        bundles: the folder of bundles, made if missing.
        day: YYYY-MM-DD of the log's clock, or counted from 1 of the log.
        settings: of the loop.
        work: where the stages keep what they made, one folder a day; by default ``.daily`` in ``bundles``.
        adapter: one of :data:`ADAPTERS`, which trains.
        given: settings of the model, above those of the dataset's file, in the adapter's names, such as
            ``{"interest": None}`` or ``{"model": {"interest": "none"}}``.
        show: called with a line as each stage starts.
        store: URL of a Redis or Valkey, into which the bundle is written before it is published.

    Raises:
        InputError: a bad log, day or setting; another process works in the same folder; another bundle is pinned; the
            day would be learned after a later one was published; the store cannot be written.
    """
    chosen = settings or DailySettings()
    place = bundles / WORK if work is None else work
    trains = _adapter(adapter, chosen, given or {})
    with locked(place / ".lock", LOCKED):
        log = LogFolder(logs)
        return Day(log, day_of(log, day), Shelf(bundles), place, chosen, trains, show, store).run()


def run_days(logs: Path, bundles: Path, first: str, last: str, **more: Any) -> Iterator[DayOutcome]:
    """The outcomes of days from ``first`` to ``last``, each as it ends; a closed gate stops none, a day without a visit
    is left out.

    Args:
        more: further arguments of `run_day`.

    Raises:
        InputError: as `run_day`; a last day before the first.
    """
    log = LogFolder(logs)
    asked = range(day_of(log, first), day_of(log, last) + 1)
    if not asked:
        raise InputError(f"--from {first} --to {last}: the last day is before the first")
    visited = days_of(log)
    days, show = [day for day in asked if day in visited], more.get("show", lambda line: None)
    left = TimeLeft(len(days), "days")
    for day in asked:
        if day not in days:
            show(f"{name_of(day)}: no visit, left out")
            continue
        outcome = run_day(logs, bundles, name_of(day), **more)
        left.step()
        if left.done < left.total:
            show(str(left))
        yield outcome


def _adapter(name: str, settings: DailySettings, given: Mapping[str, Any]) -> Adapter:
    if name not in ADAPTERS:
        raise InputError(f"--adapter {name!r}: one of {', '.join(ADAPTERS)} is needed")
    if name == "torchrec":
        from mmbee_plugin.daily.torchrec import TorchRecAdapter

        return TorchRecAdapter(settings, given)
    from mmbee_plugin.daily.recbole import RecBoleAdapter

    return RecBoleAdapter(settings, given)
