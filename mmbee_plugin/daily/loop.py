"""One day of the loop, and days in a row."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmbee_plugin.daily.adapter import Adapter, Start
from mmbee_plugin.daily.base import Base, find_base
from mmbee_plugin.daily.content import content_until
from mmbee_plugin.daily.settings import DailySettings
from mmbee_plugin.daily.stages import Stages
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.files import locked
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.period import DAY, Period, day_of, name_of
from mmbee_plugin.logs.samples import write_samples
from mmbee_plugin.serving.bundle.build import build_bundle
from mmbee_plugin.serving.bundle.shelf import Shelf

WORK = ".daily"
"""folder of the loop's work in the folder of bundles, unless another is given"""
LOCKED = "another mmbee daily works here; let it end, or give another --work"


@dataclass(frozen=True)
class DayOutcome:
    """What a day came to."""

    day: str
    """YYYY-MM-DD"""
    bundle: str
    """id of the bundle that was built"""
    published: bool
    """whether it is served; else yesterday's stays"""
    reason: str
    """why, in one line"""
    cold: bool
    """whether it was trained from nothing"""
    cpu_seconds: Mapping[str, float]
    """of each stage"""


def run_day(
    logs: Path,
    bundles: Path,
    day: str,
    settings: DailySettings | None = None,
    work: Path | None = None,
    adapter: str = "recbole",
    given: Mapping[str, Any] | None = None,
    show: Callable[[str], None] = lambda line: None,
) -> DayOutcome:
    """Learns a day of a log and publishes the bundle; a call that was killed goes on, with the same bundle at the end.

    Args:
        logs: the log folder; later days in it are not read.
        bundles: the folder of bundles, made if missing.
        day: YYYY-MM-DD of the log's clock, or counted from 1 of the log.
        settings: of the loop.
        work: where the stages keep what they made, one folder a day; by default ``.daily`` in ``bundles``.
        adapter: which library trains: recbole.
        given: settings of the model, above those of the dataset's file, such as ``{"interest": None}``.
        show: called with a line as each stage starts.

    Raises:
        InputError: a bad log, day or setting; another process works in the same folder; a pinned bundle.
    """
    chosen = settings or DailySettings()
    place = bundles / WORK if work is None else work
    with locked(place / ".lock", LOCKED):
        return _Day(
            LogFolder(logs), Shelf(bundles), place, chosen, _adapter(adapter, chosen, given or {}), show
        ).run(day)


class _Day:
    """The stages of a day, one method each."""

    def __init__(
        self,
        log: LogFolder,
        shelf: Shelf,
        work: Path,
        settings: DailySettings,
        adapter: Adapter,
        show: Callable[[str], None],
    ) -> None:
        self.log, self.shelf, self.work = log, shelf, work
        self.settings, self.adapter, self.show = settings, adapter, show

    def run(self, text: str) -> DayOutcome:
        day = day_of(self.log, text)
        name = name_of(day)
        self.folder = self.work / name
        self.stages = Stages(self.folder, lambda stage: self.show(f"{name}: {stage}"))
        self.period = Period.until(self.log, day, self.settings.window_days, self.settings.holdout_hours)
        samples = self._samples()
        shared = self.adapter.settings(samples)
        base, why = find_base(self.work, name, self.shelf, self.adapter.name, shared, self.period)
        self.show(f"{name}: {why}")
        trained = self._train(samples, shared, base)
        bundle = self._bundle(samples, trained)
        published = self._publish(bundle, shared, base, trained)
        return DayOutcome(
            name, bundle, published["published"], published["reason"], base is None, self.stages.costs
        )

    def _samples(self) -> DatasetFolder:
        """The samples of the window, a dataset folder named as the log."""
        cut = self.settings.of_samples()
        content = content_until(self.log, self.period.ends[-1], self.work / ".log.json")
        inputs = {"log": content, "settings": asdict(cut), "period": asdict(self.period)}
        folder = self.folder / "samples" / self.log.info.name

        def work(key: str) -> dict[str, Any]:
            write_samples(self.log, folder, cut, period=self.period, force=True)
            return {"path": str(folder.relative_to(self.folder)), "hash": DatasetFolder(folder).hash}

        self.samples_hash = self.stages.done("samples", inputs, work)["hash"]
        return DatasetFolder(folder)

    def _train(self, samples: DatasetFolder, shared: Mapping[str, Any], base: Base | None) -> str:
        """The folder of the training, within the day's."""
        inputs = {
            "samples": self.samples_hash,
            "model": shared,
            "settings": self.settings.model_dump(),
            "base": None if base is None else base.bundle,
        }

        def work(key: str) -> dict[str, Any]:
            name = f"train-{key}"
            start = None
            if base is not None:
                days = (self.period.ends[0] - base.cut) // DAY
                start = Start(base.folder / "start.pt", base.folder / "nodes.npz", days)
            (self.folder / name).mkdir(exist_ok=True)
            self.adapter.train(samples, start, self.folder / name)
            for other in self.folder.glob("train-*"):
                if other.name != name:
                    shutil.rmtree(other)
            return {"path": name}

        return str(self.stages.done("train", inputs, work)["path"])

    def _bundle(self, samples: DatasetFolder, trained: str) -> str:
        def work(key: str) -> dict[str, Any]:
            return {"bundle": build_bundle(self.adapter.source(samples, self.folder / trained), self.shelf)}

        return str(self.stages.done("bundle", {"trained": trained}, work)["bundle"])

    def _publish(
        self, bundle: str, shared: Mapping[str, Any], base: Base | None, trained: str
    ) -> dict[str, Any]:
        def work(key: str) -> dict[str, Any]:
            self.shelf.publish(bundle)
            return {
                "published": True,
                "reason": "the first bundle" if base is None else "no worse than yesterday's",
                "bundle": bundle,
                "adapter": self.adapter.name,
                "model": dict(shared),
                "cut": self.period.ends[0],
                "path": trained,
            }

        return self.stages.done("publish", {"bundle": bundle}, work)


def _adapter(name: str, settings: DailySettings, given: Mapping[str, Any]) -> Adapter:
    from mmbee_plugin.daily.recbole import RecBoleAdapter

    return RecBoleAdapter(settings, given)
