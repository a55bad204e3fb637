"""AUC, UAUC, GAUC and LogLoss of labelled samples, through RecBole's evaluation of real models."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recbole.config import Config
from recbole.data.utils import data_preparation
from recbole.evaluator import metric_types
from recbole.trainer import Trainer
from recbole.utils import EvaluatorType, calculate_valid_score, get_model, init_seed
from sklearn.metrics import log_loss, roc_auc_score

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole import tune
from mmbee_plugin.recbole.config.metrics import chosen_metrics
from mmbee_plugin.recbole.run import build_config, train_and_test
from mmbee_plugin.recbole.training.evaluation import METRICS, SampleCollector

LABELLED = {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "RO", "group_by": "user", "mode": "labeled"}
METRIC_NAMES = ["AUC", "UAUC", "GAUC", "LogLoss"]


def loop_over_users(users: np.ndarray, labels: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """UAUC and GAUC from the pairs of each user."""
    values, weights = [], []
    for user in np.unique(users):
        label, score = labels[users == user], scores[users == user]
        positive, negative = score[label == 1][:, None], score[label == 0]
        if len(positive) and len(negative):
            values.append(np.mean((positive > negative) + 0.5 * (positive == negative)))
            weights.append(len(label))
    return float(np.mean(values)), float(np.average(values, weights=weights))


@pytest.fixture
def train_and_check(make_dataset):
    """Trains a model for an epoch on labels, and compares the four metrics of the test split with oracles."""

    def run(model: str, dataset_name: str, **settings) -> dict[str, float]:
        config, dataset = make_dataset(
            model,
            dataset_name,
            threshold={"rating": 4},
            train_neg_sample_args=None,
            metrics=chosen_metrics({"metrics": METRIC_NAMES, "eval_args": LABELLED}),
            valid_metric="GAUC",
            metric_decimal_place=8,
            epochs=1,
            mlp_hidden_size=[8],
            **settings,
        )
        init_seed(1, True)
        train, valid, test = data_preparation(config, dataset)
        network = get_model(model)(config, train.dataset)
        trainer = Trainer(config, network)
        trainer.eval_collector = SampleCollector(config)
        score, result = trainer.fit(train, valid, saved=False)
        assert score == calculate_valid_score(result, "gauc") == result["gauc"]
        # the samples of the validation passes must be gone by now
        found = trainer.evaluate(test, load_best_model=False)

        network.eval()
        with torch.no_grad():
            rows = [(batch["user_id"], batch["label"], network.predict(batch)) for batch, *_ in test]
        users, labels, scores = (torch.cat(column).numpy() for column in zip(*rows, strict=True))
        assert len(scores) == len(test.dataset)
        uauc, gauc = loop_over_users(users, labels, scores)
        assert found["auc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-7)
        assert found["uauc"] == pytest.approx(uauc, abs=1e-7)
        assert found["gauc"] == pytest.approx(gauc, abs=1e-7)
        assert found["logloss"] == pytest.approx(log_loss(labels, scores.astype(np.float64)), abs=1e-6)
        assert abs(found["uauc"] - found["gauc"]) > 1e-6
        return found

    return run


def test_fm_on_ml_100k(train_and_check) -> None:
    columns = {"inter": ["user_id", "item_id", "rating", "timestamp"]}
    found = train_and_check("FM", "ml-100k", eval_args=LABELLED, load_col=columns, train_batch_size=2048)
    assert found["auc"] > 0.55  # it has learnt something


def test_din_with_histories(train_and_check, write_folder, random_rows) -> None:
    rows = [(user, item, 1 + time % 5, time) for user, item, time in random_rows]
    write_folder(rows, columns=("rating:float", "timestamp:float"))
    train_and_check("DIN", "tiny", eval_args=LABELLED | {"order": "TO", "split": {"RS": [0.4, 0.3, 0.3]}})


def test_gauc_means_the_labelled_one_only_where_labels_are_evaluated() -> None:
    assert chosen_metrics({"metrics": METRIC_NAMES, "eval_args": {"mode": "labeled"}}) == [
        "AUC", "UAUC", "LabelledGAUC", "LogLoss"
    ]  # fmt: skip
    both = {"mode": {"valid": "labeled", "test": "labeled"}}
    assert chosen_metrics({"metrics": "gauc", "eval_args": both}) == ["LabelledGAUC"]
    assert chosen_metrics({"metrics": ["GAUC", "MRR"], "eval_args": {"mode": "full"}}) == ["GAUC", "MRR"]
    assert chosen_metrics({"metrics": ["GAUC"]}) == ["GAUC"]
    with pytest.raises(InputError, match=r"metrics UAUC: computed on labelled samples; set eval_args\.mode"):
        chosen_metrics({"metrics": ["UAUC"], "eval_args": {"mode": "full"}})


def test_ranking_keeps_recboles_gauc(write_folder, make_dataset, random_rows) -> None:
    write_folder(random_rows)
    config, dataset = make_dataset(metrics=["GAUC", "Recall"], valid_metric="GAUC", epochs=1)
    assert config["eval_type"] == EvaluatorType.RANKING
    train, valid, _ = data_preparation(config, dataset)
    trainer = Trainer(config, get_model("BPR")(config, train.dataset))
    trainer.eval_collector = SampleCollector(config)
    assert 0 < trainer.fit(train, valid, saved=False)[0] < 1


def test_values_are_value_metrics() -> None:
    assert {metric.metric_type for metric in METRICS.values()} == {EvaluatorType.VALUE}
    assert not any(metric.smaller for metric in METRICS.values())


RANKING = ["Recall", "Precision", "NDCG", "MRR", "MAP", "Hit", "GAUC", "ItemCoverage", "AveragePopularity",
           "ShannonEntropy", "GiniIndex", "TailPercentage"]  # fmt: skip


def test_every_metric_of_recboles_is_tried_here() -> None:
    values = {"AUC", "LogLoss", "MAE", "RMSE"}
    assert {name.lower() for name in {*RANKING, *values}} == metric_types.keys() - METRICS.keys()


def test_every_ranking_metric_in_one_run(write_folder, random_rows, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = DatasetFolder(write_folder(random_rows))
    small = {
        "eval_args": {"split": {"RS": [0.6, 0.2, 0.2]}},
        "gpu_id": "",
        "epochs": 2,
        "metric_decimal_place": 8,
    }
    given = {**small, "metrics": RANKING, "topk": [5, 10], "tail_ratio": 0.5}
    config = build_config("BPR", folder, given)
    assert config["valid_metric"] == "Recall@10"
    lists = []
    collect = SampleCollector.get_data_struct

    def keeping(self):
        lists.append(collect(self))
        return lists[-1]

    monkeypatch.setattr(SampleCollector, "get_data_struct", keeping)
    found = train_and_test(config, folder, saved=False).test
    assert {name.partition("@")[0] for name in found} == {name.lower() for name in RANKING}
    assert len(found) == 2 * len(RANKING) - 1
    items, counts = lists[-1].get("rec.items").numpy()[:, :5], lists[-1].get("data.count_items")
    shown = np.bincount(items.ravel(), minlength=41)[1:]
    assert found["itemcoverage@5"] == pytest.approx((shown > 0).sum() / 40)
    rank, ordered = np.arange(1, 41), np.sort(shown)
    assert found["giniindex@5"] == pytest.approx(((2 * rank - 41) * ordered).sum() / (40 * ordered.sum()))
    popularity = np.array([counts[item] for item in range(41)])
    assert found["averagepopularity@5"] == pytest.approx(popularity[items].mean())
    tail = sorted((count, item) for item, count in counts.items())[: len(counts) // 2]
    assert found["tailpercentage@5"] == pytest.approx(np.isin(items, [item for _, item in tail]).mean())


def test_every_value_metric_in_one_run(write_folder, random_rows, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [(*row[:2], row[2] % 2, row[2]) for row in random_rows]
    folder = DatasetFolder(write_folder(rows, columns=("label:float", "timestamp:float")))
    given = {"metrics": ["AUC", "UAUC", "GAUC", "LogLoss", "MAE", "RMSE"], "gpu_id": "", "epochs": 1}
    config = build_config(
        "FM", folder, {**given, "eval_args": LABELLED | {"split": {"RS": [0.5, 0.25, 0.25]}}}
    )
    assert config["valid_metric"] == "AUC"
    found = train_and_test(config, folder, saved=False).test
    assert (
        set(found) == {"auc", "uauc", "gauc", "logloss", "mae", "rmse"}
        and np.isfinite(list(found.values())).all()
    )


@pytest.mark.parametrize(
    ("given", "chosen", "bigger"),
    [
        ({}, "Recall@10", True),
        ({"topk": [5]}, "Recall@5", True),
        ({"topk": 7}, "Recall@7", True),
        ({"metrics": ["NDCG"]}, "NDCG@10", True),
        ({"metrics": "NDCG", "topk": [3, 5]}, "NDCG@3", True),
        ({"metrics": ["MRR", "recall"]}, "Recall@10", True),
        ({"metrics": ["GAUC"]}, "GAUC", True),
        ({"metrics": ["GiniIndex"], "topk": [5]}, "GiniIndex@5", False),
        ({"valid_metric": "ndcg@20"}, "ndcg@20", True),
        ({"valid_metric": "AveragePopularity@5", "metrics": ["averagepopularity"], "topk": 5}, None, False),
    ],
)
def test_valid_metric_follows_what_is_measured(
    write_folder, random_rows, tmp_path, monkeypatch, given, chosen, bigger
) -> None:
    monkeypatch.chdir(tmp_path)
    config = build_config("BPR", DatasetFolder(write_folder(random_rows)), {"gpu_id": "", **given})
    assert config["valid_metric"] == (chosen or given["valid_metric"])
    assert config["valid_metric_bigger"] == bigger


def test_stock_entry_points_follow_too(write_folder, make_config, random_rows) -> None:
    write_folder(random_rows)
    stock = {"data_path": "datasets", "gpu_id": "", "metrics": ["NDCG"], "topk": [4]}
    assert Config(model="BPR", dataset="tiny", config_dict=stock)["valid_metric"] == "NDCG@4"
    with pytest.raises(InputError, match="valid_metric Recall@10: not measured"):
        make_config(metrics=["NDCG"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"valid_metric": "Recall@7"},
            "valid_metric Recall@7: not measured; metrics and topk give Recall@10, Recall@20",
        ),
        ({"valid_metric": "Recall"}, "valid_metric Recall: not measured"),
        ({"valid_metric": "MRR@10"}, "valid_metric MRR@10: not measured"),
        (
            {"valid_metric": "GAUC@10", "metrics": ["GAUC"]},
            "valid_metric GAUC@10: not measured; .* give GAUC$",
        ),
        ({"valid_metric": None}, "valid_metric None: not measured"),
        ({"valid_metric_bigger": False}, "valid_metric_bigger False: of Recall@10 the bigger value"),
        ({"metrics": ["GiniIndex"], "valid_metric_bigger": True}, "of GiniIndex@10 the smaller value"),
        ({"metrics": []}, r"metrics \[\]: a name is needed"),
        ({"metrics": [3]}, r"metrics \[3\]: a name is needed"),
        ({"topk": "abc"}, "topk: found 'abc', expected a whole number"),
        ({"topk": [5, 0]}, "topk 0 is out of range"),
        ({"topk": []}, r"topk \[\]: a positive integer"),
        ({"eval_args": {"mode": "labeled"}}, "metrics Recall, Precision, NDCG: computed on rankings"),
    ],
)
def test_what_is_measured_must_fit_together(
    write_folder, random_rows, tmp_path, monkeypatch, given, message
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = DatasetFolder(write_folder(random_rows))
    with pytest.raises(InputError, match=message):
        build_config("BPR", folder, {"gpu_id": "", **given})


def test_a_search_goes_by_what_is_measured(write_folder, random_rows, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    write_folder(random_rows)
    (tmp_path / "my.hyper").write_text("learning_rate choice [0.01,0.001]\n")
    arguments = [
        "--model=BPR",
        "--dataset=tiny",
        "--epochs=1",
        "--gpu_id=",
        "--params_file=my.hyper",
        "--max_evals=2",
    ]
    split = "--eval_args={split: {RS: [0.6, 0.2, 0.2]}}"
    assert tune.main([*arguments, split, "--metrics=NDCG", "--topk=5"]) == 0
    assert "ndcg@5 on validation data: " in capsys.readouterr().out
