"""A checkpoint opened again scores as the run that wrote it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from mmbee_plugin.cli import app
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.scoring import open_trained
from mmbee_plugin.recbole.run import build_config, train_and_test
from mmbee_plugin.recbole.training import checkpoint
from mmbee_plugin.recbole.training.report import write_results
from mmbee_plugin.results import frame
from mmbee_plugin.studies.explain import find_moment
from mmbee_plugin.torchrec.shards.store import ShardStore
from mmbee_plugin.torchrec.shards.write import write_shards


def test_an_opened_checkpoint_has_the_metrics_of_its_run(live_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pytest"])
    folder = DatasetFolder(live_path)
    small = {"epochs": 1, "embedding_size": 8, "interest": "none", "gpu_id": "", "show_progress": False}
    result = train_and_test(build_config("MMBee", folder, {**small, "train_batch_size": 256}), folder)
    trained = open_trained(tmp_path / result.checkpoint)
    for split, reported in (("valid", result.valid), ("test", result.test)):
        samples = trained.samples(split)
        found = samples.pooled(trained.scores(split))
        assert {name: pytest.approx(value, abs=1e-5) for name, value in found.items()} == {
            "auc": reported["auc"],
            "uauc": reported["uauc"],
            "gauc": reported["gauc"],
        }
        interactions = folder.interactions(split)
        np.testing.assert_array_equal(samples.users, interactions.users)
        np.testing.assert_array_equal(samples.labels, folder.rows(split).labels)
        np.testing.assert_allclose(samples.times, interactions.timestamps)


def test_data_without_a_test_part_are_tested_nowhere(live_path, tmp_path, monkeypatch):
    """The samples of a day: their validation rows are no test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pytest"])
    (live_path / "tinylive.test.inter").unlink()
    description = json.loads((live_path / "dataset.json").read_text())
    (live_path / "dataset.json").write_text(json.dumps({**description, "splits": ["train", "valid"]}))
    folder = DatasetFolder(live_path)
    small = {"epochs": 1, "embedding_size": 8, "interest": "none", "gpu_id": "", "show_progress": False}
    result = train_and_test(build_config("MMBee", folder, small), folder)
    assert result.test == {} and set(result.valid) == {"auc", "uauc", "gauc", "logloss"}
    trained = open_trained(tmp_path / result.checkpoint)
    assert len(trained.scores("valid")) == 120
    for asked in (trained.scores, trained.samples, folder.check_part):
        with pytest.raises(InputError, match="no split 'test'; it has: train, valid"):
            asked("test")
    with pytest.raises(InputError, match="no split 'test'"):
        folder.rows("test")
    user, author = folder.user_tokens[0], folder.item_tokens[0]
    assert find_moment(trained, user, author).words == "As of the end of training."
    write_results(tmp_path / "day.json", [result], as_list=False)
    assert frame(tmp_path / "day.json")["split"].to_list() == ["valid"]
    write_shards(folder, tmp_path / "shards", graph=None)
    assert ShardStore(tmp_path / "shards").description.evaluated == {"valid": 120}
    for command in (["table", "2"], ["study", "parts"], ["study", "unseen"]):
        options = [*command, "--dataset=tinylive", "--data-path", str(live_path.parent), "--split=test"]
        with pytest.raises(InputError, match="no split 'test'"):
            CliRunner().invoke(app, options, catch_exceptions=False)


def test_what_cannot_be_scored_again_is_said(live_checkpoint, live_path, tmp_path):
    path = live_checkpoint(interest="none", content="none")

    def changed(edit):
        state = torch.load(path, weights_only=True)
        edit(state["config"]["__config__"]["settings"], state)
        torch.save(state, tmp_path / "other.pth")
        return tmp_path / "other.pth"

    with pytest.raises(InputError, match="expected one evaluated on labelled samples"):
        open_trained(changed(lambda config, _: config.update(eval_args={"mode": {"test": "full"}})))
    with pytest.raises(InputError, match="older version, it does not know the setting 'head'"):
        open_trained(changed(lambda config, _: config.pop("head")))
    with pytest.raises(InputError, match="other weights than this version's"):
        open_trained(changed(lambda _, state: state["state_dict"].popitem()))
    config = build_config("BPR", DatasetFolder(live_path), {"gpu_id": "", "show_progress": False})
    checkpoint.save({"config": config, "state_dict": {}}, tmp_path / "bpr.pth")
    with pytest.raises(InputError, match="a checkpoint of BPR"):
        open_trained(tmp_path / "bpr.pth")
    with (live_path / "tinylive.user").open("a") as file:
        file.write("\n")
    with pytest.raises(InputError, match="tinylive has changed since that run"):
        open_trained(path)
