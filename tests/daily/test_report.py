"""The page of a day, and the measures on it against a loop."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from mmbee_plugin.daily.alarms import alarms
from mmbee_plugin.daily.gate import judge
from mmbee_plugin.daily.measures import measure
from mmbee_plugin.daily.report import DayReport, write_report
from mmbee_plugin.errors import InputError
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
        and "2 alarms: " in text
    )
    for part in ("GAUC FAILS", "norms passes", "calibration by hour", "train 12.5 30.2", "source: a &lt;test&gt;",
                 "against served bundle of day 2", "Progressive validation", "user&#x27;s neighbours"):  # fmt: skip
        assert part in text
    assert page.read_text().count("<figure>") == 6 and "http" not in text
    found = measure(today)
    assert f"2025-05-13 {found.whole['auc']:.4f}" in text and f"{found.whole['log_loss']:.4f}" in text


def test_the_first_day_has_nothing_to_compare_with(planted_day, tmp_path):
    verdict = judge(planted_day(0, rows=1000))
    write_report(tmp_path / "first.html", DayReport("2025-05-10", SIMULATED, False, None, verdict))
    text = text_of(tmp_path / "first.html")
    assert "2025-05-10 Published, no alarm." in text and "with nothing served before" in text
    assert 'class="plot"' not in (tmp_path / "first.html").read_text()


def test_measures_by_hour_are_those_of_each_hours_rows(planted_day):
    day, offset = planted_day(2, rows=4000), 8 * 3600.0
    lost = np.arange(len(day)) % 50 == 0
    day = replace(day, missing={"no live segment": lost}, logits=np.where(lost[:, None], np.nan, day.logits))
    found = measure(day, offset)
    clock = ((day.times + offset) // 3600).astype(int)
    of_rows = {
        "auc": lambda rows: auc(day.labels[rows, 0], day.chances[rows]),
        "gauc": lambda rows: gauc(day.users[rows], day.labels[rows, 0], day.chances[rows]),
    }
    for name, metric in of_rows.items():
        assert found.whole[name] == pytest.approx(metric(~lost))
        for hour, value in zip(found.hours[name].hours, found.hours[name].values, strict=True):
            assert value == pytest.approx(metric(~lost & (clock == hour)))
    assert found.by_hour.bins.tolist() == sorted(set(clock))
    gifts = day.labels[~lost, 0].sum()
    assert found.gift_rate == pytest.approx(gifts / day.weights[~lost].sum())
    assert found.deciles.observed.sum() == found.by_hour.observed.sum() == gifts
    assert len(found.deciles.bins) == 10


def test_a_day_without_a_gift_or_without_scores(planted_day):
    day = planted_day(1, rows=500)
    quiet = measure(replace(day, labels=np.zeros_like(day.labels)))
    assert (
        np.isnan(quiet.whole["gauc"]) and quiet.hours["gauc"] is None and quiet.hours["log_loss"] is not None
    )
    with pytest.raises(InputError, match=r"0 of .* rows with a score"):
        measure(replace(day, logits=np.full_like(day.logits, np.nan)))
