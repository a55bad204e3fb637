"""`mmbee table` from end to end on a tiny live folder, and what bad input gets."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.tables.command import TableOptions, planned


@pytest.fixture
def table(monkeypatch, live_path, run_table):
    """`run_table` beside `datasets/tinylive`."""
    monkeypatch.chdir(live_path.parents[1])
    return run_table


def test_a_table_is_run_once_and_says_what_the_data_are(table, live_path):
    folder = DatasetFolder(live_path)
    (live_path / "truth").mkdir()
    np.save(
        live_path / "truth" / "test.npy", folder.rows("test").labels * 0.5
    )  # truth that knows the outcome
    command = ("2", "--dataset=tinylive", "--seeds=1", "--only=SIM", "--epochs=1", "--embedding_size=8")
    code, out, err = table(*command)
    assert code == 0, err
    assert "0 of 1 cells are there" in err
    assert "SIMULATED: these figures are of generated data and say nothing about any real data." in out
    assert "valid split, 120 samples" in out
    code, out, err = table(*command, "--split=test", "--out=kept/two")
    assert (code, err) == (0, "")  # no cell is made again
    best = next(line for line in out.splitlines() if line.startswith("| best possible"))
    assert best.count("1.0000") == 3
    content = json.loads((live_path.parents[1] / "kept" / "two.json").read_text())
    assert content["kind"] == "simulated"
    assert content["best possible"]["pooled"]["auc"] == 1.0


def test_bad_input_is_one_line_and_status_2(table):
    for arguments, message in (
        (("8", "--dataset=tinylive"), "table 8 is not one of 2, 3, 4, 5, 6, 7"),
        (("3", "--dataset=tinylive"), "tinylive: table 3 ranks all items"),
        (("2", "--dataset=nowhere"), "dataset 'nowhere' is unknown"),
        (("2", "--dataset=tinylive", "--split=all"), "one of valid, test is needed"),
        (("2", "--dataset=tinylive", "--only=MFQ"), "table 2 has no row 'MFQ'"),
        (("2", "--dataset=tinylive", "--content=mfq"), "setting 'content': the rows of table 2 set it"),
        (
            ("2", "--dataset=tinylive", "--only=SIM+GIE", "--num_queries=3"),
            "num_queries 3: nothing reads it, since content is none",
        ),
        (("7", "--dataset=tinylive", "--epoch=3"), "did you mean epochs?"),
        (
            ("2", "--dataset=tinylive", "--seed=7"),
            "seed 7: trainings here have seeds of their own; --seeds says",
        ),
        (("7", "--dataset=tinylive", "--metapaths=a2b"), "a2b"),
        (("4", "--dataset=tinylive", "--modalities=[smell]"), "unknown modality 'smell'"),
    ):
        code, out, err = table(*arguments)
        assert (code, out) == (2, ""), arguments
        assert message in err
        assert err.count("\n") == 1, err


def test_one_row_that_reads_a_setting_is_enough(live_path, monkeypatch):
    monkeypatch.chdir(live_path.parents[1])
    folder, given = DatasetFolder(live_path), {"num_queries": 3, "graph": {"top_k": 4}}
    chosen = TableOptions(2, "tinylive", live_path.parent, 1, "valid", (), 1, live_path, live_path)
    assert len(planned(chosen, folder, given).rows) > 15
    with pytest.raises(InputError, match=r"graph\.top_k 4: nothing reads it, since interest is none"):
        planned(replace(chosen, only=("SIM+MFQ",)), folder, given)
