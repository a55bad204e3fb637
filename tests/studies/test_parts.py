"""`mmbee study parts`: which models are trained on which data, and what their differences say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from mmbee_plugin.builtin import sample
from mmbee_plugin.cli import app
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.metrics import gauc
from mmbee_plugin.experiments.cells import Cell
from mmbee_plugin.recbole.config import files
from mmbee_plugin.studies.parts import measured_parts, planned_parts
from mmbee_plugin.studies.parts_figure import parts_figure
from mmbee_plugin.tables.command import MODEL
from mmbee_plugin.tables.ranking.rows import table_rows
from mmbee_plugin.tables.ranking.run import FAILED, ranking_jobs
from mmbee_plugin.tables.rows import make_table
from mmbee_plugin.tables.run import labelled_jobs

GIVEN = {"embedding_size": 8, "gpu_id": "", "show_progress": False}
PATHS = ("u2a2u", "u2a2u2a", "u2a2a", "a2a", "a2u2a")


@pytest.fixture
def folders(live_path, monkeypatch) -> list[DatasetFolder]:
    """The tiny live folder, which is labelled, and the built-in sample, which is ranked."""
    monkeypatch.setattr("sys.argv", ["pytest"])
    monkeypatch.chdir(live_path.parents[1])
    sample.write(live_path.parent / "tiktok")
    return [DatasetFolder(live_path), DatasetFolder(live_path.parent / "tiktok")]


def labelled_cell(folder: DatasetFolder, skill: float, seed: int) -> Cell:
    """Scores that know the labels of the validation rows as well as ``skill`` says."""
    rows, labels = folder.interactions("valid"), folder.rows("valid").labels
    noise, of_seed = (np.random.default_rng(one).normal(size=len(labels)) for one in (0, seed))
    scores = skill * labels + noise + 0.01 * of_seed
    columns = {"users": rows.users.astype(np.int32), "labels": labels, "scores": scores.astype(np.float32)}
    return Cell({f"valid {name}": values for name, values in columns.items()})


def ranked_cell(skill: float, seed: int, users: int = 300) -> Cell:
    """Ranks of one positive a user, the smaller the larger ``skill`` is."""
    noise = np.random.default_rng(0).exponential(30, users) + 0.1 * np.random.default_rng(seed).random(users)
    degrees, who = np.ones(users, dtype=np.int32), np.arange(users, dtype=np.int32)
    columns = {"users": who, "items": who % 50, "ranks": (noise / skill).astype(np.int32)}
    columns |= {"user degrees": degrees, "item degrees": degrees}
    return Cell({f"valid {name}": values for name, values in columns.items()}, {"side_by_side": 1})


def test_models_are_those_of_the_tables(folders):
    live, ranked = folders
    (of_live, of_ranked), names = planned_parts(folders, GIVEN, (), [1, 2])
    assert names == [
        *(*PATHS, "GraphCL", "reach", "reach by content", "reach by visits"),
        *("folds", "GIE", "MFQ", "queries", "match"),
        *("visual", "speech", "comment", "acoustic", "text"),
    ]
    assert (of_live.metric, of_live.ranks, of_ranked.metric, of_ranked.ranks) == (
        *("GAUC", False, "Recall@20", True),
    )
    absent = "not in the data or settings"
    off = dict.fromkeys(("reach by content", "reach by visits"), "off in its settings")
    assert of_live.lacking == off | dict.fromkeys(("acoustic", "text"), absent)
    assert of_ranked.lacking == off | dict.fromkeys(("speech", "comment"), absent)
    table = {row.labels[-1]: row for row in make_table(7, live.modalities, PATHS).rows}
    rows = {"a2a": "h_a2a(-)", "GraphCL": "Θ(-)", "reach": "reach(-)", "GIE": "h_g(-)", "MFQ": "h_m(-)"}
    rows |= {"queries": "q_m(-)", "match": "match(-)", MODEL: "Ours"}
    for name, operator in rows.items():
        expected = labelled_jobs("row", MODEL, live, {**GIVEN, **table[operator].settings}, [1, 2])
        assert [job.key for job in of_live.jobs[name]] == [job.key for job in expected], name
    assert of_live.jobs["folds"][0].key["settings"]["graph"]["folds"] == 0
    assert of_live.jobs["speech"][0].key["settings"]["modalities"] == ["visual", "comment"]
    full = next(row for row in table_rows() if row.name == MODEL)
    assert of_ranked.jobs[MODEL][0].key == ranking_jobs(full, ranked, GIVEN, [1])[0].key
    keys = [str(own[0].key) for own in of_ranked.jobs.values()]
    assert len(set(keys)) == len(keys) == 16
    # The shipped tuning is of the real files, the sample has their name.
    assert of_live.tuned == "" and of_ranked.tuned == (
        f"{MODEL}.json, which were found on other files of this dataset's name"
    )


@pytest.mark.parametrize(
    ("given", "lacking"),
    [
        ({"content": "concat"}, {"queries": "no queries in its content encoder"}),
        ({"content": "none"}, {"queries": "no content encoder in its settings"}),
        ({"modalities": ["visual"]}, {"visual": "the only modality"}),
        ({"metapaths": ["a2a"]}, {"a2a": "the only metapath"}),
        ({"interest": "none"}, {"reach": "no graph in its settings", "a2a": "no graph in its settings"}),
        ({"graph": {"reach_top_k": 0, "visits": 0.5}}, {"reach by visits": "off in its settings"}),
    ],
)
def test_a_part_that_is_not_there_is_not_left_out(folders, given, lacking):
    names = [*lacking, "folds" if "content" in given or "modalities" in given else "match"]
    (planned, _), _ = planned_parts(folders, {**GIVEN, **given}, names, [1])
    assert planned.lacking == lacking and list(planned.jobs) == [MODEL, names[-1]]


def test_a_part_that_the_data_set_s_file_turns_off(folders, tmp_path, monkeypatch):
    shipped = (files.config_folder() / "livesim.yaml").read_text()
    (tmp_path / "tinylive.yaml").write_text(f"{shipped}\nnode_tables: fresh\n")
    monkeypatch.setattr(files, "config_folder", lambda: tmp_path)
    (planned,), _ = planned_parts(folders[:1], GIVEN, ("GraphCL", "match"), [1])
    assert planned.lacking == {"GraphCL": "off in its settings"} and list(planned.jobs) == [MODEL, "match"]


def test_differences_are_the_metric_s(folders, check_answer):
    (of_live, of_ranked), names = planned_parts(folders, GIVEN, ("GIE", "MFQ", "text"), [1, 2])
    skill = {MODEL: 3.0, "GIE": 0.0, "MFQ": 3.0, "text": 3.0}
    live = {name: [labelled_cell(folders[0], skill[name], seed) for seed in (1, 2)] for name in of_live.jobs}
    ranked = {name: [ranked_cell(1 + skill[name], seed) for seed in (1, 2)] for name in of_ranked.jobs}
    brought = [measured_parts(of_live, live, "valid"), measured_parts(of_ranked, ranked, "valid")]
    values = {
        name: np.mean(
            [gauc(*(cell.arrays[f"valid {one}"] for one in ("users", "labels", "scores"))) for cell in of]
        )
        for name, of in live.items()
    }
    assert brought[0].parts["GIE"].gain("gauc") == pytest.approx(values[MODEL] - values["GIE"])
    assert brought[0].parts["MFQ"].gain("gauc") == 0 and brought[0].p("GIE") < 0.05
    hits = {
        name: np.mean([(cell.arrays["valid ranks"] < 20).mean() for cell in of])
        for name, of in ranked.items()
    }
    assert brought[1].parts["GIE"].gain("recall@20") == pytest.approx(hits[MODEL] - hits["GIE"])
    assert brought[1].full == [
        pytest.approx((cell.arrays["valid ranks"] < 20).mean()) for cell in ranked[MODEL]
    ]
    said, sheet, plot = parts_figure(brought, names, 2, "valid")
    check_answer(said, sheet, plot)
    assert sheet.headings == ("part", "tinylive, GAUC", "p", "tiktok, Recall@20", "p")
    assert [row[0] for row in sheet.rows] == [MODEL, "GIE", "MFQ", "text"]
    assert sheet.rows[3][1:3] == ("-", "") and sheet.rows[3][4] == ""  # the sample is not tested
    assert "tinylive, -: text: not in the data or settings." in sheet.notes
    assert any(note.startswith("SAMPLE") for note in sheet.notes)
    assert said == "over tinylive, GIE brings something beyond chance; within chance everywhere: MFQ"
    real = replace(brought[1], planned=replace(of_ranked, folder=SimpleNamespace(name="other", kind="real")))
    assert parts_figure([brought[0], real], names, 2, "valid")[0] == (
        "over tinylive and other, GIE on tinylive and other brings something beyond chance; within chance everywhere: "
        "MFQ and text"
    )
    assert parts_figure(brought[1:], names, 2, "valid")[0] == (
        "over tiktok, GIE brings something; no difference anywhere: MFQ and text"
    )
    assert [list(trace.y) for trace in plot.figure.data] == [["GIE", "MFQ"], ["GIE", "MFQ", "text"]]


def test_a_part_that_costs_is_said(folders):
    (planned, _), names = planned_parts(folders, GIVEN, ("GIE", "MFQ"), [1])
    skill = {MODEL: 0.0, "GIE": 3.0, "MFQ": 0.0}
    cells = {name: [labelled_cell(folders[0], skill[name], 1)] for name in planned.jobs}
    said = parts_figure([measured_parts(planned, cells, "valid")], names, 1, "valid")[0]
    assert said == (
        "over tinylive, no part brings something beyond chance; GIE costs something; within chance everywhere: MFQ"
    )


def test_given_settings_are_the_full_models(folders):
    given = {**GIVEN, "graph": {"folds": 3, "top_k": 7}}
    (planned,), _ = planned_parts(folders[:1], given, ("folds", "match"), [1])
    graphs = {name: jobs[0].key["settings"]["graph"] for name, jobs in planned.jobs.items()}
    assert {name: (graph["folds"], graph["top_k"]) for name, graph in graphs.items()} == {
        MODEL: (3, 7),
        "folds": (0, 7),
        "match": (3, 7),
    }


def test_what_cannot_be_compared_is_one_line(folders):
    for given, only, message in (
        ({}, ("BPR",), "this study has no row 'BPR'; it has: u2a2u, "),
        ({"interest": "none"}, ("reach",), "the model has none of the parts reach there"),
        ({"valid_metric": "LogLoss"}, ("match",), "valid_metric LogLoss is not compared"),
    ):
        with pytest.raises(InputError, match=message):
            planned_parts(folders[:1], {**GIVEN, **given}, only, [1])
    (ranked,), _ = planned_parts(folders[1:], GIVEN, ("GIE",), [1])
    with pytest.raises(InputError, match="GIE: with its settings the loss of a seed is no number"):
        measured_parts(ranked, {MODEL: [ranked_cell(1, 1)], "GIE": [Cell(facts={FAILED: "NaN"})]}, "valid")


def test_the_command_trains_each_model_once(folders):
    small = ["--epochs=1", "--embedding_size=8", "--interest=none", "--seeds=1", "--jobs=1", "--only=match"]
    command = ["study", "parts", "--dataset=tinylive", "--dataset=tiktok", *small]
    first = CliRunner().invoke(app, command, catch_exceptions=False)
    assert first.exit_code == 0 and "0 of 4 cells are there" in first.stderr
    assert "| match " in first.output and "Nothing follows from one training of each model" in first.output
    assert Path("results/parts.html").is_file()
    again = CliRunner().invoke(app, [*command, "--dataset=tinylive"], catch_exceptions=False)
    assert again.stdout == first.stdout and "cells" not in again.stderr
