"""Where settings come from: --print_config, the line of a run, --tuned and its hint."""

import dataclasses
import json
from pathlib import Path

import pytest
import yaml
from recbole.config import Config

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.recbole.config.configs import build_config
from mmbee_plugin.recbole.config.given import given_settings
from mmbee_plugin.recbole.config.known import check_settings, known_settings
from mmbee_plugin.recbole.config.layers import default_settings
from mmbee_plugin.recbole.config.sources import RECBOLE, merged
from mmbee_plugin.recbole.config.tuned import Finalist, Trial, Tuning, base_of
from mmbee_plugin.recbole.run import main

TINY = ["--dataset=tiny", "--gpu_id=", "--eval_args={split: {RS: [0.6, 0.2, 0.2]}, order: TO}"]
YAML = """
epochs: 10
learning_rate: 0.1
models:
  MMBee: {learning_rate: 0.2, stopping_step: 3, graph: {folds: 2, top_k: 9}}
  BPR: {learning_rate: 0.3}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, write_folder, random_rows):
    monkeypatch.chdir(tmp_path)
    Path("recbole_configs").mkdir()
    Path("recbole_configs/tiny.yaml").write_text(YAML)
    monkeypatch.setattr(
        "mmbee_plugin.recbole.run.train_and_test", lambda *_, **__: pytest.fail("a model was trained")
    )
    return DatasetFolder(write_folder(random_rows))


def printed(capsys, *arguments: str) -> str:
    assert main([*arguments, "--print_config"]) == 0
    out, error = capsys.readouterr()
    assert error == ""
    return out


def test_every_setting_has_its_source(capsys):
    Path("mine.yaml").write_text("stopping_step: 4\nseed: 5\nmodels: {MMBee: {weight_decay: 0.5}}")
    out = printed(capsys, "--model=MMBee", *TINY, "--config_files=mine.yaml", "--seed=6", "--graph.top_k=7")
    of_dataset = "recbole_configs/tiny.yaml"
    for line in (
        "learner: adam  # RecBole's defaults, overall.yaml",
        "backbone: sim  # MMBee's defaults",
        "valid_metric: Recall@10  # a run's defaults",
        f"epochs: 10  # {of_dataset}",
        f"learning_rate: 0.2  # {of_dataset}, models.MMBee",
        "stopping_step: 4  # mine.yaml",
        "weight_decay: 0.5  # mine.yaml, models.MMBee",
        "seed: 6  # command line",
        "graph:\n  reach_top_k: 500  # MMBee's defaults\n",
        f"  folds: 2  # {of_dataset}, models.MMBee\n",
        "  top_k: 7  # command line",
        "  order: TO  # command line",
        "  mode: {test: full, valid: full}  # worked out",
        "gpu_id: ''  # command line",
        "# device: cpu  # worked out",
        "# data_path: datasets/tiny  # the dataset",
    ):
        expected = line.replace("backbone: sim", f"backbone: {default_settings('MMBee')['backbone']}")
        assert f"\n{expected}" in out, expected


@pytest.mark.parametrize("model", ["MMBee", "BPR", "DIN", "SASRec"])
def test_what_is_printed_can_be_given_as_a_file(capsys, folder, model):
    arguments = [*TINY, *(["--metapaths=a2a"] if model == "MMBee" else [])]
    out = printed(capsys, f"--model={model}", *arguments)
    config = build_config(model, folder, given_settings(None, arguments[1:]))
    values = yaml.safe_load(out)
    negatives = config["train_neg_sample_args"] if model != "SASRec" else None
    assert {**{key: config[key] for key in values}, "train_neg_sample_args": negatives} == values
    Path("printed.yaml").write_text(out)
    again = printed(capsys, f"--model={model}", "--dataset=tiny", "--config_files=printed.yaml")
    assert yaml.safe_load(again) == values


def test_a_comparison_prints_one_model_after_the_other(capsys):
    documents = list(yaml.safe_load_all(printed(capsys, "--compare=MMBee,BPR", *TINY)))
    assert [each["learning_rate"] for each in documents] == [0.2, 0.3]


def test_the_settings_of_samples(capsys, monkeypatch):
    own = "sample: {epochs: 2, models: {BPR: {eval_step: 2}, MMBee: {eval_step: 3}}}\n"
    Path("recbole_configs/tiny.yaml").write_text(YAML + own)
    monkeypatch.setattr(DatasetFolder, "kind", "sample", raising=False)
    read = DatasetFolder.__init__

    def sample(self, path):
        read(self, path)
        self.kind = "sample"

    monkeypatch.setattr(DatasetFolder, "__init__", sample)
    text = printed(capsys, "--model=BPR", *TINY)
    assert "epochs: 2  # recbole_configs/tiny.yaml, sample" in text
    assert "eval_step: 2  # recbole_configs/tiny.yaml, sample.models.BPR" in text


@pytest.mark.parametrize("model", ["BPR", "DIN", "SASRec", "SASRecF", "DeepFM", "MMBee", "SIM"])
@pytest.mark.parametrize("dataset", ["ml-100k", "tiny"])
def test_all_recboles_files_are_noted(monkeypatch, model, dataset):
    """What the noted files say is what RecBole has; ml-100k and kinds of models have files of their own."""
    monkeypatch.setattr("sys.argv", ["test"])
    given = {"gpu_id": "", "metrics": ["AUC"], "eval_args": {"mode": "labeled"}}
    if model.startswith("SASRec"):
        given["train_neg_sample_args"] = None
    config = Config(model, dataset, config_dict=given)
    together: dict = {"MODEL_TYPE": config["MODEL_TYPE"]}
    for source in config.internal_sources:
        own = source.file != RECBOLE
        together = merged(together, source.settings) if own else {**together, **source.settings}
    assert config.internal_config_dict == together


def trial(settings: dict, score: float) -> Trial:
    return Trial(settings, score, {"recall@10": score}, 1, 1.0, False, "", {})


@pytest.fixture
def tuning(folder) -> Tuning:
    """BPR's, in the file where a run looks; the settings it chose are better than the dataset's."""
    data = {"name": "tiny", "kind": "real", "hash": folder.hash}
    file = Path("recbole_configs/tuning/tiny/BPR.json")
    tuning = Tuning(file, "BPR", data, "recall@10", True, {}, base_of("BPR", folder))
    tuning.add(trial({}, 0.04))
    tuning.add(trial({"learning_rate": 0.7, "embedding_size": 16}, 0.09))
    return tuning


def first_lines(capsys, monkeypatch, *arguments: str) -> str:
    """What a run prints before it trains."""
    monkeypatch.setattr("mmbee_plugin.recbole.run.train_and_test", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(list(arguments))
    return capsys.readouterr().out


def test_better_settings_are_pointed_at_and_taken(capsys, monkeypatch, tuning):
    out = first_lines(capsys, monkeypatch, "--model=BPR", *TINY)
    assert (
        "Settings: better settings are known: recbole_configs/tuning/tiny/BPR.json (validation recall@10 0.0900 "
        "against 0.0400 of the dataset's file in a trial of as many minutes); take them with --tuned\n"
    ) in out
    out = first_lines(capsys, monkeypatch, "--model=BPR", *TINY, "--tuned")
    assert "better settings" not in out and f"< {tuning.file} (tuned) < command line" in out
    out = printed(capsys, "--model=BPR", *TINY, "--tuned", "--embedding_size=8")
    assert f"learning_rate: 0.7  # {tuning.file}, tuned" in out
    assert "embedding_size: 8  # command line" in out and "epochs: 10  # recbole_configs/tiny.yaml" in out


def test_finalists_choose_over_trials(capsys, tuning):
    tuning.decide([Finalist({"learning_rate": 0.6}, [0.08, 0.1], ""), Finalist({}, [0.01, 0.02], "")])
    assert "learning_rate: 0.6  # recbole" in printed(capsys, "--model=BPR", *TINY, "--tuned")


@pytest.mark.parametrize("reason", ["in effect", "worse", "other data", "no tuning"])
def test_no_hint_without_better_settings_of_these_data(capsys, monkeypatch, tuning, reason):
    arguments = ["--model=BPR", *TINY]
    if reason == "in effect":
        arguments += ["--learning_rate=0.7", "--embedding_size=16"]
    elif reason == "worse":
        tuning.decide([Finalist({}, [0.1], "")])
    elif reason == "other data":
        dataclasses.replace(tuning, data={**tuning.data, "hash": "0"})._write()
    else:
        arguments[0] = "--model=LightGCN"
    assert "better settings" not in first_lines(capsys, monkeypatch, *arguments)


def test_tunings_of_another_folder(capsys, tuning, tmp_path):
    other = dataclasses.replace(tuning, file=tmp_path / "mine" / "BPR.json", trials=[])
    other.add(trial({"learning_rate": 0.5}, 0.1))
    assert "learning_rate: 0.5  # mine/BPR.json, tuned" in printed(
        capsys, "--model=BPR", *TINY, "--tuned=mine"
    )
    out = printed(capsys, "--compare=BPR,Pop", *TINY, "--tuned")
    assert [each["learning_rate"] for each in yaml.safe_load_all(out)] == [0.7, 0.1]


@pytest.mark.parametrize(
    ("arguments", "data", "expected"),
    [
        (["--model=LightGCN"], {}, "LightGCN.json: no such file, so no tuned settings of LightGCN; models tuned"),
        (["--compare=Pop,LightGCN"], {}, "Pop.json: no such file"),
        (["--model=BPR"], {"hash": "0", "kind": "sample"}, "tuned on other data, sample tiny, than those in"),
        (["--resume=saved/x.pth"], {}, "--tuned is for new runs"),
    ],
)  # fmt: skip
def test_tuned_settings_that_there_are_not(capsys, tuning, arguments, data, expected):
    tuning.data.update(data)
    tuning._write()
    assert main([*arguments, *TINY, "--tuned"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and expected in error


def test_the_tunings_in_the_repository_name_settings_of_their_models():
    for file in (Path(__file__).parents[2] / "recbole_configs" / "tuning").glob("*/*.json"):
        content = json.loads(file.read_text())
        settings = [each["settings"] for each in content["trials"] + content["finalists"]]
        for found in settings:
            check_settings(found, known_settings(content["model"]), str(file))
