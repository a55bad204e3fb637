import json
import shutil
from pathlib import Path

import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.torchrec.checkpoints.checkpoint import StepState, save
from mmbee_plugin.torchrec.checkpoints.resume import (
    best_so_far,
    check_same_data,
    check_same_settings,
    checkpoint_to_resume,
)
from mmbee_plugin.torchrec.settings import parse_settings
from mmbee_plugin.torchrec.shards.store import ShardStore


def settings_with(**sections):
    return parse_settings({"data": {"shards": "shards"}, **sections}, "test")


def test_a_run_is_resumed_with_its_own_settings(tmp_path):
    saved = settings_with().model_dump(mode="json")
    same = {
        "train": {"epochs": 90, "log_every": 1},
        "tables": {"user": {"sharding": "row_wise"}},
        "checkpoint": {"keep": 9},
    }
    check_same_settings(saved, settings_with(**same), tmp_path)
    without = {**saved, "model": {name: value for name, value in saved["model"].items() if name != "log_q"}}
    with pytest.raises(InputError, match=r"model\.log_q=None, this one has True"):
        check_same_settings(without, settings_with(**same), tmp_path)
    for section, message in (
        ({"train": {"seed": 4}}, "train.seed=0, this one has 4"),
        ({"train": {"topk": (5,)}}, "train.topk="),  # by which the best epoch is chosen
        ({"tables": {"user": {"learning_rate": 0.5}}}, "tables.user.learning_rate=0.05, this one has 0.5"),
    ):
        with pytest.raises(InputError, match=message):
            check_same_settings(saved, settings_with(**section), tmp_path)


def test_shards_may_move_but_not_change(sample_shards, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(sample_shards, moved)
    saved = settings_with().model_dump(mode="json")
    check_same_settings(saved, settings_with(data={"shards": str(moved)}), tmp_path)
    state = StepState(0, 0, 0, saved, 1, data=ShardStore(sample_shards).identity)
    check_same_data(state, ShardStore(moved), tmp_path)
    description = json.loads((moved / "shards.json").read_text())
    for entry, value in (("dataset", "0" * 64), ("snapshot", None), ("rows", [1, 2, 3])):
        (moved / "shards.json").write_text(json.dumps(description | {entry: value}))
        with pytest.raises(
            InputError, match=f"other shards than .*moved: {entry if entry != 'rows' else ''}"
        ):
            check_same_data(state, ShardStore(moved), tmp_path)


class Weights:
    def state_dict(self):
        return {}


def test_the_best_epoch_is_the_one_whose_weights_are_there(tmp_path):
    """A run killed after it had saved a new best epoch, and before the epoch's own checkpoint."""
    assert best_so_far(tmp_path, None) is None
    assert best_so_far(tmp_path, {"epoch": 1}) == {"epoch": 1}
    save(tmp_path, StepState(2, 0, 16, {}, 1, best={"epoch": 2}), Weights(), None, keep=1, kind="best")
    assert best_so_far(tmp_path, {"epoch": 1}) == {"epoch": 2}


def test_checkpoints_of_another_run_are_left_alone(tmp_path):
    settings = settings_with(checkpoint={"folder": str(tmp_path)})
    assert checkpoint_to_resume(settings, resume=True) is None

    save(Path(tmp_path), StepState(1, 0, 8, settings.model_dump(mode="json"), 1), Weights(), None)
    assert checkpoint_to_resume(settings, resume=True) == tmp_path / "step-0000000008"
    with pytest.raises(InputError, match="has checkpoints of another run"):
        checkpoint_to_resume(settings, resume=False)
