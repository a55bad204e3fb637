"""Resuming: killed at any moment and resumed, a run ends as if it had never been interrupted."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from recbole.trainer import KGTrainer, Trainer, XGBoostTrainer
from recbole.utils import get_trainer

import mmbee_plugin
from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.run import main
from mmbee_plugin.recbole.training import checkpoint
from mmbee_plugin.recbole.training.trainer import MMBeeTrainer, Resumable, resumable

ROOT = Path(mmbee_plugin.__file__).parents[1]

# Runs the command line and kills its own process with SIGKILL at the given training batch.
KILLED = """
import os, signal, sys
from recbole.model.abstract_recommender import AbstractRecommender
from recbole.utils import get_model
from mmbee_plugin.recbole.run import main
name, fatal, left = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
model, seen = get_model(name), 0
stock = model.calculate_loss
def calculate_loss(self, interaction):
    global seen
    seen += 1
    if seen == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    return stock(self, interaction)
model.calculate_loss = calculate_loss
main(left)
"""


@pytest.fixture
def run(tmp_path, monkeypatch, write_folder, random_rows):
    """Runs the command line on a small folder in a fresh directory; returns the result it wrote."""
    write_folder(random_rows)
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str, model: str = "BPR") -> dict:
        assert main([*settings(model), "--result=out.json", *arguments]) == 0
        return json.loads(Path("out.json").read_text())

    return command


def settings(model: str = "BPR", epochs: int = 5) -> list[str]:
    return [f"--model={model}", "--dataset=tiny", f"--epochs={epochs}", "--train_batch_size=32", "--gpu_id=",
            "--learning_rate=0.05", "--eval_args={split: {RS: [0.6, 0.2, 0.2]}, order: TO}"]  # fmt: skip


def kill(model: str, batch: int, folder: str) -> Path:
    """A real process, killed by SIGKILL at its `batch`-th training batch; returns the checkpoint it left."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, model, str(batch), *settings(model), f"--checkpoint_dir={folder}"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(torch.get_num_threads())},
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    return next(Path(folder).glob(f"{model}-*-last.pth"))


def metrics(result: dict) -> dict:
    return {"valid": result["valid"], "test": result["test"], "split": result["dataset"]["split"]}


@pytest.mark.parametrize(("model", "batch"), [("BPR", 16), ("MMBee", 40)])
def test_killed_in_the_middle_of_an_epoch_and_resumed(run, model, batch):
    whole = run(model=model)
    last = kill(model, batch, folder="killed")
    state = checkpoint.load(last)
    assert 0 <= state["epoch"] < 4, "the kill should hit a middle epoch"
    resumed = run(f"--resume={last}", "--checkpoint_dir=killed", model=model)
    assert metrics(resumed) == metrics(whole)
    before, after = (
        checkpoint.load(path)["state_dict"] for path in (whole["checkpoint"], str(last).replace("-last", ""))
    )
    for name, weights in before.items():
        assert torch.equal(weights, after[name]), name


SMALL = {
    "MultiVAE": ["--mlp_hidden_size=[16]", "--latent_dimension=8"],
    "SASRec": [
        "--hidden_size=8",
        "--inner_size=8",
        "--n_layers=1",
        "--n_heads=1",
        "--MAX_ITEM_LIST_LENGTH=8",
    ],
    "MMBee": ["--embedding_size=8", "--MAX_ITEM_LIST_LENGTH=8"],
}


