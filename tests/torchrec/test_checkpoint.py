"""Checkpoints: losses go on as if nothing had happened, under other processes and shardings, and damage is one line."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import shutil
import signal
from pathlib import Path, PosixPath
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributed.checkpoint.metadata import _MEM_FORMAT_ENCODING

from mmbee_plugin.errors import InputError
from mmbee_plugin.torchrec.checkpoints import checkpoint
from mmbee_plugin.torchrec.checkpoints.checkpoint import StepState
from mmbee_plugin.torchrec.checkpoints.metadata import _Unpickler


@pytest.fixture(scope="module")
def run(start, tmp_path_factory):
    """Losses of the toy's steps: processes, sharding, source, destination, steps."""

    def losses(count: int, *arguments: Any) -> list[float]:
        result = tmp_path_factory.mktemp("result") / "losses.json"
        assert start("sharded_toy", count, result, *arguments) == [0] * count
        return json.loads(result.read_text())

    return losses


@pytest.fixture(scope="module")
def row_wise(run, tmp_path_factory):
    """Losses of six steps of two processes with row-wise tables, and the checkpoints that they left."""
    folder = tmp_path_factory.mktemp("row_wise")
    return run(2, "row_wise", folder / "nowhere", folder, 8), folder


def test_the_newest_stay(row_wise):
    _, folder = row_wise
    assert sorted(path.name for path in folder.iterdir()) == ["step-0000000004", "step-0000000006"]
    newest = checkpoint.latest(folder)
    state = checkpoint.read_state(newest)
    assert (state.step, state.batch, state.world_size, state.best) == (6, 6, 2, {"epoch": 0})
    assert checkpoint.latest(folder, "best") is None


def test_two_processes_row_wise_to_one_table_wise_and_back(run, row_wise, tmp_path):
    losses, folder = row_wise
    source = tmp_path / "source"
    shutil.copytree(folder / "step-0000000004", source / "step-0000000004")
    one = run(1, "table_wise", source, tmp_path / "one", 4)
    assert one == pytest.approx(losses[4:], abs=1e-6)
    again = run(2, "table_wise", tmp_path / "one", tmp_path / "two", 2)
    assert again == pytest.approx(losses[6:], abs=1e-6)
    assert losses[6] != pytest.approx(losses[5], abs=1e-4)  # else equal losses would mean little


@pytest.fixture(scope="module")
def train(start, sample_shards, tmp_path_factory):
    """Runs the training job on the sample: losses by step, and exit statuses."""

    def job(
        folder: Path, count: int = 2, resume: bool = False, fatal: tuple[int, ...] = ()
    ) -> tuple[dict, list]:
        content = {
            "data": {"shards": str(sample_shards), "history": "prefix"},
            "model": {"width": 16},
            "train": {"epochs": 2, "batch_size": 512, "log_every": 1, "timeout": 30},
            "checkpoint": {"folder": str(folder), "every": 4},
        }
        result = tmp_path_factory.mktemp("result") / "result.json"
        statuses = start("killed_job", count, content, result, resume, fatal)
        found = json.loads(result.read_text()) if result.exists() else {}
        return found, statuses

    return job


@pytest.fixture(scope="module")
def never_killed(train, tmp_path_factory):
    result, statuses = train(tmp_path_factory.mktemp("whole"))
    assert statuses == [0, 0]
    return result


@pytest.mark.parametrize("ranks", [(1,), (0, 1)], ids=["one", "all"])
def test_killed_and_resumed(train, never_killed, tmp_path, ranks):
    whole = never_killed["losses"]
    fatal = random.Random().randrange(5, len(whole))
    result, statuses = train(tmp_path, fatal=(fatal, *ranks))
    assert not result and all(statuses), fatal
    assert [statuses[rank] for rank in ranks] == [-signal.SIGKILL] * len(ranks)
    newest = checkpoint.latest(tmp_path) / "state.json"
    state = json.loads(newest.read_text())
    assert 4 <= state["step"] < fatal
    state["losses"]["0"] = 0.5  # a run from the start would not know it
    newest.write_text(json.dumps(state))
    result, statuses = train(tmp_path, resume=True)
    assert statuses == [0, 0]
    assert result["losses"] == whole | {"0": 0.5}, fatal
    assert result["validation"] == never_killed["validation"]
    assert result["best"] == never_killed["best"] and result["test"] == never_killed["test"]


