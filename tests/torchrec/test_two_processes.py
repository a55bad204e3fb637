"""What two processes compute is what one computes, and a job ends when one of its processes fails."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

STEPS = 10
SECTIONS = ("user", "author", "query", "nodes", "words")


@pytest.fixture
def case(sample_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """Settings of one epoch, a little over 10 steps on batches of odd size, nothing drawn at random in the model."""

    def make(sharding: str, **model: Any) -> dict[str, Any]:
        calm = {"width": 16, "dropout": 0.0, "modality_dropout": 0.0, "default_query_rate": 0.0}
        return {
            "data": {"shards": str(sample_shards), "history": "prefix", "history_length": 8},
            "model": calm | model,
            "tables": {section: {"sharding": sharding} for section in SECTIONS},
            "train": {"batch_size": 161, "epochs": 1, "log_every": 1, "eval_every": 0},
            "checkpoint": {"folder": str(tmp_path_factory.mktemp("checkpoints"))},
        }

    return make


def errors(output: Path, rank: int) -> list[str]:
    return [
        line for line in (output / f"stderr-{rank}").read_text().splitlines() if line.startswith("error: ")
    ]


def test_one_process_and_two_agree(start, case, tmp_path):
    def cases() -> dict[str, Any]:
        unseen = {"unseen_rows": 9, "unseen_rate": 0.3}
        own = {"backbone": "sim", "head": "mlp", "loss": "bce", "searched": 3, **unseen}
        own |= {"pooling": "set", "neighbour_weights": False}
        found = {"table_wise": case("table_wise", **unseen), "row_wise": case("row_wise")}
        found["table_wise"]["train"]["eval_every"] = 1
        return found | {"own candidates": case("row_wise", **own), "pipelined": case("row_wise")}

    losses = {}
    for processes in (1, 2):
        assert start("jobs", processes, "losses", cases(), tmp_path) == [0] * processes
        losses[processes] = json.loads((tmp_path / f"losses-{processes}.json").read_text())
    one, two = losses[1], losses[2]
    for name in one:
        before, after = np.array(one[name]["losses"]), np.array(two[name]["losses"])
        assert len(before) >= STEPS
        assert before.std() > 0.01
        np.testing.assert_allclose(after[:STEPS], before[:STEPS], rtol=0, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(one["pipelined"]["losses"], one["row_wise"]["losses"], rtol=0, atol=1e-6)
    assert one["table_wise"]["losses"] != one["own candidates"]["losses"]
    for name, value in one["table_wise"]["validation"]["1"].items():
        assert two["table_wise"]["validation"]["1"][name] == pytest.approx(value, abs=0.01)


def test_a_failing_process_ends_the_job(start, tmp_path):
    begun = time.monotonic()
    assert start("jobs", 2, "crash", None, tmp_path) == [1, 1]
    assert time.monotonic() - begun < 30  # the group itself would wait 300 s
    assert "ZeroDivisionError" in (tmp_path / "stderr-1").read_text()


def test_a_planner_failure_is_known_everywhere(start, case, tmp_path):
    assert start("jobs", 2, "unplanned", case("row_wise"), tmp_path) == [2, 2]
    reason = "tables: no plan for 2 processes: no room"
    assert errors(tmp_path, 0) == [f"error: {reason}"]
    assert errors(tmp_path, 1) == [f"error: process 1: {reason}"]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_full_disk_is_one_line_on_every_process(start, case, tmp_path, rank):
    begun = time.monotonic()
    content = {"settings": case("row_wise"), "rank": rank}
    folder = Path(content["settings"]["checkpoint"]["folder"])
    assert start("jobs", 2, "full disk", content, tmp_path) == [2, 2]
    assert time.monotonic() - begun < 60
    for process in (0, 1):
        (line,) = errors(tmp_path, process)
        assert f"{folder / 'step-'}" in line and "cannot be written" in line
        assert "Traceback" not in (tmp_path / f"stderr-{process}").read_text()
    assert not list(folder.glob("step-*")) and not list(folder.glob(".step-*"))


def test_what_was_logged_before_a_failure_can_be_read(start, case, tmp_path):
    content = case("row_wise")
    content["train"]["learning_rate"] = 1e30
    assert start("jobs", 1, "training", content, tmp_path) == [2]
    (line,) = errors(tmp_path, 0)
    assert "the loss of step 2 is" in line or "the loss of step 3 is" in line
    events = EventAccumulator(str(Path(content["checkpoint"]["folder"]) / "tensorboard")).Reload()
    assert [scalar.step for scalar in events.Scalars("loss")][:1] == [1]


@pytest.mark.parametrize(
    ("section", "entries", "message"),
    [
        ("tables", {"user": {"optimizer": "adam"}}, "tables.user.optimizer: adam"),
        ("data", {"shards": "nowhere"}, "nowhere: no shards folder"),
        ("train", {"negatives": 0}, "loss softmax needs train.negatives"),
        ("model", {"metapaths": ["u2a"]}, "u2a"),
    ],
)
def test_bad_settings_are_one_line(start, case, tmp_path, section, entries, message):
    content = case("auto")
    content[section] |= entries
    assert start("jobs", 1, "training", content, tmp_path) == [2]
    (line,) = errors(tmp_path, 0)
    assert message in line
    assert "Traceback" not in (tmp_path / "stderr-0").read_text()
