"""`mmbee table 3` from end to end, and what bad input gets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.experiments.rows import PAPER, chosen
from mmbee_plugin.recbole.config.tuned import Trial
from mmbee_plugin.recbole.tune import space_file
from mmbee_plugin.tables.ranking import command
from mmbee_plugin.tables.ranking.rows import OWN_DIEN, table_rows
from mmbee_plugin.tables.ranking.tuning import begin_tuning

SMALL = ("--dataset=toy", "--seeds=1", "--epochs=1", "--jobs=1")
ROW = "--only=LightGCN"
RUNAWAY = {"learning_rate": 1e30, "train_batch_size": 8}
"""after a batch the loss is no number"""


@pytest.fixture
def table(toy, in_this_process, run_table):
    """`run_table` beside `datasets/toy`; tests/tables/test_command.py has a table whose cells are made in processes."""
    return run_table


def test_a_table_is_tuned_run_and_printed_again_without_running(table):
    Path("tuned").mkdir()
    code, out, err = table("3", *SMALL, ROW, "--tune=0.05", "--tuned=tuned")
    assert code == 0, err
    assert "1 of 1 rows: LightGCN tuned" in err and "1 of 1 cells: " in err
    trials = json.loads(Path("tuned/LightGCN.json").read_text())["trials"]
    line = next(line for line in out.splitlines() if line.startswith("| LightGCN"))
    assert line.split("|")[8].strip() == str(len(trials))
    assert "Table 3. Full ranking, valid split: 40 pairs of 40 users" in out
    code, out, err = table("3", *SMALL, ROW, "--tuned=tuned", "--split=test", "--out=kept/three")
    assert (code, err) == (0, "")  # no cell is made again
    assert "Where the figures come from" in out and "few: pairs of users with at most two" in out
    content = json.loads(Path("kept/three.json").read_text())
    assert content["data"]["name"] == "toy" and len(content["data"]["hash"]) == 64
    best = trials[0]["settings"]
    assert best.items() <= content["settings in effect"]["LightGCN"].items()


def test_the_paper_s_row_is_never_tuned_and_dien_by_its_own_name(table, small_paper):
    """MMBee's tuned settings are not for the row with the paper's."""
    folder = DatasetFolder(Path("datasets/toy"))
    for name, model, own in (("MMBee", "MMBee", {}), ("DIEN", "SIM", OWN_DIEN)):
        given = {"epochs": 1, **own}
        search = begin_tuning(Path(f"tuned/{name}.json"), model, folder, given, space_file(name))
        search.add(Trial({"dropout_prob": 0.25}, 0.3, {}, 1, 60.0, False, "", {}))
    rows = ("MMBee", PAPER, "SIM", "DIEN")
    chosen = [f"--only={row}" for row in rows]
    size = ("--embedding_size=8", "--mlp_hidden_size=[8,4]", "--graph.folds=2", "--head=dot")
    code, out, err = table("3", *SMALL, *chosen, *size, "--tuned=tuned", "--out=kept/three")
    assert code == 0, err
    content = json.loads(Path("kept/three.json").read_text())
    settings = content["settings in effect"]
    assert [settings[row]["dropout_prob"] for row in rows] == [0.25, 0.0, 0.5, 0.25]
    assert [settings[row]["backbone"] for row in rows] == ["mean", "sim", "sim", "dien"]
    assert [settings[row]["head"] for row in rows] == ["dot", "mlp", "dot", "mlp"]
    assert [settings[row]["graph"]["folds"] for row in rows[:2]] == [2, 0]
    assert [settings[row]["embedding_size"] for row in rows] == [8, 16, 8, 8]
    assert {settings[row]["epochs"] for row in rows} == {1}  # given, so it is for the paper's row too
    assert (settings["DIEN"]["content"], settings["DIEN"]["interest"]) == ("none", "none")
    assert set(content["tuned"]) == {"MMBee", "DIEN"}
    assert "DIEN keeps its own head mlp; what was given is for the other rows." in out
    assert (
        f"{PAPER} keeps its own embedding_size 16, mlp_hidden_size [16, 8], graph.folds 0, head mlp; " in out
    )
    assert "Not tuned, with the settings of the dataset's file: SIM." in out
    assert f"{PAPER}: the settings of recbole_configs/paper.yaml, over the dataset's for MMBee" in out


def test_seeds_choose_among_the_finalists(table):
    folder = DatasetFolder(Path("datasets/toy"))
    search = begin_tuning(
        Path("tuned/LightGCN.json"), "LightGCN", folder, {"epochs": 1}, space_file("LightGCN")
    )
    for score, settings in ((0.3, {"learning_rate": 0.003}), (0.2, {}), (0.4, RUNAWAY)):
        search.add(Trial(settings, score, {}, 1, 60.0, False, "", {}))
    arguments = ("3", *SMALL, ROW, "--tune=3", "--finalists=5", "--tuned=tuned")  # the minutes are spent
    code, out, err = table(*arguments)
    assert code == 0, err
    assert "3 of 3 cells: " in err and "LightGCN, seed 2020, settings 3 in " in err
    assert "Of each row stand the best of 3 settings by their mean over one seed on validation." in out
    kept = json.loads(Path("tuned/LightGCN.json").read_text())
    first, second, last = kept["finalists"]
    assert first["scores"] >= second["scores"] and len(first["scores"]) == 1
    assert last["settings"] == RUNAWAY and last["scores"] == [None]
    content = json.loads(Path("results/table-3-toy-valid.json").read_text())
    assert first["settings"].items() <= content["settings in effect"]["LightGCN"].items()
    code, again, err = table(*arguments)
    assert (code, again) == (0, out) and "cells" not in err


def test_rows_of_features_are_left_out_where_there_are_none(table, monkeypatch):
    description = Path("datasets/toy/dataset.json")
    content = json.loads(description.read_text())
    del content["modalities"]["visual"]
    description.write_text(json.dumps(content))
    Path("datasets/toy/visual.npy").unlink()
    monkeypatch.setattr(
        command, "table_rows", lambda: chosen(table_rows(), ["FBSM", "GRCN", "EASE", "MostPop"], "")
    )
    code, out, err = table("3", *SMALL)
    assert code == 0, err
    assert "Left out, since they read item features and the data have none: GRCN, FBSM." in out
    assert "| EASE" in out and "| FBSM" not in out
    code, out, err = table("3", *SMALL, "--only=FBSM")
    assert (code, out) == (2, "") and "FBSM reads item features and" in err


def test_a_row_whose_loss_runs_away_is_named(table):
    code, out, err = table("3", *SMALL, ROW, *(f"--{name}={value}" for name, value in RUNAWAY.items()))
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith(
        "error: LightGCN: with its settings the loss of a seed is no number"
    )


def test_bad_input_is_one_line_and_status_2(table):
    for arguments, message in (
        (("3", "--dataset=nowhere"), "dataset 'nowhere' is unknown"),
        (("3", "--dataset=toy", "--split=all"), "one of valid, test is needed"),
        (("3", "--dataset=toy", "--only=BPR"), "table 3 has no row 'BPR'"),
        (("3", "--dataset=toy", "--epoch=3"), "did you mean epochs?"),
        (("3", "--dataset=toy", "--topk=[5,100]"), "has only 24 items to rank"),
        (("3", *SMALL, "--only=LightGCN", "--tune=1", "--learning_rate=1"), "searches it"),
        (("3", "--dataset=toy", "--finalists=2"), "--finalists needs --tune"),
        (("2", "--dataset=toy", "--tune=5"), "--tune and --tuned are of table 3"),
    ):
        code, out, err = table(*arguments)
        assert (code, out) == (2, ""), arguments
        assert message in err, err
        assert err.count("\n") == 1, err


def test_what_a_row_sets_itself_makes_no_tuning_stale(toy):
    folder, given = DatasetFolder(toy), {"epochs": 1, **OWN_DIEN}
    search = begin_tuning(Path("tuned/DIEN.json"), "SIM", folder, given, space_file("DIEN"))
    search.add(Trial({"dropout_prob": 0.25}, 0.3, {}, 1, 60.0, False, "", {}))

    def stale(**today):
        lines = command._tuning_lines({"DIEN": search}, [], folder, {"DIEN": {**given, **today}})
        return any("other settings than today's" in line for line in lines)

    assert not stale(gpu_id="", show_progress=False)
    assert stale(epochs=2) and stale(embedding_size=8)
