"""RecBole's own functions, with the plugin imported: `run_recbole`, `load_data_and_model`, case studies,
`HyperTuning`."""

from pathlib import Path

import numpy as np
import pytest
import torch
from recbole.quick_start import load_data_and_model, objective_function, run_recbole
from recbole.trainer import HyperTuning
from recbole.utils.case_study import full_sort_scores, full_sort_topk

from mmbee_plugin.recbole.data.dataset import MMBeeDataset

SETTINGS = {
    "data_path": "datasets",
    "epochs": 2,
    "train_batch_size": 64,
    "embedding_size": 8,
    "metrics": ["Recall", "NDCG"],
    "valid_metric": "Recall@10",
    "gpu_id": "",
    "show_progress": False,
    "state": "ERROR",
    "load_col": {"inter": ["user_id", "item_id"]},
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, write_folder, random_rows):
    write_folder(random_rows)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("model", ["BPR", "MMBee", "SIM"])
def test_run_then_load_then_look_at_a_user(model):
    result = run_recbole(model=model, dataset="tiny", config_dict=dict(SETTINGS))
    file = next(Path("saved").glob(f"{model}-*[0-9].pth"))
    config, loaded, dataset, _, _, test_data = load_data_and_model(str(file))
    assert config["model"] == model
    assert isinstance(dataset, MMBeeDataset) == (model != "BPR")

    from recbole.utils import get_trainer

    trainer = get_trainer(config["MODEL_TYPE"], model)(config, loaded)
    assert trainer.evaluate(test_data, load_best_model=False) == result["test_result"]

    users = dataset.token2id(dataset.uid_field, ["u1", "u2"])
    scores, items = full_sort_topk(users, loaded, test_data, k=5, device=config["device"])
    assert items.shape == (2, 5) and (items > 0).all()
    everything = full_sort_scores(users, loaded, test_data, device=config["device"])
    assert everything.shape == (2, dataset.item_num)
    torch.testing.assert_close(scores, everything.topk(5).values)


@pytest.mark.parametrize("model", ["BPR", "MMBee"])
def test_runs_of_one_second_have_files_of_their_own(model, monkeypatch):
    monkeypatch.setattr("mmbee_plugin.files.time.strftime", lambda *_: "Nov-29-2026_09-28-09")
    results = [
        run_recbole(model=model, dataset="tiny", config_dict={**SETTINGS, "seed": seed}) for seed in (1, 2)
    ]
    saved = list(Path("saved").glob(f"{model}-*[0-9].pth"))
    assert len(saved) == len(list(Path("log", model).iterdir())) == 2
    assert {torch.load(file)["best_valid_score"] for file in saved} == {
        result["best_valid_score"] for result in results
    }


def test_resume_checkpoint_of_a_stock_trainer():
    run_recbole(model="BPR", dataset="tiny", config_dict=dict(SETTINGS))
    file = next(Path("saved").glob("BPR-*.pth"))
    config, model, *_ = load_data_and_model(str(file))
    from recbole.trainer import Trainer

    trainer = Trainer(config, model)
    trainer.resume_checkpoint(file)
    assert trainer.start_epoch in (1, 2)


@pytest.mark.parametrize("model", ["BPR", "MMBee"])
def test_hyper_tuning(model, tmp_path):
    settings = tmp_path / "fixed.yaml"
    settings.write_text(
        "\n".join(
            f"{key}: {value!r}" for key, value in {**SETTINGS, "model": model, "dataset": "tiny"}.items()
        )
    )
    search = HyperTuning(
        objective_function,
        params_dict={"choice": {"learning_rate": [0.01, 0.0001]}},
        fixed_config_file_list=[str(settings)],
        display_file=str(tmp_path / "search.html"),
        algo="exhaustive",
    )
    search.run()
    assert len(search.params_list) == 2
    assert search.best_params["learning_rate"] in (0.01, 0.0001)
    assert search.best_score == max(search.score_list)
    assert np.isfinite(search.best_score)
    assert (tmp_path / "search.html").stat().st_size > 1000


def test_exhaustive_search_fails_without_the_fix(monkeypatch):
    from recbole.trainer import hyper_tuning

    monkeypatch.setattr(hyper_tuning, "np", np)
    search = HyperTuning(
        lambda *_: pytest.fail("reached"), params_dict={"choice": {"learning_rate": [0.1, 0.2]}}
    )
    with pytest.raises(AttributeError, match="integers"):
        search.run()
