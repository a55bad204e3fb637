"""AUC, UAUC, GAUC and LogLoss of labelled samples, through RecBole's evaluation of real models."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recbole.data.utils import data_preparation
from recbole.trainer import Trainer
from recbole.utils import EvaluatorType, calculate_valid_score, get_model, init_seed
from sklearn.metrics import log_loss, roc_auc_score

from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.evaluation import METRICS, SampleCollector, chosen_metrics

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
