"""What a run tells while it works, off a terminal."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmbee_plugin.recbole.run import main
from mmbee_plugin.recbole.training import progress
from mmbee_plugin.recbole.training.progress import Progress, begin_stage

TINY = ["--dataset=tiny", "--train_batch_size=64", "--gpu_id=", "--embedding_size=8",
        "--eval_args={split: {RS: [0.6, 0.2, 0.2]}, order: TO}"]  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, write_folder, random_rows):
    write_folder(random_rows)
    monkeypatch.chdir(tmp_path)


def epochs_of(out: str) -> list[str]:
    return [line for line in out.splitlines() if re.match(r"(\w+: )?epoch \d", line)]


def test_one_line_an_epoch_and_the_files_at_the_end(capsys):
    assert main(["--model=BPR", *TINY, "--epochs=3", "--result=out.json"]) == 0
    out, error = capsys.readouterr()
    lines = epochs_of(out)
    form = r"epoch {} of 3: loss \d\.\d{{4}}, recall@10 \d\.\d{{4}}( \(best\))?, \d+\.\d s{}"
    for number, line in enumerate(lines, 1):
        left = "; about 0 s left" if number < 3 else ""
        assert re.fullmatch(form.format(number, left), line), line
    assert len(lines) == 3 and "(best)" in lines[0]
    assert re.search(r"^ready after \d+\.\d s; at most 3 epochs of 3 batches$", out, re.MULTILINE)
    files = re.search(
        r"^BPR: weights of the best epoch in (saved/BPR-\S+\.pth), log in (log/BPR/\S+\.log)$", out, re.M
    )
    assert files and all(Path(file).is_file() for file in files.groups())
    assert out.endswith("Result: out.json\n")
    assert error == ""  # no bar off a terminal, no warning


def test_how_many_rows_are_trained_on_if_not_all(capsys):
    assert main(["--model=BPR", *TINY, "--epochs=1", "--train_newest=1"]) == 0
    found = re.search(
        r"^ready after \S+ s; (\d+) of (\d+) training rows, at most", capsys.readouterr().out, re.M
    )
    assert found and 0 < int(found[1]) < int(found[2])


def test_epochs_without_an_evaluation_and_the_bound_of_early_stopping(capsys):
    assert (
        main(
            [
                "--model=BPR",
                *TINY,
                "--epochs=40",
                "--eval_step=2",
                "--stopping_step=1",
                "--learning_rate=1e-20",
            ]
        )
        == 0
    )
    lines = epochs_of(capsys.readouterr().out)
    assert "recall@10" not in lines[0] and "recall@10" in lines[1]
    assert re.search(r"s; about \d+ s left, about \d+ s if none is better$", lines[1])
    # Without learning every evaluation is the best again, so nothing stops early.
    assert len(lines) == 40 and all("(best)" in line for line in lines[1::2])


def test_the_epoch_that_stops_says_so(capsys, monkeypatch):
    scores = iter([0.5, 0.4, 0.3, 0.2, 0.1])
    monkeypatch.setattr(
        "recbole.trainer.trainer.Trainer._valid_epoch", lambda *_, **__: (next(scores), {"recall@10": 0.0})
    )
    assert (
        main(["--model=BPR", *TINY, "--epochs=9", "--stopping_step=2", "--topk=10", "--metrics=Recall"]) == 0
    )
    lines = epochs_of(capsys.readouterr().out)
    assert len(lines) == 4 and lines[3].endswith("; stops, 3 evaluations in a row were no better")
    assert "(best)" in lines[0] and not any("(best)" in line for line in lines[1:])


def test_a_comparison_names_the_model_in_front(capsys):
    assert main(["--compare=BPR,Pop", *TINY, "--epochs=1"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in epochs_of(out)] == ["BPR:", "Pop:"]
    assert "BPR: ready after" in out and "Settings of Pop: RecBole's defaults <" in out


def test_a_resumed_run_says_where_it_goes_on(capsys):
    assert main(["--model=BPR", *TINY, "--epochs=1"]) == 0
    capsys.readouterr()
    last = next(Path("saved").glob("*-last.pth"))
    assert main([f"--resume={last}", "--epochs=3"]) == 0
    out = capsys.readouterr().out
    assert "at most 3 epochs of 3 batches, resumed at epoch 2" in out
    assert [line[:12] for line in epochs_of(out)] == ["epoch 2 of 3", "epoch 3 of 3"]
    assert f"< the run of {last} < command line" in out


def test_stages_that_last_are_told_and_others_not(capsys, monkeypatch):
    monkeypatch.setattr(progress, "SLOW", 0.05)
    told = Progress("MMBee")
    with told.listening():
        begin_stage("quick")
        begin_stage("graph stage: nodes")
        time.sleep(0.2)
        begin_stage("quick too")
    time.sleep(0.1)
    assert capsys.readouterr().out == "MMBee: graph stage: nodes ...\n"


def test_a_command_is_silent_of_what_libraries_say_of_each_other():
    """In a process of its own, with every warning asked for: import, training of a model with sparse tensors, test."""
    arguments = ["--model=LightGCN", *TINY, "--epochs=1"]
    code = "import sys; from mmbee_plugin.command.entry import start; sys.exit(start('mmbee_plugin.recbole.run'))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "default", "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
