"""RecBole's own entry point and a run: one set of settings, one dataset, one outcome."""

import json
from pathlib import Path

import pytest
from recbole.config import Config
from recbole.quick_start import run_recbole

from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.config import configs
from mmbee_plugin.recbole.config.sources import plain_settings
from mmbee_plugin.recbole.run import main
from mmbee_plugin.recbole.training.checkpoint import MAY_DIFFER

SHORT = {"epochs": 2, "content": "none", "interest": "none", "gpu_id": "", "show_progress": False}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty working directory; RecBole reads the command line by itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["test"])


def _settings(config: Config) -> dict:
    return {
        key: value for key, value in plain_settings(config.final_config_dict).items() if key not in MAY_DIFFER
    }


@pytest.mark.parametrize(
    "settings", [{}, {"interest": "gie", "graph": {"top_k": 7}, "graphcl": {"epochs": 1}}]
)
def test_run_recbole_has_the_settings_and_figures_of_a_run(monkeypatch, settings):
    given, made = SHORT | settings, []
    monkeypatch.setattr(
        "recbole.quick_start.quick_start.Config", lambda **named: made.append(Config(**named)) or made[0]
    )
    found = run_recbole(model="MMBee", dataset="tiktok", config_dict=dict(given))
    arguments = [f"--{key}={json.dumps(value)}" for key, value in given.items()]
    assert main(["--model=MMBee", "--dataset=tiktok", *arguments, "--result=run.json"]) == 0
    run = json.loads(Path("run.json").read_text())
    assert {key: value for key, value in run["settings"].items() if key not in MAY_DIFFER} == _settings(
        made[0]
    )
    assert run["settings"]["data_path"] == str(made[0]["data_path"]) == "datasets/tiktok"
    assert run["test"] == found["test_result"] and run["valid"] == found["best_valid_result"]


def test_the_datasets_file_is_below_what_is_given():
    Path("recbole_configs").mkdir()
    Path("recbole_configs/tiktok.yaml").write_text(
        "stopping_step: 2\nlearning_rate: 0.5\nmodels: {MMBee: {learning_rate: 0.25, graph: {folds: 3}}}\n"
        "sample: {epochs: 7}"
    )
    Path("mine.yaml").write_text("learning_rate: 0.125")
    config = Config("MMBee", "tiktok", ["mine.yaml"], {"graph": {"top_k": 5}})
    assert [config[key] for key in ("stopping_step", "epochs", "learning_rate")] == [2, 7, 0.125]
    assert config["graph"]["folds"] == 3 and config["graph"]["top_k"] == 5


def test_a_stock_model_is_left_alone():
    """Neither its settings nor its data: what RecBole makes of it without this package."""
    before = Config("BPR", "ml-100k", config_dict={"gpu_id": ""})
    assert before["valid_metric"] == "MRR@10" and "dataset_example" in before["data_path"]
    assert Config("BPR", "tiktok", config_dict={"gpu_id": ""})["data_path"] == "dataset/tiktok"
    assert not list(Path().iterdir())


def test_ml_100k_is_that_of_a_run():
    config = Config("MMBee", "ml-100k", config_dict={"gpu_id": ""})
    from mmbee_plugin.data.folder import DatasetFolder

    folder = DatasetFolder(Path("datasets/ml-100k"))
    assert config["data_path"] == "datasets/ml-100k"
    assert _settings(config) == _settings(configs.build_config("MMBee", folder, {"gpu_id": ""}))


def test_unknown_data_are_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"'nowhere' is unknown in datasets; known: .*tiktok"):
        Config("MMBee", "nowhere", config_dict={"gpu_id": ""})


def test_data_in_recboles_own_folder_are_found(write_folder, random_rows, tmp_path):
    write_folder(random_rows)
    (tmp_path / "datasets").rename(tmp_path / "dataset")
    config = Config("MMBee", "tiny", config_dict={"gpu_id": ""})
    assert config["data_path"] == "dataset/tiny" and config["valid_metric"] == "Recall@10"