def test_into_plain_tensors(row_wise):
    """Without a process group: names and shapes, then values."""
    newest = checkpoint.latest(row_wise[1])
    stored = checkpoint.tensors_of(newest, "model")
    assert tuple(stored["authors.embeddings.author.weight"].size) == (13, 4)
    table = torch.full((13, 4), torch.nan)
    checkpoint.read_into(newest, {"model": {"authors.embeddings.author.weight": table}})
    assert table.isfinite().all() and len(table.unique(dim=0)) == 13
    with pytest.raises(InputError, match="does not fit this model"):
        checkpoint.read_into(newest, {"model": {"authors.embeddings.author.weight": torch.empty(14, 4)}})


def test_a_killed_save_leaves_nothing_that_counts(tmp_path, monkeypatch):
    model = nn.Linear(2, 2)
    first = checkpoint.save(tmp_path, state(1), model, None)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.dcp, "save", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save(tmp_path, state(2), model, None)
    assert checkpoint.latest(tmp_path) == first
    assert checkpoint.save(tmp_path, state(2), model, None, keep=1) == checkpoint.latest(tmp_path)
    assert os.listdir(tmp_path) == ["step-0000000002"]
    assert checkpoint.save(tmp_path, state(2), model, None).exists()  # a second time


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"step-0000000001: cannot be written: Not a directory"):
        checkpoint.save(tmp_path / "file" / "job", state(1), nn.Linear(2, 2), None)


def test_a_later_step_of_another_course_goes(tmp_path):
    """Else it would count as the newest, and what is saved would be discarded at once."""
    model = nn.Linear(2, 2)
    checkpoint.save(tmp_path, state(9), model, None, keep=1, kind="best")
    saved = checkpoint.save(tmp_path, state(3), model, None, keep=1, kind="best")
    assert checkpoint.latest(tmp_path, "best") == saved
    assert os.listdir(tmp_path) == [saved.name]


def test_damaged_and_foreign_checkpoints_are_one_line(tmp_path):
    model = nn.Linear(2, 2)
    path = checkpoint.save(tmp_path, state(1), model, None)
    with pytest.raises(InputError, match="does not fit this model"):
        checkpoint.load(path, nn.Linear(3, 2))
    with pytest.raises(InputError, match=r"no checkpoint of this plugin"):
        checkpoint.read_state(tmp_path)
    described = json.loads((path / "state.json").read_text())
    for entry in ("files", "batch"):
        less = {name: value for name, value in described.items() if name != entry}
        (path / "state.json").write_text(json.dumps(less))
        with pytest.raises(InputError, match=f"entries {entry} do not fit"):
            checkpoint.read_state(path)
    (path / "state.json").write_text(json.dumps(described))
    metadata = path / ".metadata"
    whole = metadata.read_bytes()
    metadata.write_bytes(pickle.dumps(print)[: len(whole)].ljust(len(whole), b"."))
    with pytest.raises(InputError, match=r"it names builtins\.print"):
        checkpoint.load(path, model)
    metadata.write_bytes(whole)
    (shard,) = path.glob("*.distcp")
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"bytes, expected \d+ bytes; the checkpoint is damaged") as error:
        checkpoint.load(path, model)
    assert "\n" not in str(error.value)


def state(step: int) -> StepState:
    return StepState(0, step, step, {}, 1)


def test_paths_in_a_checkpoint_that_python_3_13_wrote():
    """There pickles name a path's class by another module, which earlier versions do not have."""
    assert _Unpickler(io.BytesIO(b"cpathlib._local\nPosixPath\n.")).load() is PosixPath
    with pytest.raises(pickle.UnpicklingError, match=r"it names pathlib\.os"):
        _Unpickler(io.BytesIO(b"cpathlib._local\nos\n.")).load()


def test_members_of_enumerations_that_python_3_11_2_wrote():
    """There a member is pickled as a call of getattr, which looks up members alone."""
    encoding = f"{_MEM_FORMAT_ENCODING.__module__}\n{_MEM_FORMAT_ENCODING.__name__}"

    def read(owner: str, name: str) -> Any:
        return _Unpickler(io.BytesIO(f"cbuiltins\ngetattr\n(c{owner}\nV{name}\ntR.".encode())).load()

    for name, member in _MEM_FORMAT_ENCODING.__members__.items():
        assert read(encoding, name) is member
    with pytest.raises(KeyError):
        read(encoding, "__class__")
    with pytest.raises(pickle.UnpicklingError, match=r"it names builtins\.getattr"):
        read("pathlib\nPosixPath", "home")
