"""Every row through a cell, and what its ranks are."""

from __future__ import annotations

import numpy as np
import pytest

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.inspect.popularity import rank_by_popularity
from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.metrics import metrics_of_ranks
from mmbee_plugin.experiments.rows import chosen
from mmbee_plugin.tables.ranking.rows import RankedRow, table_rows
from mmbee_plugin.tables.ranking.run import ranking_jobs

ROWS = table_rows()
SMALL = {
    "epochs": 3,
    "eval_step": 1,
    "embedding_size": 8,
    "hidden_size": 8,
    "mlp_hidden_size": [16, 8],
    "MAX_ITEM_LIST_LENGTH": 3,
    "graph": {"folds": 2},
    "checkpoint_dir": "saved",
}


def job_of(toy, row: RankedRow, **given):
    return ranking_jobs(row, DatasetFolder(toy), {**SMALL, **given}, [1])[0]


@pytest.mark.parametrize("name", [row.name for row in ROWS])
def test_every_row_ranks_all_held_out_pairs(toy, small_paper, name):
    (row,) = chosen(table_rows(), [name], "table 3")
    job = job_of(toy, row)
    cell = job.work(*job.arguments)
    folder = DatasetFolder(toy)
    train = folder.interactions("train")
    for split in ("valid", "test"):
        rows = folder.interactions(split)
        order = np.lexsort((rows.items, rows.users))
        columns = {
            name: cell.arrays[f"{split} {name}"]
            for name in ("users", "items", "ranks", "user degrees", "item degrees")
        }
        assert np.array_equal(columns["users"], rows.users[order])
        assert np.array_equal(columns["items"], rows.items[order])
        assert (columns["ranks"] >= 0).all() and (columns["ranks"] < folder.counts["items"]).all()
        assert np.array_equal(columns["user degrees"], np.bincount(train.users)[columns["users"]])
        assert columns["item degrees"][columns["items"] == 23].sum() == 0
    assert {"data", "seconds", "peak_rss_mb", "versions"} <= set(cell.facts)
    assert cell.facts["train_cpu_seconds"] > 0 < cell.facts["rank_cpu_ms"]
    assert cell.facts["parameters"] >= cell.facts["embedding_parameters"]
    assert (cell.facts["embedding_parameters"] >= 24 * 8) == bool(
        row.model and not row.solved
    )  # items by the width
    if row.model and not row.solved:  # closed forms leave many ties, which RecBole orders as they come
        _, valid = metrics_of_ranks(cell.arrays["valid users"], cell.arrays["valid ranks"])
        for name, value in cell.facts["valid"].items():  # RecBole's, of the best epoch, to four digits
            assert value == pytest.approx(valid[name].mean(), abs=1e-4), name
        assert cell.facts["best_epoch"] <= cell.facts["epochs"] == 3


def test_most_popular_is_what_data_info_prints(toy):
    job = job_of(toy, chosen(ROWS, ["MostPop"], "table 3")[0])
    cell, folder = job.work(*job.arguments), DatasetFolder(toy)
    expected = rank_by_popularity(
        folder.interactions("train"), folder.interactions("test"), folder.counts["items"]
    )
    _, found = metrics_of_ranks(cell.arrays["test users"], cell.arrays["test ranks"])
    for name, values in found.items():
        assert values.mean() == pytest.approx(expected[name], abs=1e-12), name


def test_walks_and_linear_models_know_the_tastes(toy):
    recall = {}
    names = ["walk u-a-u-a", "walk u-a-u-a-u-a", "walk u-a-a", "EASE", "ItemKNN", "FBSM"]
    for row in chosen(ROWS, ["MostPop", *names], "table 3"):
        job = job_of(toy, row)
        cell = job.work(*job.arguments)
        recall[row.name] = metrics_of_ranks(cell.arrays["test users"], cell.arrays["test ranks"], [6])[1][
            "recall@6"
        ]
    for name in names:
        assert recall[name].mean() > recall["MostPop"].mean() + 0.3, name


def test_a_key_is_what_the_outcome_depends_on(toy):
    light, popular = chosen(ROWS, ["LightGCN", "MostPop"], "table 3")
    assert job_of(toy, light).key == job_of(toy, light, show_progress=True).key
    assert job_of(toy, light).key != job_of(toy, light, learning_rate=0.05).key
    assert job_of(toy, light).key != job_of(toy, light, mask_valid=True).key
    assert job_of(toy, popular).key != job_of(toy, popular, mask_valid=True).key
    linear = chosen(ROWS, ["EASE"], "table 3")[0]
    for row, jobs in ((popular, 1), (linear, 1), (light, 3)):
        assert len(ranking_jobs(row, DatasetFolder(toy), SMALL, [1, 2, 3])) == jobs


def test_other_evaluations_are_refused(toy):
    with pytest.raises(InputError, match="toy: table 3 ranks all items"):
        job_of(toy, chosen(ROWS, ["LightGCN"], "table 3")[0], eval_args={"mode": "uni100"})
    with pytest.raises(InputError, match="table 3 has no row 'BPR'; it has: NGCF, LightGCN"):
        chosen(ROWS, ["LightGCN", "BPR"], "table 3")