@pytest.mark.parametrize(
    ("model", "more"),
    [
        ("MultiVAE", []),
        ("SASRec", []),
        ("MMBee", []),
        ("MMBee", ["--table_optimizer=rowwise_adagrad", "--learning_rate_decay=0.7"]),
    ],
)
def test_stopped_early_and_resumed(run, monkeypatch, model, more):
    """The same in one process for other kinds of model: annealed, with histories, ours, with two optimizers."""
    chosen = [*SMALL[model], *more]
    train_epoch = Resumable._train_epoch

    def stop_after_epoch_two(self, train_data, epoch_idx, *rest, **named):
        result = train_epoch(self, train_data, epoch_idx, *rest, **named)
        if epoch_idx == 2:
            raise KeyboardInterrupt
        return result

    whole = run(*chosen, model=model)
    with monkeypatch.context() as patch:
        patch.setattr(Resumable, "_train_epoch", stop_after_epoch_two)
        assert main([*settings(model), *chosen, "--checkpoint_dir=stopped"]) == 130
    last = next(Path("stopped").glob("*-last.pth"))
    resumed = run(f"--resume={last}", model=model)
    assert metrics(resumed) == metrics(whole)
    before, after = (checkpoint.load(result["checkpoint"])["optimizers"] for result in (whole, resumed))
    assert before.keys() == after.keys() == ({"optimizer", "table_optimizer"} if more else {"optimizer"})
    for name, optimizer in before.items():
        assert_same_tensors(optimizer["state"], after[name]["state"])


def assert_same_tensors(before: dict, after: dict) -> None:
    for parameter, state in before.items():
        for name, value in state.items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(after[parameter][name])), name


def test_models_without_training_can_be_resumed_too(run):
    whole = run(model="ItemKNN")
    last = next(Path("saved").glob("*-last.pth"))
    assert metrics(run(f"--resume={last}", model="ItemKNN")) == metrics(whole)


def test_a_run_that_goes_on_elsewhere_is_not_resumed(run, capsys):
    run("--epochs=1")
    last = next(Path("saved").glob("*-last.pth"))
    held = (
        f"import sys; from pathlib import Path; from mmbee_plugin.recbole.training import checkpoint\n"
        f"with checkpoint.alone(Path({str(last)!r})): print('held', flush=True); sys.stdin.read()"
    )
    for either in (last, checkpoint.best_file(last)):
        other = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", held],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert other.stdout.readline() == b"held\n"
        before = last.read_bytes()
        assert main([*settings(epochs=2), f"--resume={either}"]) == 2
        error = capsys.readouterr().err
        assert (
            error
            == f"error: saved: the run of {last.name} goes on in another process; let it end, or stop it\n"
        )
        assert last.read_bytes() == before
        other.kill()
        other.communicate()
    assert main([*settings(epochs=2), f"--resume={last}"]) == 0


def test_a_run_holds_its_files_while_it_trains_and_not_after(run, monkeypatch):
    train_epoch, refused = Trainer._train_epoch, []

    def within(self, *arguments, **named):
        with pytest.raises(InputError, match="goes on in another process"), checkpoint.alone(self.last_file):
            pytest.fail("not held")
        refused.append(self.last_file)
        return train_epoch(self, *arguments, **named)

    monkeypatch.setattr(Trainer, "_train_epoch", within)
    run("--epochs=2")
    last = refused[0]
    run("--epochs=3", f"--resume={last}")
    assert refused == [last] * 3
    with checkpoint.alone(last):
        pass


def test_more_epochs_continue_a_finished_run(run):
    whole = run("--epochs=4")
    run("--epochs=2", "--checkpoint_dir=short")
    last = next(Path("short").glob("*-last.pth"))
    assert metrics(run(f"--resume={last}", "--epochs=4")) == metrics(whole)


def test_a_finished_run_is_only_tested_again(run, monkeypatch):
    whole = run()
    last = next(Path("saved").glob("*-last.pth"))
    monkeypatch.setattr(Trainer, "_train_epoch", lambda *_, **__: pytest.fail("trained again"))
    best = Path(whole["checkpoint"]).read_bytes()
    assert metrics(run(f"--resume={last}")) == metrics(whole)
    assert Path(whole["checkpoint"]).read_bytes() == best


