"""A day's stages, from its samples to its report."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmbee_plugin.daily.adapter import Adapter, Start
from mmbee_plugin.daily.alarm import Alarm
from mmbee_plugin.daily.alarms import alarms
from mmbee_plugin.daily.base import (
    BUNDLE,
    PUBLISH,
    Base,
    bundles_of,
    earlier_days,
    find_base,
    overtaken,
    served_before,
)
from mmbee_plugin.daily.content import content_until
from mmbee_plugin.daily.gate import Verdict, judge
from mmbee_plugin.daily.norms import directions, norms
from mmbee_plugin.daily.outcome import DayOutcome
from mmbee_plugin.daily.report import DayReport, write_report
from mmbee_plugin.daily.settings import DailySettings
from mmbee_plugin.daily.stages import Stages, read_record
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.labelled import LabelledRows
from mmbee_plugin.graph.refresh import approximation
from mmbee_plugin.graph.snapshot import Snapshot
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.period import DAY, Period, name_of
from mmbee_plugin.logs.samples import write_samples
from mmbee_plugin.offline.refresh import can_be_kept
from mmbee_plugin.serving.bundle.build import build_bundle
from mmbee_plugin.serving.bundle.opened import Bundle, open_bundle
from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.serving.bundle.source import Source
from mmbee_plugin.serving.replay import Replayed, open_scorer, replay_rows

PROGRESSIVE, HELD_OUT, REPORT = "progressive.npz", "held-out.npz", "report.html"
"""Files of a day: all its rows answered by the served bundle, its held-out rows answered by the new one, the report."""


class Day:
    """One day of a log, with where it is kept and how it is trained.

    Args:
        day: since 1970.
        work: folder of the days; this one's is made in it.
        store: URL of a Redis or Valkey that the bundle is written into; None: into none.
    """

    def __init__(
        self,
        log: LogFolder,
        day: int,
        shelf: Shelf,
        work: Path,
        settings: DailySettings,
        adapter: Adapter,
        show: Callable[[str], None],
        store: str | None,
    ) -> None:
        self.log, self.shelf, self.work, self.adapter, self.store = log, shelf, work, adapter, store
        self.settings, self.name = settings, name_of(day)
        self.show = lambda line: show(f"{self.name}: {line}")
        self.period = Period.until(log, day, settings.window_days, settings.holdout_hours)
        self.begin = (self.period.ends[-1] - DAY) / 1000
        """start of the day in seconds since 1970"""
        self.folder = work / self.name
        self.stages = Stages(self.folder, self.show, overtaken(work, self.name, shelf))

    def run(self) -> DayOutcome:
        """Does what is left of the stages."""
        samples, content = self._samples()
        model = self.adapter.settings(samples)
        chain = served_before(self.work, self.name, self.shelf)
        served = chain[-1] if chain else None
        base, start = find_base(self.work, self.name, chain, self.adapter, model, self.period)
        answers = None if served is None else self._progressive(served, samples, content)
        before = {} if answers is None else self._last_days()
        reference = None if answers is None else self._reference(answers.bundle)
        raised = [] if answers is None else self._alarms(answers, before, reference, content)
        self.show(start)
        trained, source = self._train(samples, content, model, base)
        bundle = self._bundle(samples, trained, source)
        verdict, drift = self._gate(bundle, served, base, samples, content, answers)
        self._publish(bundle, verdict, trained, model)
        self._report(verdict, drift, answers, before, reference, raised, start)
        self._forget()
        pointer = self.shelf.current()
        return DayOutcome(
            self.name,
            bundle,
            None if pointer is None else pointer.bundle,
            verdict.opens,
            verdict.reason,
            tuple(f"{alarm.name} {alarm.words}" for alarm in raised),
            start,
            base is None,
            {name: cpu for name, (_, cpu) in self.stages.costs.items()},
            self.folder / REPORT,
        )

    def _samples(self) -> tuple[DatasetFolder, str]:
        """The samples of the window, a dataset folder named as the log, and the hash of their content."""
        cut = self.settings.of_samples()
        content = content_until(self.log, self.period.ends[-1], self.work / ".log.json")
        inputs = {"log": content, "settings": asdict(cut), "period": asdict(self.period)}
        folder = self.folder / "samples" / self.log.info.name

        def work(key: str) -> dict[str, Any]:
            write_samples(self.log, folder, cut, period=self.period, force=True)
            return {"path": str(folder.relative_to(self.folder)), "hash": DatasetFolder(folder).hash}

        found = self.stages.done("samples", inputs, work)
        return DatasetFolder(folder), found["hash"]

    def _progressive(self, served: str, samples: DatasetFolder, content: str) -> Replayed:
        """All rows of the day, answered by the served bundle before anything is trained on them."""

        def work(key: str) -> dict[str, Any]:
            scorer = open_scorer(self.shelf, served)
            rows = LabelledRows.of(samples, ("train", "valid"), since=self.begin)
            replay_rows(scorer, samples, rows).write(self.folder / PROGRESSIVE)
            return {"path": PROGRESSIVE, "norms": norms(scorer.bundle)}

        self.stages.done("progressive", {"bundle": served, "samples": content}, work)
        return Replayed.read(self.folder / PROGRESSIVE)

    def _alarms(
        self, answers: Replayed, before: Mapping[str, Replayed], reference: Replayed | None, content: str
    ) -> list[Alarm]:
        """The alarms of the day, which stand whatever comes of its training."""

        def work(key: str) -> dict[str, Any]:
            raised = alarms(answers, list(before.values()), self.settings.alarms, reference)
            for alarm in raised:
                self.show(f"alarm: {alarm.name} {alarm.words}")
            return {"alarms": [asdict(alarm) for alarm in raised]}

        limits = self.settings.alarms.model_dump()
        inputs = {"bundle": answers.bundle, "samples": content, "before": list(before), "limits": limits}
        return [Alarm(**alarm) for alarm in self.stages.done("alarms", inputs, work)["alarms"]]

    def _train(
        self, samples: DatasetFolder, content: str, model: Mapping[str, Any], base: Base | None
    ) -> tuple[str, Source | None]:
        """The folder of the training within the day's, and the model if it was just trained."""
        source: Source | None = None
        chosen = self.settings.model_dump(mode="json", exclude={"gate", "alarms", "keep_days", "on_air"})
        inputs = {
            "samples": content,
            "adapter": self.adapter.name,
            "model": model,
            "settings": chosen,
            "base": None if base is None else base.bundle,
        }

        def work(key: str) -> dict[str, Any]:
            nonlocal source
            folder = self.folder / f"train-{key}"
            for other in self.folder.glob("train-*"):
                if other != folder:
                    shutil.rmtree(other)
            folder.mkdir(exist_ok=True)
            source = self.adapter.train(samples, self._start(samples, base), folder, self.show)
            return {"path": folder.name}

        return str(self.stages.done("train", inputs, work)["path"]), source

    def _start(self, samples: DatasetFolder, base: Base | None) -> Start | None:
        if base is None:
            return None
        days = (self.period.ends[0] - base.cut) // DAY
        if self.settings.refresh == "rebuild" or base.snapshot is None:
            return Start(base.folder, days)
        snapshot = base.folder.parent / "samples" / samples.name / "graph" / base.snapshot
        if can_be_kept(snapshot):
            return Start(base.folder, days, snapshot)
        self.show(f"the graph of {base.day} is gone or has no tokens, so all lists are new")
        return Start(base.folder, days)

    def _bundle(self, samples: DatasetFolder, trained: str, source: Source | None) -> str:
        on_air = self.settings.on_air

        def work(key: str) -> dict[str, Any]:
            opened = source or self.adapter.source(samples, self.folder / trained)
            made = build_bundle(opened, self.shelf, on_air=on_air)
            return {
                "bundle": made,
                "earlier": sorted(bundles_of(self.folder) - {made}),
                "path": str((self.shelf.path / made).absolute()),
                "snapshot": opened.facts.snapshot,
            }

        return str(self.stages.done(BUNDLE, {"trained": trained, "on_air": on_air}, work)["bundle"])

    def _gate(
        self,
        bundle: str,
        served: str | None,
        base: Base | None,
        samples: DatasetFolder,
        content: str,
        answers: Replayed | None,
    ) -> tuple[Verdict, tuple[Mapping[str, float], Mapping[str, float]] | None]:
        """Judges the bundle on the holdout; also the norms of the served bundle and of this one."""
        before = None if served is None else self.stages.result("progressive")["norms"]
        goes_on, days = None, 1
        if base is not None and base.bundle == served:
            goes_on, days = served, (self.period.ends[0] - base.cut) // DAY

        def work(key: str) -> dict[str, Any]:
            scorer = open_scorer(self.shelf, bundle)
            candidate = replay_rows(scorer, samples, LabelledRows.of(samples, ("valid",)))
            candidate.write(self.folder / HELD_OUT)
            after = norms(scorer.bundle)
            answered = turned = None
            if answers is not None and answers.times is not None:
                answered = answers.taken(answers.times >= self.period.ends[0] / 1000)
            if goes_on is not None:
                turned = directions(self._opened(goes_on), scorer.bundle)
            verdict = judge(
                candidate,
                answered,
                None if before is None else (before, after),
                turned,
                self.settings.gate,
                self.settings.seed,
                days,
            )
            return {"path": HELD_OUT, "verdict": asdict(verdict), "norms": after}

        limits = self.settings.gate.model_dump()
        inputs = {
            "bundle": bundle,
            "served": served,
            "goes_on": goes_on,
            "days": days,
            "samples": content,
            "limits": limits,
        }
        found = self.stages.done("gate", {**inputs, "seed": self.settings.seed}, work)
        verdict = Verdict.read(found["verdict"])
        return verdict, None if before is None else (before, found["norms"])

    def _opened(self, bundle: str) -> Bundle:
        return open_bundle(self.shelf.path / bundle, self.shelf.verify(bundle))

    def _publish(self, bundle: str, verdict: Verdict, trained: str, model: Mapping[str, Any]) -> None:
        def work(key: str) -> dict[str, Any]:
            if verdict.opens:
                self._fill(bundle)
                self.shelf.publish(bundle)
            return {
                "bundle": bundle,
                "adapter": self.adapter.name,
                "model": dict(model),
                "cut": self.period.ends[0],
                "snapshot": self.stages.result(BUNDLE).get("snapshot"),
                "trained": trained,
            }

        self.stages.done(PUBLISH, {"bundle": bundle, "opens": verdict.opens}, work)

    def _fill(self, bundle: str) -> None:
        if self.store is not None:
            from mmbee_plugin.serving.store.bundles import fill_bundle  # the client may not be installed

            fill_bundle(self.store, self.shelf, bundle, self.show)

    def _report(
        self,
        verdict: Verdict,
        drift: tuple[Mapping[str, float], Mapping[str, float]] | None,
        answers: Replayed | None,
        before: Mapping[str, Replayed],
        reference: Replayed | None,
        raised: list[Alarm],
        start: str,
    ) -> None:
        """Writes the report."""

        def work(key: str) -> dict[str, Any]:
            report = DayReport(
                day=self.name,
                provenance=[self.log.provenance(), self.period.describe(), start, *self._approximation()],
                real=self.log.info.kind == "real",
                served=answers,
                before=before,
                reference=reference,
                verdict=verdict,
                alarms=raised,
                norms=drift,
                costs=dict(self.stages.costs),
                gate=self.settings.gate,
                alarm_limits=self.settings.alarms,
                offset=self.period.offset / 1000,
                facts={"settings": self.settings.model_dump(mode="json"), "adapter": self.adapter.name},
            )
            write_report(self.folder / REPORT, report)
            return {"path": REPORT}

        told = [asdict(alarm) for alarm in raised]
        inputs = {"verdict": asdict(verdict), "alarms": told, "costs": self.stages.costs}
        self.stages.done("report", inputs, work)

    def _approximation(self) -> list[str]:
        """A line where the day's graph is approximate."""
        key = self.stages.result(BUNDLE).get("snapshot")
        places = [] if key is None else self.folder.glob(f"samples/*/graph/{key}")
        lines = [approximation(Snapshot.open(place)) for place in places]
        return [line for line in lines if line is not None]

    def _last_days(self) -> dict[str, Replayed]:
        """Progressive validation of the days before, oldest first."""
        found = {}
        for folder in reversed(earlier_days(self.work, self.name)[: self.settings.alarms.days]):
            if read_record(folder, "progressive") is not None and (folder / PROGRESSIVE).exists():
                found[folder.name] = Replayed.read(folder / PROGRESSIVE)
        return found

    def _reference(self, served: str) -> Replayed | None:
        """Answers of the served bundle to the held-out rows of its own day; None if it is of no day."""
        for folder in earlier_days(self.work, self.name):
            record = read_record(folder, PUBLISH)
            if record is not None and record["result"]["bundle"] == served and (folder / HELD_OUT).exists():
                return Replayed.read(folder / HELD_OUT)
        return None

    def _forget(self) -> None:
        """Removes samples and models of days that nothing goes on from any more; their records and reports stay."""
        for folder in earlier_days(self.work, self.name)[self.settings.keep_days :]:
            for old in (folder / "samples", *folder.glob("train-*")):
                shutil.rmtree(old, ignore_errors=True)
