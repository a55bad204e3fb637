"""Settings of a wrong type or out of range, and errors from inside RecBole: one line, exit status 2."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest
import torch

from mmbee_plugin.command import entry
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.recbole.config.layers import default_settings, known_models
from mmbee_plugin.recbole.config.values import check_values
from mmbee_plugin.recbole.run import main
from mmbee_plugin.recbole.tune import main as tune

TINY = ["--dataset=tiny", "--epochs=1", "--train_batch_size=64", "--gpu_id="]
REFUSED = {
    "BPR": {
        "--topk=abc": "topk: found 'abc', expected a whole number",
        "--topk=[5,1.5]": "topk: found 1.5",
        "--learning_rate=0,001": "learning_rate: found '0,001', expected a number",
        "--learning_rate=-1": "learning_rate -1 is out of range, expected more than 0",
        "--learning_rate=0": "learning_rate 0 is out of range",
        "--learning_rate=.nan": "learning_rate: found nan, expected a number",
        "--learning_rate=~": "learning_rate: found None, expected a number",
        "--train_batch_size=abc": "train_batch_size: found 'abc'",
        "--train_batch_size=0.5": "train_batch_size: found 0.5, expected a whole number",
        "--eval_batch_size=0": "eval_batch_size 0 is out of range",
        "--seed=-1": "seed -1 is out of range, expected 0 to 4294967295",
        "--seed=4294967296": "seed 4294967296 is out of range",
        "--epochs=abc": "epochs: found 'abc'",
        "--epochs=true": "epochs: found True",
        "--epochs=0": "epochs 0 is out of range",
        "--eval_step=0": "eval_step 0 is out of range",
        "--stopping_step=-1": "stopping_step -1 is out of range",
        "--worker=abc": "worker: found 'abc'",
        "--weight_decay=-1": "weight_decay -1 is out of range",
        "--embedding_size=0": "embedding_size 0 is out of range",
        "--embedding_size=8.5": "embedding_size: found 8.5, expected a whole number",
        "--learner=sparse_adam": "learner: found 'sparse_adam', expected one of adam, adamw",
        "--learner=adm": "learner: found 'adm'",
        "--state=loud": "state: found 'loud'",
        "--gpu_id=abc": "gpu_id: found 'abc'",
        "--gpu_id=-1": "gpu_id: found -1",
        "--shuffle=1": "shuffle: found 1, expected true or false",
        "--require_pow=2": "require_pow: found 2",
        "--clip_grad_norm=5": "clip_grad_norm: found 5, expected entries",
        "--clip_grad_norm={norm: 5}": "clip_grad_norm: found {'norm': 5}, expected an entry max_norm",
        "--clip_grad_norm={max_norm: -5}": "clip_grad_norm.max_norm -5 is out of range",
        "--train_neg_sample_args=3": "train_neg_sample_args: found 3, expected entries",
        "--train_neg_sample_args.sample_num=0": "train_neg_sample_args.sample_num 0 is out of range",
        "--eval_args.order=TT": "eval_args.order: found 'TT', expected one of RO, TO",
        "--eval_args.mode=uni": "eval_args.mode: found 'uni'",
        "--eval_args.mode={valid: uni10, test: most}": "eval_args.mode: found 'most'",
        "--eval_args.split={XS: [8, 1, 1]}": "eval_args.split: found",
        "--eval_args.split={RS: [8, 1]}": "eval_args.split.RS: found [8, 1], expected three shares",
        "--eval_args.split={RS: [8, -1, 1]}": "eval_args.split.RS -1 is out of range",
        "--eval_args.split={RS: [0, 1, 1]}": "leaves nothing to train on",
        "--eval_args.split={LS: newest}": "eval_args.split.LS: found 'newest'",
        "--log_wandb=true": "log_wandb needs wandb, which is not installed: pip install wandb",
        "--checkpoint_dir=/etc/hostname": "/etc/hostname: cannot be made for checkpoints",
        "--checkpoint_dir=/etc/hostname/a": "cannot be made for checkpoints: /etc/hostname is no folder",
        "--wandb_project=5": "wandb_project: found 5, expected text",
    },
    "LightGCN": {"--n_layers=-1": "n_layers -1 is out of range", "--reg_weight=much": "reg_weight: found 'much'"},
    "NeuMF": {
        "--dropout_prob=2": "dropout_prob 2 is out of range, expected 0 to 1",
        "--mlp_hidden_size=64": "mlp_hidden_size: found 64, expected a list",
        "--mlp_hidden_size=[64,0]": "mlp_hidden_size 0 is out of range",
        "--mlp_hidden_size=[64,a]": "mlp_hidden_size: found 'a'",
        "--mf_train=maybe": "mf_train: found 'maybe', expected true or false",
    },
    "SASRec": {"--loss_type=CEE": "loss_type: found 'CEE', expected one of BPR, CE", "--n_heads=0": "n_heads 0"},
    "ItemKNN": {"--k=many": "k: found 'many', expected a number"},
    "MMGCN": {
        "--n_layers=0": "n_layers 0 is out of range, expected a whole number of at least 1",
        "--n_layers=1.5": "n_layers: found 1.5, expected a whole number of at least 1",
        "--combine=both": "unknown combine 'both'; known: concat, sum",
        "--reg_weight=-1": "reg_weight -1 is out of range, expected a number of at least 0",
        "--modality_dropout=2": "modality_dropout 2 is out of range, expected a number from 0 to 1",
    },
    "MMSSL": {"--heads=5": "embedding_size 64 is no multiple of heads 5"},
    "FBSM": {"--reg_weight=0": "reg_weight 0 is out of range, expected a number of at least 1e-09"},
    "MMBee": {"--seed=x": "seed: found 'x'", "--heads=1.5": "heads: found 1.5"},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch, write_folder, random_rows):
    """An empty working directory with `datasets/tiny`."""
    monkeypatch.chdir(tmp_path)
    return DatasetFolder(write_folder(random_rows))


def error_of(capsys, status: int) -> str:
    """The one line of a command that ended with status 2."""
    error = capsys.readouterr().err
    assert status == 2 and error.startswith("error: ") and error.count("\n") == 1, error
    return error


@pytest.mark.parametrize(
    ("model", "argument"), [(model, argument) for model, cases in REFUSED.items() for argument in cases]
)
def test_a_wrong_value_is_one_line_before_data_are_read(folder, capsys, monkeypatch, model, argument):
    monkeypatch.setattr(
        "mmbee_plugin.recbole.run.train_and_test", lambda *_, **__: pytest.fail("work was begun")
    )
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert REFUSED[model][argument] in error_of(capsys, main([f"--model={model}", *TINY, argument]))


def test_a_search_refuses_the_same(folder, capsys):
    Path("my.hyper").write_text("learning_rate choice [0.001,-1]\n")
    search = ["--model=BPR", *TINY, "--params_file=my.hyper", "--algo=exhaustive"]
    assert "topk: found 'abc'" in error_of(capsys, tune([*search, "--topk=abc"]))


@pytest.mark.parametrize("model", known_models())
def test_the_defaults_of_every_model_are_allowed(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    defaults = default_settings(model)
    settings = {k: v for k, v in defaults.items() if k not in ("eval_args", "save_dataset")}
    check_values({**settings, "checkpoint_dir": "saved"}, model)


@pytest.mark.parametrize(
    "given",
    [
        {"topk": 5}, {"topk": [5, 10]}, {"gpu_id": 0}, {"gpu_id": "0,1"}, {"gpu_id": ""}, {"learner": "AdamW"},
        {"gpu_id": "GPU-5fd4a1c2-1a"}, {"train_neg_sample_args": None}, {"clip_grad_norm": {"max_norm": 5}},
        {"state": "INFO"}, {"eval_args": {"mode": {"valid": "uni100", "test": "full"}}}, {"seed": 0},
        {"eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO"}}, {"weight_decay": 1}, {"n_layers": 0},
        {"eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}}}, {"reg_weight": 0}, {"transform": None},
    ],
)  # fmt: skip
def test_right_values_are_allowed(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_values(given, "LightGCN")


def test_what_recbole_does_not_take_is_one_line(folder, capsys, monkeypatch):
    assert "threshold: no column 'ratin'" in error_of(
        capsys, main(["--model=BPR", *TINY, "--threshold={ratin: 4}"])
    )
    monkeypatch.setenv(entry.TRACEBACK, "1")
    assert main(["--model=SASRec", *TINY, "--transform=upside_down"]) == 2
    error = capsys.readouterr().err
    assert "Traceback" in error and error.splitlines()[-1].startswith("error: ")
    assert "There is no transform named 'upside_down'" in error.splitlines()[-1]


def test_a_fault_of_our_own_keeps_its_traceback(folder, monkeypatch):
    def faulty(*_, **__):
        raise KeyError("a fault")

    monkeypatch.setattr("mmbee_plugin.recbole.training.report.dataset_facts", faulty)
    with pytest.raises(KeyError):
        main(["--model=BPR", *TINY])


def test_a_fault_of_our_own_that_recbole_called_keeps_its_traceback(folder, monkeypatch):
    from mmbee_plugin.recbole.models.mmbee import MMBee

    def faulty(*_):
        raise RuntimeError("a fault")

    faulty.__globals__  # noqa: B018  (this module stands for ours)
    monkeypatch.setitem(faulty.__globals__, "__name__", "mmbee_plugin.recbole.models.mmbee")
    monkeypatch.setattr(MMBee, "calculate_loss", faulty)
    with pytest.raises(RuntimeError, match="a fault"):
        main(["--model=MMBee", *TINY, "--interest=none", "--content=none"])


@pytest.mark.parametrize("model", ["BPR", "MMBee"])
def test_a_full_disk_is_one_line(folder, capsys, monkeypatch, model):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    error = error_of(
        capsys, main([f"--model={model}", *TINY, *(["--interest=none"] if model == "MMBee" else [])])
    )
    assert "-last.pth: the checkpoint cannot be written" in error and "No space left" in error


def test_a_log_that_cannot_be_made_is_one_line(folder, capsys):
    Path("log").write_text("")
    assert "cannot be made (Not a directory)" in error_of(capsys, main(["--model=BPR", *TINY]))


def test_tensorboard_in_the_way_is_one_line(folder, capsys):
    Path("log_tensorboard").write_text("")
    assert "log_tensorboard" in error_of(capsys, main(["--model=BPR", *TINY]))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a checkpoint"])
def test_a_truncated_checkpoint_is_one_line(folder, capsys, content):
    Path("a-last.pth").write_bytes(content)
    assert "a-last.pth" in error_of(capsys, main(["--resume=a-last.pth"]))


def test_an_interrupted_run_names_the_file_to_go_on_from(folder, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("recbole.trainer.trainer.Trainer._valid_epoch", interrupt)
    assert main(["--model=BPR", *TINY]) == 130
    error = capsys.readouterr().err
    last = next(Path("saved").glob("*-last.pth"))
    assert error == f"interrupted; mmbee resume {last} goes on\n"
    monkeypatch.undo()
    monkeypatch.setattr(sys, "argv", ["run"])
    monkeypatch.chdir(folder.path.parents[1])
    assert main([f"--resume={last}", "--gpu_id="]) == 0
