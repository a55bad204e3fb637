"""A small livesim 2 trains under RecBole and under TorchRec, and goes through table 2 from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("recbole", reason="RecBole is not installed")

from mmbee_plugin.builtin.sample import ensure
from mmbee_plugin.cli import app
from mmbee_plugin.command.yaml_settings import read_mapping
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.livesim.second.settings import SecondSettings
from mmbee_plugin.livesim.worlds import WORLDS

SMALL = {"users": 300, "authors": 40, "density": 3.0}
QUICK = ("--epochs=1", "--embedding_size=8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> DatasetFolder:
    """The dataset `livesim2`, small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(WORLDS, 2, lambda: SecondSettings(**SMALL))
        return ensure("livesim2", tmp_path_factory.mktemp("datasets"))


def test_table_2_runs_from_end_to_end(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["mmbee"])
    options = ["--data-path", str(folder.path.parent), "--seeds=1", "--jobs=1", "--only=SIM", "--split=test"]
    result = CliRunner().invoke(app, ["table", "2", "--dataset=livesim2", *options, *QUICK])
    assert result.exit_code == 0, result.output
    assert "livesim 2" in result.output and "best possible" in result.output
    written = json.loads((tmp_path / "results" / "table-2-livesim2-test.json").read_text())
    assert written


def test_torchrec_trains_on_its_shards(folder, tmp_path, monkeypatch):
    pytest.importorskip("torchrec", reason="TorchRec is not installed")
    from mmbee_plugin.torchrec.processes.launch import process_group
    from mmbee_plugin.torchrec.settings import parse_settings
    from mmbee_plugin.torchrec.training.loop import Trainer

    monkeypatch.chdir(tmp_path)
    graph = ["--graph.top_k=5", "--graph.reach_top_k=5", "--graphcl.width=8", "--graphcl.epochs=1"]
    options = ["--data-path", str(folder.path.parent), *graph]
    result = CliRunner().invoke(app, ["data", "shards", "livesim2", "shards", *options])
    assert result.exit_code == 0, result.output
    given = read_mapping(Path(__file__).parents[3] / "torchrec_configs" / "livesim.yaml")
    given["data"] |= {"shards": "shards"}
    given["model"] |= {"width": 8}
    given["train"] |= {"epochs": 1}
    given["checkpoint"] = {"folder": "saved"}
    with process_group(60) as process:
        outcome = Trainer(parse_settings(given, "test"), process).run()
    losses = np.array(list(outcome["losses"].values()))
    assert len(losses) and np.isfinite(losses).all()
    assert 0 < outcome["validation"][1]["gauc"] < 1