def test_resume_alone_repeats_the_settings_of_the_run(run):
    whole = run("--embedding_size=16")
    last = next(Path("saved").glob("*-last.pth"))
    assert main([f"--resume={last}", "--result=again.json"]) == 0
    again = json.loads(Path("again.json").read_text())
    assert again["settings"]["embedding_size"] == 16
    assert metrics(again) == metrics(whole)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ("--seed=7", "seed"),
        ("--embedding_size=8", "embedding_size"),
        ("--eval_args.order=RO", "eval_args"),
        ("--model=LightGCN", "model"),
    ],
)
def test_other_settings_are_refused_by_name(run, capsys, change, key):
    run("--epochs=1")
    last = next(Path("saved").glob("*-last.pth"))
    assert main([*settings(), f"--resume={last}", change]) == 2
    error = capsys.readouterr().err
    assert f"its run had {key}=" in error and error.count("\n") == 1


def test_changed_data_are_refused(run, capsys, tmp_path):
    run("--epochs=1")
    file = tmp_path / "datasets" / "tiny" / "tiny.inter"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:-1]))
    last = next(Path("saved").glob("*-last.pth"))
    assert main([*settings(), f"--resume={last}"]) == 2
    assert "dataset_hash" in capsys.readouterr().err


def test_damaged_checkpoints_are_one_line(run, capsys):
    run("--epochs=1")
    last = next(Path("saved").glob("*-last.pth"))
    last.write_bytes(last.read_bytes()[:500])
    for name in (str(last), "nowhere.pth"):
        assert main([*settings(), f"--resume={name}"]) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"error: {name}") and error.count("\n") == 1


def test_the_best_epoch_must_be_there(run, capsys):
    run()
    last = next(Path("saved").glob("*-last.pth"))
    last.with_name(last.name.replace("-last", "")).unlink()
    assert main([*settings(), f"--resume={last}"]) == 2
    assert "it has the best epoch" in capsys.readouterr().err


def test_trainer_classes_keep_their_kind():
    assert resumable(MMBeeTrainer) is MMBeeTrainer
    assert resumable(XGBoostTrainer) is XGBoostTrainer
    mixed = resumable(KGTrainer)
    assert issubclass(mixed, Resumable) and issubclass(mixed, KGTrainer)


def test_adam_in_one_pass_is_adam(build_planted):
    model, config, _ = build_planted("MMGCN")
    trainer = get_trainer(config["MODEL_TYPE"], "MMGCN")(config, model)
    assert all(group["fused"] for group in trainer.optimizer.param_groups)
    weights = list(model.parameters())
    copies = [torch.nn.Parameter(weight.detach().clone()) for weight in weights]
    plain = torch.optim.Adam(copies, lr=config["learning_rate"], weight_decay=config["weight_decay"])
    for _ in range(3):
        for weight, copy in zip(weights, copies, strict=True):
            weight.grad = torch.randn_like(weight)
            copy.grad = weight.grad.clone()
        trainer.optimizer.step()
        plain.step()
    for weight, copy in zip(weights, copies, strict=True):
        torch.testing.assert_close(weight, copy)


def test_learning_rates_fall_by_the_epoch(run, monkeypatch):
    """Those of both optimizers, on the steps of epoch e by the factor to the power of e."""
    seen = []
    step = MMBeeTrainer._step_tables

    def noted(self, optimizer, *rest):
        seen.append((optimizer.param_groups[0]["lr"], self.table_optimizer.param_groups[0]["lr"]))
        step(self, optimizer, *rest)

    monkeypatch.setattr(MMBeeTrainer, "_step_tables", noted)
    own = ["--table_optimizer=rowwise_adagrad", "--table_learning_rate=0.2", "--learning_rate_decay=0.5"]
    run(*SMALL["MMBee"], *own, "--epochs=3", model="MMBee")
    expected = [(0.05 * 0.5**epoch, 0.2 * 0.5**epoch) for epoch in range(3)]
    np.testing.assert_allclose(list(dict.fromkeys(seen)), expected)
