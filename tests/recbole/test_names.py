"""Runs that start in the same second: files of their own, and the figures that each has alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmbee_plugin import files
from mmbee_plugin.recbole.run import main

SETTINGS = [
    *("--data_path=datasets", "--dataset=my.set", "--epochs=2", "--train_batch_size=64", "--gpu_id="),
    *("--eval_args={split: {RS: [0.6, 0.2, 0.2]}, order: TO}", "--embedding_size=8"),
]
ARGUMENTS = {
    "BPR": ["--model=BPR", *SETTINGS],
    "MMBee": ["--model=MMBee", *SETTINGS, "--interest=none", "--content=none"],
}
FROZEN = """
import json, sys, time
time.strftime = lambda *_: "Nov-29-2026_09-28-09"
from mmbee_plugin.recbole.run import main
print("ready", flush=True)
sys.stdin.readline()  # until both are there
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["run"]
    assert main(arguments) == 0
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, write_folder, random_rows):
    """A dataset whose name has a dot: RecBole cuts the names of TensorBoard folders there."""
    write_folder(random_rows, name="my.set")
    monkeypatch.chdir(tmp_path)


def _metrics(result: str) -> dict[str, object]:
    content = json.loads(Path(result).read_text())
    return {split: content[split] for split in ("valid", "test")}


def test_two_processes_of_one_second():
    """Each ends with its own files and with the figures of the same run made alone."""
    processes = []
    for seed in (1, 2):
        given = [
            [*ARGUMENTS[model], f"--seed={seed}", f"--result={model}-{seed}.json"] for model in ARGUMENTS
        ]
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", FROZEN, json.dumps(given)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
            )
        )
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        process.communicate("go\n", timeout=120)
        assert process.returncode == 0
    for model in ARGUMENTS:
        checkpoints = {json.loads(Path(f"{model}-{seed}.json").read_text())["checkpoint"] for seed in (1, 2)}
        assert len(checkpoints) == 2
        lasts = {name.replace(".pth", "-last.pth") for name in checkpoints}
        assert {str(file) for file in Path("saved").glob(f"{model}-my.set-*.pth")} == checkpoints | lasts
        assert len(list(Path("log", model).iterdir())) == 2
        for seed in (1, 2):
            assert main([*ARGUMENTS[model], f"--seed={seed}", "--result=alone.json"]) == 0
            assert _metrics("alone.json") == _metrics(f"{model}-{seed}.json")
    assert len(list(Path("log_tensorboard").iterdir())) == 8


@pytest.mark.parametrize("model", ARGUMENTS)
def test_a_name_that_is_taken_is_not_used(model, monkeypatch):
    """With the same digits too, each run finds a name of its own."""
    digits = iter([7] * 8 + list(range(100)))
    monkeypatch.setattr(files.time, "strftime", lambda *_: "Nov-29-2026_09-28-09")
    monkeypatch.setattr(files.secrets, "randbelow", lambda _: next(digits))
    for result in ("first.json", "second.json"):
        assert main([*ARGUMENTS[model], f"--result={result}"]) == 0
    assert len(list(Path("saved").glob("[!.]*"))) == 4  # beside hidden locks
    assert len(list(Path("log", model).iterdir())) == 2


def test_a_run_that_keeps_nothing_leaves_no_checkpoint():
    from mmbee_plugin.data.folder import DatasetFolder
    from mmbee_plugin.recbole.run import build_config, train_and_test

    folder = DatasetFolder(Path("datasets/my.set"))
    config = build_config("BPR", folder, {"epochs": 1, "gpu_id": "", "show_progress": False})
    train_and_test(config, folder, saved=False)
    assert not list(Path("saved").iterdir())
