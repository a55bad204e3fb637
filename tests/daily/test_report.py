"""The page of a day, and the measures on it against a loop."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from mmbee_plugin.daily import charts
from mmbee_plugin.daily.alarms import alarms
from mmbee_plugin.daily.gate import judge
from mmbee_plugin.daily.measures import measure
from mmbee_plugin.daily.report import DayReport, write_report
from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.calibration import Calibration
from mmbee_plugin.evaluation.metrics import auc, gauc

SIMULATED = [
    "livesim (SIMULATED, livesim 1): 2025-05-05 to 2025-05-12; source: a <test>",
    "train 2025-05-06 to 2025-05-13",
]


def text_of(page) -> str:
    """The page's words, without the plots' scripts and styles."""
    body = re.sub(r"<(script|style).*?</\1>", " ", page.read_text(), flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def test_the_page_of_a_day(planted_day, with_logits, tmp_path, check_report):
    before = {f"2025-05-{10 + day}": planted_day(day, rows=3000) for day in range(3)}
    today = planted_day(3, rows=6000, gifts=5.0, hours=(17, 21))
    candidate = with_logits(today, lambda logits: -logits)
    norms = {"users": 2.0, "head": 1.0}, {"users": 2.2, "head": 1.0}
    last = replace(before["2025-05-12"], bundle=today.bundle)
    verdict, raised = judge(candidate, today, norms), alarms(today, list(before.values()), reference=last)
    report = DayReport(
        "2025-05-13", SIMULATED, False, today, verdict, before, last, raised, norms, {"train": (12.5, 30.25)}
    )
    page = tmp_path / "report.html"
    write_report(page, report)
    check_report(page)
    text = text_of(page)
    assert (
        text.startswith("Daily loop, 2025-05-13 Daily loop, 2025-05-13 Not published (")
        and "3 alarms: " in text
    )
    for part in ("GAUC FAILS", "norms passes", "calibration by hour", "train 12.5 30.2", "source: a &lt;test&gt;",
                 "against served bundle of day 2", "Progressive validation", "user&#x27;s neighbours"):  # fmt: skip
        assert part in text
    assert page.read_text().count("<figure>") == 7 and "http" not in text
    auc, loss = (measure(today).whole[name] for name in ("auc", "log_loss"))
    assert f"2025-05-13 {auc.mean:.4f} [{auc.low:.4f}, {auc.high:.4f}]" in text and f"{loss.mean:.4f}" in text


def test_a_day_without_scores_has_its_alarm_on_the_page(planted_day, tmp_path, check_report):
    """No segment arrives all day: no score. The next day is compared with what was measured."""
    quiet = {f"2025-05-{10 + day}": planted_day(day, rows=3000) for day in range(2)}
    now = planted_day(2, rows=3000)
    lost = np.ones(len(now), dtype=bool)
    now = replace(now, missing={"no live segment": lost}, logits=np.full_like(now.logits, np.nan))
    raised = alarms(now, list(quiet.values()))
    assert [alarm.name for alarm in raised] == ["rows without a score"]
    pages = [tmp_path / f"{day}.html" for day in (12, 13)]
    write_report(
        pages[0], DayReport("2025-05-12", SIMULATED, False, now, judge(now, now), quiet, None, raised)
    )
    then, before = planted_day(3, rows=3000), {**quiet, "2025-05-12": now}
    write_report(pages[1], DayReport("2025-05-13", SIMULATED, False, then, judge(then), before))
    for page in pages:
        check_report(page)
        assert "Left out, since no row has a score: 2025-05-12." in text_of(page)
    outage, next_day = map(text_of, pages)
    assert "1 alarm: rows without a score" in outage and "100.0% of rows" in outage
    assert f"2025-05-11 {measure(quiet['2025-05-11']).whole['auc'].mean:.4f}" in outage
    assert f"2025-05-13 {measure(then).whole['auc'].mean:.4f}" in next_day


def test_the_first_day_has_nothing_to_compare_with(planted_day, tmp_path):
    verdict = judge(planted_day(0, rows=1000))
    write_report(tmp_path / "first.html", DayReport("2025-05-10", SIMULATED, False, None, verdict))
    text = text_of(tmp_path / "first.html")
    assert "2025-05-10 Published, no alarm." in text and "with nothing served before" in text
    assert 'class="plot"' not in (tmp_path / "first.html").read_text()


def test_measures_by_hour_are_those_of_each_hours_rows(planted_day):
    day, offset = planted_day(2, rows=12_000), 8 * 3600.0
    lost = np.arange(len(day)) % 50 == 0
    day = replace(day, missing={"no live segment": lost}, logits=np.where(lost[:, None], np.nan, day.logits))
    found = measure(day, offset)
    clock = ((day.times + offset) // 3600).astype(int)
    of_rows = {
        "auc": lambda rows: auc(day.labels[rows, 0], day.chances[rows]),
        "gauc": lambda rows: gauc(day.users[rows], day.labels[rows, 0], day.chances[rows]),
    }
    for name, metric in of_rows.items():
        assert found.whole[name].mean == pytest.approx(metric(~lost))
        assert len(found.hours[name]) > 12
        for hour, value in found.hours[name].items():
            assert value.mean == pytest.approx(metric(~lost & (clock == hour)))
            assert value.low < value.mean < value.high
    assert found.by_hour.bins.tolist() == sorted(set(clock))
    gifts = day.labels[~lost, 0].sum()
    assert found.whole["factor"].mean == pytest.approx(found.deciles.predicted.sum() / gifts)
    assert found.whole["gift_rate"].mean == pytest.approx(day.labels[:, 0].sum() / day.weights.sum())
    assert found.deciles.observed.sum() == found.by_hour.observed.sum() == gifts
    assert len(found.deciles.bins) == 10


def test_intervals_by_hour_are_those_of_theory(planted_day):
    """Scores without any relation to gifts, one row a user: the AUC's error is Mann and Whitney's."""
    day = planted_day(2, rows=4000)
    rng = np.random.default_rng(3)
    day = replace(
        day,
        users=np.array([f"u{row}" for row in range(len(day))]),
        labels=(rng.random((len(day), 1)) < 0.4).astype(np.int8),
        logits=rng.normal(size=day.logits.shape).astype(np.float32),
    )
    clock, found = (day.times // 3600).astype(int), measure(day)
    assert len(found.hours["auc"]) == 24 and not found.hours["gauc"]
    inside = 0
    for hour, value in found.hours["auc"].items():
        gifts, none = (int((day.labels[clock == hour, 0] == label).sum()) for label in (1, 0))
        error = np.sqrt((gifts + none + 1) / (12 * gifts * none))
        assert value.standard_error == pytest.approx(error, rel=0.25)
        assert value.high - value.low == pytest.approx(2 * 1.96 * error, rel=0.25)
        inside += value.low < 0.5 < value.high
    assert inside >= 20


def test_ends_that_are_not_known_are_drawn_as_open():
    """Predicted over observed of three hours: one as promised, one whose interval is open, one without a gift."""
    many = np.array([30.0, 2.0, 0.0])
    found = Calibration(
        np.array([0, 1, 2]), np.full(3, 100.0), np.full(3, 30.0), many, np.array([0.8, 5.0, 8.1]),
        np.array([1.3, np.inf, np.inf]), np.array([23.0, 0.0, 0.0]), np.array([37.5, 6.0, 3.7])
    )  # fmt: skip
    figure = charts.hours(found, {0.0: (0.5, 2.0), 1.0: (0.4, 1.6)}).figure
    _, observed, factor, below, above = figure.data
    assert observed.error_y.array == pytest.approx([7.5, 4.0, 3.7])
    assert observed.error_y.arrayminus == pytest.approx([7.0, 2.0, 0.0])
    assert factor.y == pytest.approx([1.0, 15.0, 8.1])
    assert factor.marker.symbol == ("circle", "circle", "triangle-up-open")
    assert factor.error_y.array[0] == pytest.approx(0.3) and factor.error_y.arrayminus[2] == 0
    low, high = 10 ** np.array(figure.layout.yaxis2.range)
    assert all(factor.y[place] + factor.error_y.array[place] > high for place in (1, 2)) and low < 0.4
    assert below.y == (0.5, 0.4) and above.y == (2.0, 1.6)


def test_the_gate_is_drawn_in_the_units_of_its_limits(planted_day, with_logits):
    today = planted_day(3, rows=6000)
    checks = judge(with_logits(today, lambda logits: logits + np.float32(np.log(3))), today).checks
    figure = charts.gate(checks).figure
    gauc, loss, factor = figure.data
    assert gauc.x == (0,) and gauc.error_x.array == (0,)
    assert loss.x[0] > 0.02 and loss.x[0] - loss.error_x.arrayminus[0] > 0
    assert 1.5 < factor.x[0] < 3.1
    lines = [(one.xref, one.x0) for one in figure.layout.shapes]
    assert lines == [("x", 0), ("x", -0.005), ("x2", 0), ("x2", 0.02), ("x3", 1), ("x3", 1.5)]
    assert charts.gate(judge(today).checks) is None


def test_a_day_without_a_gift_or_without_scores(planted_day):
    day = planted_day(1, rows=500)
    quiet = measure(replace(day, labels=np.zeros_like(day.labels)))
    assert np.isnan(quiet.whole["gauc"].mean) and quiet.whole["gift_rate"].mean == 0
    assert np.isfinite(quiet.whole["log_loss"].mean) and np.isnan(quiet.whole["log_loss"].low)
    assert quiet.whole["factor"].mean == quiet.whole["factor"].high == np.inf > quiet.whole["factor"].low > 0
    assert not any(quiet.hours.values())
    with pytest.raises(InputError, match=r"0 of .* rows with a score"):
        measure(replace(day, logits=np.full_like(day.logits, np.nan)))
