"""The command lines: what they print, write and refuse, and that RecBole's own argument reading stays out of
it."""

import json
import logging
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole import tune
from mmbee_plugin.recbole.config.files import dataset_settings
from mmbee_plugin.recbole.config.given import given_settings
from mmbee_plugin.recbole.run import build_config, main
from mmbee_plugin.recbole.training import report

TINY = ["--dataset=tiny", "--epochs=1", "--train_batch_size=64", "--gpu_id=",
        "--eval_args={split: {RS: [0.6, 0.2, 0.2]}, order: TO}"]  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch, write_folder, random_rows):
    """An empty working directory with `datasets/tiny`."""
    monkeypatch.chdir(tmp_path)
    return DatasetFolder(write_folder(random_rows))


def write_config(name: str, text: str) -> None:
    Path("recbole_configs").mkdir(exist_ok=True)
    Path("recbole_configs", name).write_text(text)


def error_of(capsys, *arguments: str, command=main) -> str:
    """Runs a command that has to fail with status 2 and one line on stderr."""
    assert command(list(arguments)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and "Traceback" not in error
    return error


def test_result_file_and_table(folder, capsys):
    assert main(["--model=BPR", *TINY, "--result=made/on/demand/out.json"]) == 0
    out = capsys.readouterr().out
    result = json.loads(Path("made/on/demand/out.json").read_text())
    assert set(result) == {
        "name",
        "model",
        "valid",
        "test",
        "dataset",
        "settings",
        "seconds",
        "peak_rss_mb",
        "checkpoint",
        "log",
        "threads",
    }
    assert result["threads"]["threads"] >= 1 and "Threads: " in out
    names = {f"{metric}@{k}" for metric in ("recall", "precision", "ndcg") for k in (10, 20)}
    assert set(result["test"]) == set(result["valid"]) == names
    assert result["dataset"]["counts"] == folder.counts and result["dataset"]["kind"] == "real"
    assert result["settings"]["epochs"] == 1
    assert result["seconds"] > 0 and 50 < result["peak_rss_mb"] < 100_000
    assert Path(result["checkpoint"]).is_file()
    assert folder.provenance() in out and f"{result['test']['ndcg@20']:.4f}" in out


def test_comparison_is_a_list_on_one_split(folder, capsys):
    assert main(["--compare=BPR,LightGCN,Pop", *TINY, "--result=out.json"]) == 0
    results = json.loads(Path("out.json").read_text())
    assert [result["model"] for result in results] == ["BPR", "LightGCN", "Pop"]
    assert len({result["dataset"]["split"] for result in results}) == 1
    assert capsys.readouterr().out.count("  test ") == 3


def test_comparison_across_splits_is_refused(folder, capsys):
    write_config("tiny.yaml", "models: {Pop: {eval_args: {order: RO}}}")
    assert "Pop was tested on other pairs than BPR" in error_of(capsys, "--compare=BPR,Pop", *TINY[:-1])


def test_a_comparison_takes_settings_that_one_of_its_models_has(folder, capsys):
    assert main(["--compare=BPR,LightGCN", *TINY, "--n_layers=1"]) == 0
    assert "'backbone' is not known" in error_of(capsys, "--compare=BPR,LightGCN", *TINY, "--backbone=din")


def test_the_log_begins_and_ends_with_the_provenance(folder):
    outside = logging.getLogger().handlers[:]
    assert main(["--model=Pop", *TINY]) == 0
    assert logging.getLogger().handlers == outside
    lines = next(Path("log/Pop").iterdir()).read_text().splitlines()
    assert folder.provenance() in lines[0] and folder.provenance() in lines[-1]


def test_a_sample_says_so_and_how_to_get_the_real_data(folder):
    folder.kind, folder.get_real = "sample", "Get it from its authors."
    text = "\n".join(report.provenance_lines(folder))
    assert "SAMPLE" in text and "nothing about the real tiny data" in text and "from its authors" in text
    folder.kind, folder.get_real = "real", None
    assert len(report.provenance_lines(folder)) == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--model=BPR", "--dataset=nowhere"], "nowhere"),
        (["--model=BPRR", "--dataset=tiny"], "did you mean BPR?"),
        (["--dataset=tiny"], "needs --model=NAME"),
        (["--model=BPR", *TINY, "--epoch=3"], "'epoch' is not known; did you mean epochs?"),
        (["--model=BPR", *TINY, "--backbone=din"], "'backbone' is not known"),
        (["--model=BPR", *TINY, "epochs"], "'epochs' is not understood; settings are written --key=value"),
        (["--model=BPR", *TINY, "--metrics=Nonsense"], "no metric named 'Nonsense'"),
        (["--model=BPR", *TINY, "--topk=[0]"], "topk 0 is out of range"),
        (["--model=BPR", *TINY, "--topk=[5,500]"], "topk 500: tiny has only 40 items to rank"),
        (["--model=BPR", *TINY, "--eval_args={split: [}"], "not valid YAML"),
        (["--model=BPR", *TINY, "--config_files=nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["--model=BPR", *TINY, "--result=datasets"], "is a folder"),
        (["--model=BPR", *TINY, "--result=datasets/tiny/tiny.inter/out.json"], "cannot be made"),
        (["--compare=BPR,Pop", "--model=BPR", *TINY], "--compare names its models itself"),
        (["--model=MMBee", *TINY, "--backbone=gru"], "gru"),
        (["--model=MMBee", *TINY, "--content=everything"], "everything"),
        (["--model=MMBee", *TINY, "--pooling=union"], "unknown pooling 'union'; known: concat, set"),
        (
            ["--model=MMBee", *TINY, "--neighbour_weights=flase"],
            "neighbour_weights: found 'flase', expected true or",
        ),
        (["--model=MMBee", *TINY, "--attributes=0"], "attributes: found 0, expected true or false"),
        (["--model=MMBee", *TINY, "--modalities=smell"], "smell"),
        (["--model=MMBee", *TINY, "--metapaths=u2x"], "u2x"),
        (["--model=MMBee", *TINY, "--graph.topk=5"], "graph.topk: no such setting; did you mean top_k?"),
        (
            ["--model=MMBee", *TINY, "--graph.metapaths=[a2a]"],
            "graph.metapaths: no such setting; known: amount, top_k,",
        ),
        (
            ["--model=MMBee", *TINY, "--graph.top_k=many"],
            "graph.top_k: found 'many', expected a whole number",
        ),
        (["--model=MMBee", *TINY, "--graph.top_k=2.5"], "graph.top_k: found 2.5, expected a whole number"),
        (["--model=MMBee", *TINY, "--graph.exclude_own=1"], "found 1, expected true or false"),
        (
            ["--model=MMBee", *TINY, "--graph.amount=coins"],
            "unknown graph.amount 'coins'; known: amount, log1p, binary",
        ),
        (["--model=MMBee", *TINY, "--graph=5"], "graph: found 5, expected entries {name: value} of amount,"),
        (["--model=MMBee", *TINY, "--graph.folds=-1"], "graph.folds -1 is out of range"),
        (["--model=MMBee", *TINY, "--eval_step=0"], "eval_step 0 is out of range, expected 1 to inf"),
        (["--model=MMBee", *TINY, "--num_queries=0"], "num_queries 0 is out of range"),
        (["--model=MMBee", *TINY, "--dropout_prob=2"], "dropout_prob 2 is out of range"),
        (
            ["--model=MMBee", *TINY, "--interest=bdr", "--user_ids=false"],
            "interest bdr reads users'",
        ),
        (
            ["--model=MMBee", *TINY, "--backbone=din", "--interest=none", "--user_ids=false"],
            "backbone din without a metapath from users",
        ),
        (
            ["--model=MMBee", *TINY, "--backbone=sim", "--metapaths=a2a", "--user_ids=false"],
            "backbone sim without a metapath from users",
        ),
        (["--model=MMBee", *TINY, "--embedding_size=30"], "embedding_size 30 is no multiple of heads 4"),
        (["--model=MMBee", *TINY, "--mfq_width=30"], "mfq_width 30 is no multiple of heads 4"),
        (["--model=MMBee", *TINY, "--mfq_width=0"], "mfq_width 0 is out of range, expected a whole number"),
        (
            ["--model=MMBee", *TINY, "--mfq_width=8.5"],
            "mfq_width: found 8.5, expected a whole number",
        ),
        (["--model=MMBee", *TINY, "--query_start=zeros"], "query_start 'zeros'; known: random, author"),
        (["--model=MMBee", *TINY, "--shared_queries=1"], "shared_queries: found 1, expected true or false"),
        (
            ["--model=MMBee", *TINY, "--query_start=author", "--mfq_width=8"],
            "query_start author: id vectors have width 64, query tokens mfq_width 8; set query_start to random",
        ),
        (["--model=MMBee", *TINY, "--query_start=~", "--mfq_width=8"], "query_start author: id vectors"),
        (["--model=MMBee", *TINY, "--metapaths=a2a,a2a"], "metapaths: 'a2a' is listed twice"),
        (
            ["--model=SIM", *TINY, "--head=mlp", "--mlp_hidden_size=[8]"],
            "mlp_hidden_size: found [8], expected a list of 2",
        ),
        (["--model=MMBee", *TINY, "--graphcl.width=5"], "graphcl.width: no such setting; known: epochs,"),
        (["--model=MMBee", *TINY, "--graphcl.learning_rate=true"], "found True, expected a number"),
    ],
)
def test_bad_input_is_one_line_before_any_work(folder, capsys, monkeypatch, arguments, expected):
    monkeypatch.setattr(
        "mmbee_plugin.recbole.run.train_and_test", lambda *_, **__: pytest.fail("work was begun")
    )
    assert expected in error_of(capsys, *arguments)


def test_values_are_data_and_never_python(folder):
    given = given_settings(
        None, ["--learning_rate=1e-3", "--topk=5", "--graph.top_k=7", "--gpu_id=", "--seed=3"]
    )
    assert given == {"learning_rate": 0.001, "topk": [5], "graph": {"top_k": 7}, "gpu_id": "", "seed": 3}
    config = build_config(
        "BPR", folder, {"wandb_project": "__import__('os').mkdir('owned')", "checkpoint_dir": "1+1"}
    )
    assert config["wandb_project"] == "__import__('os').mkdir('owned')" and config["checkpoint_dir"] == "1+1"
    assert not Path("owned").exists()


def test_recbole_does_not_read_the_command_line_again(folder, monkeypatch):
    monkeypatch.setattr(
        sys, "argv", ["run", "--epochs=99", "--learning_rate=__import__('os').mkdir('owned')"]
    )
    assert build_config("BPR", folder, {})["epochs"] == 300
    assert len(sys.argv) == 3 and not Path("owned").exists()


def test_later_settings_win(folder):
    write_config(
        "tiny.yaml",
        "epochs: 10\nlearning_rate: 0.1\nstopping_step: 3\nmodels: {BPR: {epochs: 20}}\nsample: {epochs: 2}",
    )
    Path("mine.yaml").write_text("stopping_step: 4\nseed: 5")
    given = given_settings("mine.yaml", ["--seed=6"])
    config = build_config("BPR", folder, given)
    assert [config[key] for key in ("epochs", "learning_rate", "stopping_step", "seed")] == [20, 0.1, 4, 6]
    assert build_config("Pop", folder, {})["epochs"] == 10
    assert dataset_settings(SimpleNamespace(name="tiny", kind="sample", live=None), "BPR")["epochs"] == 2


def test_one_entry_of_a_dict_leaves_the_defaults_of_the_others(folder):
    default = build_config("MMBee", folder, {})["graph"]
    assert "top_k" not in default and len(default) > 1
    given = given_settings(None, ["--graph.top_k=7"])
    assert build_config("MMBee", folder, given)["graph"] == {**default, "top_k": 7}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("epoch: 3", "tiny.yaml: setting 'epoch' is not known; did you mean epochs"),
        ("models: {BRP: {}}", "model 'BRP' is not known"),
        ("- 3", "tiny.yaml: should be lines of key: value"),
        ("a: b: c", "tiny.yaml, line 1: not valid YAML"),
    ],
)
def test_bad_dataset_yaml(folder, capsys, text, expected):
    write_config("tiny.yaml", text)
    assert expected in error_of(capsys, "--model=BPR", *TINY)


