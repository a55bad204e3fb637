"""From cells to figures to files: means, improvements, corrected p-values, the layout and the report."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation import metrics
from mmbee_plugin.experiments.report import Report
from mmbee_plugin.experiments.sheet import UNTESTED, lines
from mmbee_plugin.tables.layout import sheets
from mmbee_plugin.tables.measures import measure
from mmbee_plugin.tables.report import write_report
from mmbee_plugin.tables.rows import make_table

SIGNALS = {"SIM": 0.4, "SIM+MFQ": 0.7, "SIM+GIE": 0.4, "SIM+MFQ+GIE": 1.2}


class NoTruth:
    """A folder in which nothing is planted."""

    def __init__(self, path, kind="real"):
        self.path, self.kind = path, kind


@pytest.fixture
def table():
    return make_table(2, ("visual", "speech"), ("u2a2u", "a2a")).only([*SIGNALS])


@pytest.fixture
def cells(fake_cell):
    return {name: [fake_cell(signal, seed) for seed in range(1, 6)] for name, signal in SIGNALS.items()}


@pytest.fixture
def measures(table, cells, tmp_path):
    return measure(table, cells, "test", NoTruth(tmp_path))


def test_figures_are_means_over_seeds(measures, cells):
    each = [metrics.auc(c.arrays["test labels"], c.arrays["test scores"]) for c in cells["SIM+MFQ"]]
    assert measures.rows["SIM+MFQ"].pooled["auc"] == pytest.approx(each)
    interval = measures.rows["SIM+MFQ"].interval("auc")
    assert interval.mean == pytest.approx(np.mean(each))
    assert interval.low < interval.mean < interval.high
    assert measures.rows["SIM"].costs["flops"] == 3000
    cell = cells["SIM"][0].arrays
    hours = cell["test times"] // 3600
    by_hour = [
        metrics.auc(cell["test labels"][hours == h], cell["test scores"][hours == h]) for h in range(6)
    ]
    assert measures.rows["SIM"].hourly["auc"][0] == pytest.approx(np.mean(by_hour))


def test_improvements_are_tested_and_corrected(measures):
    assert set(measures.improvements) == {"SIM+MFQ", "SIM+GIE", "SIM+MFQ+GIE"}
    for metric in ("auc", "uauc", "gauc"):
        full = measures.improvements["SIM+MFQ+GIE"]
        assert full.found[metric].interval.low > 0
        assert full.p_values[metric] == pytest.approx(3 * full.found[metric].p_value)
    assert measures.improvements["SIM+GIE"].p_values["auc"] > 0.05
    assert set(measures.of_full) == {"SIM", "SIM+MFQ", "SIM+GIE"}
    assert all(each.p_values["auc"] < 0.05 for each in measures.of_full.values())


def test_cells_of_other_rows_are_refused(table, cells, tmp_path):
    cells["SIM+GIE"][1].arrays["test labels"][:2] ^= True
    with pytest.raises(InputError, match=r"SIM\+GIE: scored other test rows than SIM"):
        measure(table, cells, "test", NoTruth(tmp_path))


def test_the_layout_is_the_papers(measures):
    pooled, hourly, of_full, cost = (lines(sheet) for sheet in sheets(measures))
    assert pooled[0].startswith("Table 2. Performance of different methods: test split, 1,500 samples, ")
    assert re.split(r"\s*\|\s*", pooled[2])[1:-1] == [
        "Methods",
        *("AUC", "Impr.", "p", "UAUC", "Impr.", "p", "GAUC", "Impr.", "p"),
    ]
    backbone, full = pooled[4], next(line for line in pooled if line.startswith("| SIM+MFQ+GIE"))
    assert re.match(r"\| SIM +\| 0\.\d{4} \(0\.\d{4}\) \| +- \|", backbone)
    assert re.search(r"\| \+\d+\.\d\d % \| 0\.00\d \|", full)
    assert any(
        line.startswith("AUC: SIM+MFQ+GIE is above 3 of 3 rows with p < 0.05; largest p 0.0")
        for line in hourly
    )  # below both
    assert any("p: paired bootstrap over users and seeds" in line for line in hourly)
    assert len({len(line) for line in pooled[2:8]}) == 1  # columns are aligned
    assert "6 clock hours" in hourly[0]
    assert of_full[0] == "SIM+MFQ+GIE minus the row"
    assert re.split(r"\s*\|\s*", cost[2])[1:6] == [
        *("Row", "Parameters", "of embeddings", "Training CPU s", "Scoring CPU µs a sample"),
    ]


def test_improvements_of_another_sign_over_hours_are_named(table, cells, tmp_path):
    """A row that only knows which hours have more gifts: pooled it gains, within an hour it has nothing to tell."""
    cell = cells["SIM"][0].arrays
    hour = (cell["test times"] // 3600).astype(int)
    labels = (np.random.default_rng(1).random(len(hour)) < 0.04 + 0.06 * hour).astype(bool)
    noise = np.random.default_rng(2).normal(size=len(hour))
    for each in [each for of_row in cells.values() for each in of_row]:
        each.arrays["test labels"] = labels
    for name, scores in (("SIM", 0.2 * labels + noise), ("SIM+MFQ", hour - 0.03 * labels + 0.1 * noise)):
        for each in cells[name]:
            each.arrays["test scores"] = scores.astype(np.float32)
    found = measure(table, cells, "test", NoTruth(tmp_path))
    pooled = found.improvements["SIM+MFQ"].found["auc"].interval.mean
    hourly = found.hourly_gain("SIM+MFQ", "auc")
    assert hourly is not None and hourly < 0 < pooled
    notes = sheets(found)[1].notes
    said = next(note for note in notes if note.startswith("AUC: Impr. with another sign"))
    assert f"SIM+MFQ (pooled {100 * pooled:+.2f} %, hourly {100 * hourly:+.2f} %)" in said
    users = cell["test users"]
    both = sum(0 < labels[users == user].mean() < 1 for user in np.unique(users))
    pairs = np.unique(np.stack([users, hour]), axis=1).T
    of_hours = sum(0 < labels[(users == user) & (hour == h)].mean() < 1 for user, h in pairs)
    assert f"pooled of {both:,} users with both" in " ".join(notes)
    assert f"over hours of {of_hours:,} user-hours with both, of {len(pairs):,}." in " ".join(notes)
    assert found.hourly_gain("SIM", "auc") is None
    report = Report(tmp_path / "two")
    write_report(report, found, sheets(found), ["Data: toy"], "real", {}, cells)
    content = json.loads(report.json.read_text())
    assert content["rows"]["SIM+MFQ"]["hourly improvement"]["auc"] == pytest.approx(hourly)
    assert said in content["notes"] and said in report.html.read_text().replace("&#x27;", "'")
    with report.csv.open() as file:
        lines_of = [line for line in csv.DictReader(file) if line["averaged"] == "hours"]
    (one,) = (line for line in lines_of if (line["row"], line["metric"]) == ("SIM+MFQ", "auc"))
    assert float(one["improvement"]) == pytest.approx(hourly) and one["against"] == "SIM"


def test_generated_samples_have_no_p_values(table, cells, tmp_path):
    found = measure(table, cells, "test", NoTruth(tmp_path, "sample"))
    printed = sheets(found)
    text = "\n".join(line for sheet in printed for line in lines(sheet))
    assert not any("p" in sheet.headings for sheet in printed)
    assert not re.search(r"\bp\b", text.replace(UNTESTED, ""))
    assert text.count(UNTESTED) == 1
    assert "AUC: SIM+MFQ+GIE is above 3 of 3 rows" in text
    report = Report(tmp_path / "two")
    write_report(report, found, printed, ["Data: toy"], "sample", {}, cells)
    with report.csv.open() as file:
        assert {(line["p"], line["p_holm"]) for line in csv.DictReader(file)} == {("", "")}


def test_the_report_stands_alone_and_is_loud_about_simulations(measures, cells, tmp_path, check_report):
    report = Report(tmp_path / "table-2")
    provenance = ["Data: toy (SIMULATED)", "SIMULATED: says <nothing>"]
    write_report(
        report,
        measures,
        sheets(measures),
        provenance,
        "simulated",
        {"settings given": {"epochs": 3}},
        cells,
    )
    page = check_report(report.html)
    assert '<p class="loud">SIMULATED: says &lt;nothing&gt;</p>' in page
    assert len(page) > 500_000  # plotly.js is inside, packed
    assert "In a simulation, SIM+MFQ+GIE is above " in page and "differences" in page
    assert page.count("<figure>") == 3
    content = json.loads(report.json.read_text())
    assert content["rows"]["SIM+MFQ"]["pooled"]["auc"] == measures.rows["SIM+MFQ"].pooled["auc"]
    assert content["settings given"] == {"epochs": 3}
    with report.csv.open() as file:
        found = [
            line for line in csv.DictReader(file) if line["row"] == "SIM+MFQ" and line["averaged"] == "pooled"
        ]
    assert [line["metric"] for line in found] == ["auc", "uauc", "gauc"]
    gain = measures.improvements["SIM+MFQ"].found["auc"].interval.mean
    assert float(found[0]["improvement"]) == pytest.approx(gain)
    assert found[0]["kind"] == "simulated"
