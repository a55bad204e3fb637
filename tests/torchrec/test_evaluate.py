"""Full ranking and labelled metrics over processes are those of one process, and those of plain loops."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.evaluation.metrics import auc, gauc, log_loss, ranking_metrics, uauc
from mmbee_plugin.torchrec.batches.reader import EvalReader
from mmbee_plugin.torchrec.processes.launch import process_group
from mmbee_plugin.torchrec.shards.write import write_shards
from mmbee_plugin.torchrec.training.evaluate import Evaluator

PROCESSES = 3


@pytest.fixture(scope="module")
def job(start: Callable[..., list[int | None]]) -> Any:
    """The module of the processes, which ``start`` makes importable here too."""
    return importlib.import_module("evaluation_job")


@pytest.fixture(scope="module")
def rated_shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of 40 users x 30 items, 11 to 30 ratings a user, of which 3 and more are positives."""
    random = np.random.default_rng(5)
    folder = tmp_path_factory.mktemp("datasets") / "rated"
    folder.mkdir()
    pairs = [(user, item) for user in range(40) for item in random.permutation(30)[user % 20 :]]
    rows = [f"u{user}\ti{item}\t{random.integers(1, 6)}" for user, item in pairs]
    header = "user_id:token\titem_id:token\trating:float"
    (folder / "rated.inter").write_text("\n".join([header, *rows]) + "\n")
    shards = folder.parent / "shards"
    write_shards(DatasetFolder(folder), shards, None, None, threshold=3)
    return shards


@pytest.fixture(scope="module")
def results(
    start: Callable[..., list[int | None]],
    sample_shards: Path,
    rated_shards: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> list[dict]:
    """What each of the processes found."""
    output = tmp_path_factory.mktemp("results")
    assert start("evaluation_job", PROCESSES, sample_shards, rated_shards, output) == [0] * PROCESSES
    return [json.loads((output / f"{rank}.json").read_text()) for rank in range(PROCESSES)]


@torch.no_grad()
def in_one_piece(judge: Evaluator, topk: tuple[int, ...]) -> dict[str, float]:
    """All users against all authors in one matrix, then each user's row sorted."""
    store, model = judge.store, judge.model.module.eval()
    everyone = list(EvalReader(store, "valid").ranked(1))
    user = model.encode_users(judge.maker.users(np.concatenate([asked.users for asked in everyone])))
    author = model.encode_authors(judge.maker.authors(np.arange(store.n_authors)))
    found: dict[str, list[float]] = {}
    for asked, scores in zip(everyone, model.scorer.gtr.score_all(user, author).numpy(), strict=True):
        training = set(store.known(asked.users)[1]) - set(asked.positives)
        scores[list(training)] = -np.inf
        best = np.argsort(-scores, kind="stable")[: max(topk)]
        values = ranking_metrics(np.isin(best, asked.positives)[None], np.array([len(asked.positives)]), topk)
        for name, value in values.items():
            found.setdefault(name, []).append(float(value[0]))
    return {name: float(np.mean(values)) for name, values in found.items()}


def pair_by_pair(judge: Evaluator) -> dict[str, float]:
    """The four labelled metrics, every row of the test split scored by itself."""
    store, model = judge.store, judge.model.module.eval()
    users, labels, scores = [], [], []
    for row in EvalReader(store, "test").labelled(1):
        with torch.no_grad():
            logit = model.score(judge.maker.labelled(row.users, row.authors))
        users.append(row.users[0])
        labels.append(row.labels[0])
        scores.append(float(torch.sigmoid(logit)))
    return four_metrics(np.array(users), np.array(labels), np.array(scores))


def four_metrics(users: np.ndarray, labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    return {
        "auc": auc(labels, scores),
        "uauc": uauc(users, labels, scores),
        "gauc": gauc(users, labels, scores),
        "logloss": log_loss(labels, scores),
    }


def test_models_are_evaluated_the_same_on_any_number_of_processes(
    job: Any, results: list[dict], sample_shards: Path, rated_shards: Path
) -> None:
    with process_group(60) as process:
        for name, model in job.MODELS.items():
            judge = job.evaluator(sample_shards, model, process)
            expected = judge.ranking(EvalReader(judge.store, "valid"), job.TOPK)
            assert expected == pytest.approx(in_one_piece(judge, job.TOPK), abs=1e-12)
            assert 0 < expected["recall@5"] < expected["recall@20"] < 1
            assert [found[name] for found in results] == [expected] * PROCESSES
        judge = job.evaluator(rated_shards, {"interest": "none", "loss": "bce"}, process)
        labelled = judge.labelled(EvalReader(judge.store, "test"))
        assert labelled == pytest.approx(pair_by_pair(judge), abs=1e-6)
        assert len({0.5, *labelled.values()}) == 5
        for found in results:
            assert found["labelled"] == pytest.approx(labelled, abs=1e-6)


def test_a_model_trained_in_bf16_is_evaluated_in_fp32(
    job: Any, sample_shards: Path, rated_shards: Path
) -> None:
    with process_group(60) as process:
        for shards, model in (
            (sample_shards, job.MODELS["ranked"]),
            (rated_shards, {"interest": "none", "loss": "bce"}),
        ):
            judge = job.evaluator(shards, model, process)
            found = []
            for coarse in (False, True):
                judge.model.module.scorer.bf16 = coarse
                if model is job.MODELS["ranked"]:
                    found.append(judge.ranking(EvalReader(judge.store, "valid"), job.TOPK))
                else:
                    found.append(judge.labelled(EvalReader(judge.store, "test")))
            assert found[0] == found[1]


def test_labelled_metrics_are_exactly_those_of_all_samples_in_one_place(
    job: Any, results: list[dict]
) -> None:
    for found in results:
        for name, columns in job.samples().items():
            if name not in ("one class", "no user with both", "NaN"):
                assert found[name] == four_metrics(*columns), name
        assert found["one class"] == "labels: all 4000 are 1; AUC needs both 0 and 1"
        assert found["no user with both"].startswith("labels: no user has both a 0 and a 1")
        assert found["NaN"].startswith(f"process {PROCESSES - 1}: scores, row ")
