"""Results of runs as a table."""

from __future__ import annotations

import pytest

from mmbee_plugin import results
from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.training.report import RunResult, write_results

DATA = {"name": "tiny", "kind": "sample"}


def result(name: str, **metrics: float) -> RunResult:
    halves = {metric: value / 2 for metric, value in metrics.items()}
    return RunResult(name, name.split()[0], halves, metrics, DATA, {}, 2.0, 300.0, "a.pth", "a.log")


def test_a_row_for_each_run_and_split(tmp_path):
    one, several = tmp_path / "one.json", tmp_path / "several.json"
    write_results(one, [result("BPR", auc=0.5)], as_list=False)
    compared = [result("MMBee", auc=0.75), result("MMBee content=none", auc=0.25, gauc=1.0)]
    write_results(several, compared, as_list=True)
    found = results.frame(one, several)
    assert found[["name", "model", "split", "auc"]].to_numpy().tolist() == [
        ["BPR", "BPR", "valid", 0.25],
        ["BPR", "BPR", "test", 0.5],
        ["MMBee", "MMBee", "valid", 0.375],
        ["MMBee", "MMBee", "test", 0.75],
        ["MMBee content=none", "MMBee", "valid", 0.125],
        ["MMBee content=none", "MMBee", "test", 0.25],
    ]
    assert found["gauc"].isna().tolist() == [True] * 4 + [False] * 2
    assert set(found["kind"]) == {"sample"} and set(found["seconds"]) == {2.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "cannot be read as a result"), ("[3]", "no result of a run"), ("{}", "no result")],
)
def test_what_is_no_result(tmp_path, text, message):
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(InputError, match=rf"a\.json: {message}"):
        results.frame(file)
    with pytest.raises(InputError, match=r"b\.json: cannot be read"):
        results.frame(tmp_path / "b.json")