def test_the_device_is_the_users(folder, monkeypatch):
    import torch

    assert build_config("BPR", folder, {})["device"].type == ("cuda" if torch.cuda.is_available() else "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert build_config("BPR", folder, {})["gpu_id"] == "3"
    assert build_config("BPR", folder, {"gpu_id": ""})["device"].type == "cpu"


def test_sequential_models_with_cross_entropy_need_no_extra_flag(folder):
    assert build_config("SASRec", folder, {})["train_neg_sample_args"]["distribution"] == "none"
    with pytest.raises(InputError, match="should be None"):
        build_config("SASRec", folder, {"train_neg_sample_args": {"sample_num": 2}})


def test_hyper_parameter_search(folder, capsys):
    Path("my.hyper").write_text("learning_rate choice [0.01,0.001]\n\nembedding_size choice [4,8]\n")
    arguments = ["--model=BPR", *TINY, "--params_file=my.hyper", "--max_evals=2"]
    assert tune.main(arguments) == 0
    out = capsys.readouterr().out
    assert "best so far on validation data: 0." in out and "test" not in out
    assert "Best of 2: " in out and "recall@10 on validation data: " in out and folder.provenance() in out
    assert not list(Path("saved").iterdir())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("learning_rat choice [1,2]", "did you mean learning_rate?"),
        ("learning_rate chooses [1,2]", "Illegal param type"),
        ("learning_rate", "no settings to search"),
        (None, "cannot be read"),
    ],
)
def test_bad_params_file(folder, capsys, text, expected):
    if text is not None:
        Path("my.hyper").write_text(text)
    error = error_of(capsys, "--model=BPR", *TINY, "--params_file=my.hyper", command=tune.main)
    assert "my.hyper" in error and expected in error


def test_the_shipped_search_names_settings_that_exist():
    for file in (Path(__file__).parents[2] / "recbole_configs" / "tuning").glob("*.hyper"):
        assert tune.searched_settings(file, file.stem)
