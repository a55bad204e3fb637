"""Figures of cells whose ranks are known."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation import bootstrap
from mmbee_plugin.evaluation.resampling import means_on_resampled_users
from mmbee_plugin.evaluation.seeds import of_seeds
from mmbee_plugin.experiments.cells import Cell
from mmbee_plugin.experiments.report import Report
from mmbee_plugin.experiments.sheet import UNTESTED, lines
from mmbee_plugin.tables.ranking.layout import best_other_lines, ranking_sheets, verdict
from mmbee_plugin.tables.ranking.measures import ALL, FEW, NEW, measure
from mmbee_plugin.tables.ranking.plots import ranking_plots
from mmbee_plugin.tables.ranking.published import published
from mmbee_plugin.tables.ranking.report import write_ranking


@pytest.fixture
def measures(ranked_cell):
    cells = {
        "LightGCN": [ranked_cell(1, seed) for seed in (1, 2)],
        "MMBee": [ranked_cell(4, seed) for seed in (1, 2)],
        "MostPop": [ranked_cell(0.5)],
    }
    return measure(cells, "valid", 2, {"MMBee": 7}, "MMBee")


def test_figures_are_those_of_the_ranks(ranked_cell, measures):
    ranks = np.stack([ranked_cell(1, seed).arrays["valid ranks"] for seed in (1, 2)])
    row = measures.rows["LightGCN"]
    assert row.value("recall@10") == pytest.approx((ranks < 10).mean())
    assert row.value("precision@20") == pytest.approx((ranks < 20).mean() / 20)
    assert row.value("ndcg@10") == pytest.approx(np.where(ranks < 10, 1 / np.log2(ranks + 2), 0).mean())
    assert row.seeds["recall@10"] == pytest.approx((ranks < 10).mean(axis=1))
    assert row.costs == {
        **{"parameters": 100, "embedding_parameters": 60, "train_cpu_seconds": 1, "rank_cpu_ms": 0.5},
        **{"seconds": 3.0, "peak_rss_mb": 500.0},
    }


def test_a_table_of_one_side_says_what_is_not_compared(ranked_cell):
    def said(name):
        cells = {name: [ranked_cell(1, seed) for seed in (1, 2)]}
        return verdict(measure(cells, "valid", 2, {}, "MMBee"), "real")

    assert "LightGCN is not compared with MMBee" in said("LightGCN")
    assert "MMBee is compared with no other row" in said("MMBee")


def test_costs_stand_in_a_sheet_and_a_plot(measures):
    (cost,) = (sheet for sheet in ranking_sheets(measures, [], []) if sheet.title == "Cost")
    assert cost.headings[:5] == (
        *("Row", "Parameters", "of embeddings", "Training CPU s", "Ranking CPU ms a user"),
    )
    assert ("MostPop", "100", "60", "0.5", "0.5") in [row[:5] for row in cost.rows]
    said = next(note for note in cost.notes if "Training CPU s:" in note)
    assert said.endswith("Recall@20 for less Training CPU s: MostPop, LightGCN, MMBee.")
    headings = [plot.heading for plot in ranking_plots(measures)]
    assert "Recall@20 against cost" in headings


def test_groups_are_of_degrees(ranked_cell, measures):
    cell = ranked_cell(0.5)
    ranks, degrees = cell.arrays["valid ranks"], cell.arrays["valid user degrees"]
    few, new = degrees <= 2, cell.arrays["valid item degrees"] == 0
    assert measures.counts[FEW] == (few.sum(), few.sum()) and measures.counts[NEW] == (new.sum(), new.sum())
    assert measures.rows["MostPop"].value("recall@20", FEW) == pytest.approx((ranks[few] < 20).mean())
    assert measures.rows["MostPop"].value("recall@20", NEW) == pytest.approx((ranks[new] < 20).mean())
    by_degree = {name: n for name, (n, _) in measures.counts.items() if name[0].isdigit()}
    assert by_degree == {"0": 60, "1": 60, "2": 60, "3": 60, "4 to 5": 60}


def test_differences_are_the_paired_bootstrap(measures):
    own = measures.rows["MMBee"].users[ALL]["recall@20"]
    for name, seeds in (("LightGCN", 2), ("MostPop", 1)):
        other = measures.rows[name].users[ALL]["recall@20"]
        assert own.shape == (2, 300) and other.shape == (seeds, 300)
        draws = means_on_resampled_users((own - other).T).T
        expected = of_seeds((own - other).mean(axis=1), draws)
        found = measures.differences[ALL][name].found["recall@20"]
        assert found.interval.mean == pytest.approx(own.mean() - other.mean(), abs=1e-12)
        assert found.interval.low == pytest.approx(expected.interval.low)
        assert found.p_value == expected.p_value
    alone = [measures.differences[ALL][name].found["ndcg@10"].p_value for name in ("LightGCN", "MostPop")]
    corrected = [measures.differences[ALL][name].p_values["ndcg@10"] for name in ("LightGCN", "MostPop")]
    assert corrected == bootstrap.holm(alone)
    assert measures.best_other("recall@20") == "LightGCN"


def test_the_best_other_row_is_named_and_a_loss_is_said(ranked_cell):
    cells = {"MMBee": [ranked_cell(1)], "LightGCN": [ranked_cell(4)], "MostPop": [ranked_cell(1, 2)]}
    said = best_other_lines(measure(cells, "valid", 1, {}, "MMBee"))
    assert all("MMBee is not above the best other row, LightGCN" in line for line in said)


def test_rows_of_other_pairs_are_refused(ranked_cell):
    with pytest.raises(InputError, match="MMBee: ranked other valid pairs than LightGCN"):
        measure({"LightGCN": [ranked_cell(1)], "MMBee": [ranked_cell(1, users=299)]}, "valid", 1, {}, "MMBee")


def test_published_figures_have_a_heading_of_their_own(measures):
    printed = ranking_sheets(measures, ["as said"], published("tiktok"))
    for sheet in printed[:-2]:
        assert "0.0653" not in "\n".join(lines(sheet))
    assert printed[-2].title.startswith("Published, not measured here: the small TikTok")
    assert ("LightGCN", "0.0653") in printed[-2].rows
    assert not published("ml-100k")


def test_generated_samples_have_no_p_values(ranked_cell):
    cells = {"MMBee": [ranked_cell(4)], "LightGCN": [ranked_cell(1)]}
    printed = ranking_sheets(measure(cells, "valid", 1, {}, "MMBee", tested=False), ["as said"], [])
    text = "\n".join(line for sheet in printed for line in lines(sheet))
    assert not any("p" in sheet.headings for sheet in printed)
    assert not re.search(r"\bp\b", text.replace(UNTESTED, "")) and text.count(UNTESTED) == 1
    assert "Recall@20: MMBee is above the best other row, LightGCN: +" in text


def test_the_report_says_what_the_data_are(measures, ranked_cell, tmp_path, check_report):
    facts = {"data": {"name": "toy", "kind": "sample", "counts": {}, "hash": "0"}}
    cells = {name: [ranked_cell(1)] for name in measures.rows}
    report = Report(tmp_path / "three")
    write_ranking(
        report, measures, ranking_sheets(measures, [], []), ["Data: toy", "SAMPLE: no"], facts, cells
    )
    rows = list(csv.DictReader(report.csv.open()))
    one = next(
        row for row in rows if (row["row"], row["group"], row["metric"]) == ("LightGCN", "few", "ndcg@20")
    )
    assert float(one["value"]) == pytest.approx(measures.rows["LightGCN"].value("ndcg@20", FEW))
    assert float(one["difference"]) > 0 and one["against"] == "MMBee" and one["kind"] == "sample"
    content = json.loads(report.json.read_text())
    assert content["data"]["name"] == "toy" and content["rows"]["MMBee"]["settings tried"] == 7
    page = check_report(report.html)
    assert '<p class="loud">SAMPLE: no</p>' in page and "by user degree" in page


def test_a_model_that_ranks_nothing_has_zeros(ranked_cell):
    cell = ranked_cell(1)
    ranks = np.full(300, 50, dtype=np.int32)
    lost = replace(cell, arrays={**cell.arrays, "valid ranks": ranks})
    found = measure({"MMBee": [cell], "LightGCN": [Cell(lost.arrays, cell.facts)]}, "valid", 1, {}, "MMBee")
    assert found.rows["LightGCN"].value("recall@20") == 0
    assert best_other_lines(found)
