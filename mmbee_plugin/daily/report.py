"""A day's report: one HTML page with the gate's verdict, alarms, metrics, calibration, drift, coverage and cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmbee_plugin.daily import charts
from mmbee_plugin.daily.alarm import Alarm, AlarmSettings
from mmbee_plugin.daily.alarms import day_stability, expected_hours, gift_rate_of, level_of
from mmbee_plugin.daily.gate import GateSettings, Verdict
from mmbee_plugin.daily.measures import DRAWS, METRICS, Measures, has_scores, measure, whole
from mmbee_plugin.daily.norms import drift
from mmbee_plugin.evaluation.bootstrap import FEWEST, Interval
from mmbee_plugin.evaluation.resampling import ratios_on_users
from mmbee_plugin.experiments.page import write_page
from mmbee_plugin.experiments.plots import Plot
from mmbee_plugin.experiments.sheet import Sheet, with_ends
from mmbee_plugin.experiments.verdict import count, listed
from mmbee_plugin.serving.replay import Replayed

GENERATED = "SIMULATED: these figures are of generated logs and say nothing about any real platform."


@dataclass(frozen=True)
class DayReport:
    """What is told of a day.

    Attributes:
        day: YYYY-MM-DD.
        provenance: a line that names the log, then such as tell of the day's rows and training.
        real: whether the log is no simulation.
        served: all rows of the day, answered by the bundle that was served; None on the first day.
        before: the same of the last days, oldest first, with their names.
        reference: answers of the served bundle to the held-out rows of its own gate.
        verdict: of the gate.
        alarms: of the day.
        norms: of the served bundle and of the candidate; None on the first day.
        costs: stage -> seconds and CPU seconds.
        gate, alarm_limits: the limits, to be drawn.
        offset: seconds that the log's clock is ahead of UTC.
        facts: settings and versions.
    """

    day: str
    provenance: Sequence[str]
    real: bool
    served: Replayed | None
    verdict: Verdict
    before: Mapping[str, Replayed] = field(default_factory=dict)
    reference: Replayed | None = None
    alarms: Sequence[Alarm] = ()
    norms: tuple[Mapping[str, float], Mapping[str, float]] | None = None
    costs: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    gate: GateSettings = field(default_factory=GateSettings)
    alarm_limits: AlarmSettings = field(default_factory=AlarmSettings)
    offset: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)


def write_report(path: Path, report: DayReport) -> None:
    """Writes the page, replacing an older one atomically; days without a score are in no metric.

    Raises:
        InputError: rows without time, or a bundle without chances of the log.
    """
    sheets = [_checks(report), _alarms(report)]
    plots = [plot for plot in [charts.gate(report.verdict.checks)] if plot is not None]
    if report.served is not None:
        days: dict[str, Mapping[str, Interval]] = {
            day: whole(each) for day, each in report.before.items() if has_scores(each)
        }
        if has_scores(report.served):
            found = measure(report.served, report.offset)
            days[report.day] = found.whole
            plots += _plots(report, report.served, found, days)
        unscored = [day for day in (*report.before, report.day) if day not in days]
        sheets += [_metrics(days, unscored), _coverage(report.served)]
    if report.norms is not None:
        plots.append(charts.norms(drift(*report.norms), report.gate.norm_drift))
    if report.costs:
        sheets.append(_costs(report.costs))
    write_page(
        path,
        f"Daily loop, {report.day}",
        verdict(report),
        sheets,
        plots,
        [*report.provenance[:1], *([] if report.real else [GENERATED]), *report.provenance[1:]],
        report.real,
        report.facts,
        good=report.verdict.opens and not report.alarms,
    )


def verdict(report: DayReport) -> str:
    """The day in one sentence: whether the candidate was published, and if not why; the alarms by name."""
    gate = report.verdict
    said = "Published" if gate.opens else f"Not published ({_failed(gate)})"
    names = [alarm.name for alarm in report.alarms]
    alarms = f"{count(len(names), 'alarm')}: {listed(names)}" if names else "no alarm"
    return f"{said}, {alarms}."


def _failed(gate: Verdict) -> str:
    names = [check.name for check in gate.checks if not check.passed]
    return f"{listed(names)} {'fails' if len(names) == 1 else 'fail'}"


def _checks(report: DayReport) -> Sheet:
    gate = report.verdict
    rows = tuple((check.name, "passes" if check.passed else "FAILS", check.words) for check in gate.checks)
    against = f"against served {gate.served}" if gate.served else "the first, with nothing served before"
    note = (
        f"On {gate.rows:,} rows that the candidate was not trained on. In brackets 95 % intervals of differences, "
        "over resampled users. A limit closes the gate where it is passed beyond chance."
    )
    return Sheet(
        f"Gate: candidate {gate.candidate} {against}", ("Check", "", "Found"), rows, (note,), names=3
    )


def _alarms(report: DayReport) -> Sheet:
    rows = tuple((alarm.name, alarm.words) for alarm in report.alarms) or (("none", ""),)
    against = f"the last {len(report.before)} days" if report.before else "no day before"
    return Sheet("Alarms", ("Shift of the log", f"Against {against}"), rows, names=2)


def _metrics(days: Mapping[str, Mapping[str, Interval]], unscored: Sequence[str]) -> Sheet:
    forms = {**dict.fromkeys(METRICS, ".4f"), "gift_rate": ".2%", "factor": ".3f"}
    headings = ("Day", *METRICS.values(), "Gifts", "Predicted over observed")
    rows = [(day, *(_text(one[name], form) for name, form in forms.items())) for day, one in days.items()]
    notes = (
        "Each day before anything was trained on it, by the bundle that was served. Gifts and log loss (in nats) are a "
        "row of the log, which the rows are a sample of.",
        f"In brackets 95 % intervals over resampled users, of which none is told where less than {FEWEST} gave a gift.",
        *(f"Left out, since no row has a score: {day}." for day in unscored),
    )
    return Sheet("Progressive validation", headings, tuple(rows), notes)


def _text(found: Interval, form: str) -> str:
    return with_ends(found, f"{{:{form}}}".format)


def _coverage(served: Replayed) -> Sheet:
    groups = {"the bundle has": served.covered, "no score:": served.missing, "flagged": served.flags}
    marks = {(kind, name): marked for kind, group in groups.items() for name, marked in group.items()}
    above = {f"{kind} {name}": served.weights * marked for (kind, name), marked in marks.items()}
    found = ratios_on_users(served.users, above, served.weights, DRAWS).values()
    cells = tuple(
        (kind, name.replace("_", " "), _text(share, ".1%"))
        for (kind, name), share in zip(marks, found, strict=True)
    )
    notes = (
        "Flags are of rows with a score; what they mean stands in docs/serving.md.",
        "In brackets 95 % intervals over resampled users.",
    )
    return Sheet("Coverage", ("Rows for which", "", "Share"), cells, notes, names=2)


def _costs(costs: Mapping[str, tuple[float, float]]) -> Sheet:
    rows = [(name, f"{seconds:,.1f}", f"{cpu:,.1f}") for name, (seconds, cpu) in costs.items()]
    whole = (f"{sum(each[place] for each in costs.values()):,.1f}" for place in (0, 1))
    return Sheet("Cost", ("Stage", "Seconds", "CPU seconds"), (*rows, ("all", *whole)))


def _plots(
    report: DayReport, served: Replayed, found: Measures, days: Mapping[str, Mapping[str, Interval]]
) -> list[Plot]:
    plots = [charts.by_hour(found), charts.deciles(found.deciles)]
    plots.append(charts.hours(found.by_hour, _hour_limits(report, served)))
    shift = None if report.reference is None else day_stability(served, report.reference)
    if shift is not None:
        plots.append(charts.stability(shift, report.alarm_limits.psi))
    if len(days) > 1:
        plots.append(charts.last_days(days, _day_limits(report)))
    return plots


def _compared(report: DayReport) -> list[Replayed]:
    """The days that alarms compare with."""
    return list(report.before.values())[-report.alarm_limits.days :]


def _hour_limits(report: DayReport, served: Replayed) -> dict[float, charts.Limits]:
    """Hour of the log's clock -> limits of predicted over observed, of the alarm for hours."""
    factor = report.alarm_limits.calibration
    usual = (
        {each.hour: each.usual for each in expected_hours(served, _compared(report))} if report.before else {}
    )
    return {
        (hour + report.offset / 3600) % 24: (1 / (value * factor), factor / value)
        for hour, value in usual.items()
        if value
    }


def _day_limits(report: DayReport) -> dict[str, charts.Limits]:
    """Limits of the day's gifts, and of predicted over observed, as alarms have them."""
    limits, found = report.alarm_limits, {}
    gifts = gift_rate_of(_compared(report)).value
    if gifts:
        found["gift_rate"] = gifts / limits.gift_rate, gifts * limits.gift_rate
    level = 0.0 if report.reference is None else level_of(report.reference).value
    if level:
        found["factor"] = 1 / (level * limits.calibration), limits.calibration / level
    return found
