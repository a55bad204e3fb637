"""The examples run, and what they add learns."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[1]
SETTINGS = ["--epochs=1", "--train_batch_size=64", "--mlp_hidden_size=[8]", "--gpu_id=",
            "--MAX_ITEM_LIST_LENGTH=5", "--graph.folds=2", "--topk=5", "--valid_metric=Recall@5"]  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with `datasets/toy`: 20 users, 15 items, one modality."""
    from mmbee_plugin.data.writer import DatasetContent, Interactions, SourceFeatures, write_folder

    rng = np.random.default_rng(0)
    parts: dict[str, list[tuple[int, int]]] = {"train": [], "valid": [], "test": []}
    for user in range(20):
        valid, test, *train = rng.permutation(15)[:8].tolist()
        parts["valid"].append((user, valid))
        parts["test"].append((user, test))
        parts["train"] += [(user, item) for item in train]
    write_folder(
        tmp_path / "datasets" / "toy",
        DatasetContent(
            source="a test",
            kind="real",
            users=[f"u{row}" for row in range(20)],
            items=[f"i{row}" for row in range(15)],
            interactions={name: Interactions(*np.array(rows).T) for name, rows in parts.items()},
            features={"visual": SourceFeatures(rng.normal(size=(15, 6)).astype(np.float32), "visual")},
        ),
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_din_with_mmbee_from_the_command_line(folder):
    command = [sys.executable, ROOT / "examples" / "din_with_mmbee.py", "--dataset=toy", "--result=out.json"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run([*command, *SETTINGS], capture_output=True, text=True, env=environment)
    assert ended.returncode == 0, ended.stderr[-2000:]
    result = json.loads(Path("out.json").read_text())
    assert result["model"] == "DINWithMMBee" and 0 < result["test"]["recall@5"] <= 1
    assert "DINWithMMBee" in ended.stdout and "Traceback" not in ended.stderr


@pytest.fixture
def example(folder, monkeypatch):
    """The example's model on the toy data, and its loaders of training and validation."""
    from recbole.data import data_preparation

    from mmbee_plugin.data.folder import DatasetFolder
    from mmbee_plugin.recbole.config.given import given_settings
    from mmbee_plugin.recbole.run import build_config, seeded_dataset

    monkeypatch.setattr(sys, "argv", ["pytest"])
    spec = importlib.util.spec_from_file_location("din_with_mmbee", ROOT / "examples" / "din_with_mmbee.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    toy = DatasetFolder(folder / "datasets" / "toy")
    config = build_config("DINWithMMBee", toy, given_settings(None, SETTINGS))
    train, valid, _ = data_preparation(config, seeded_dataset(config))
    return example.DINWithMMBee(config, train.dataset), train, valid


@torch.no_grad()
def test_its_full_ranking_has_the_scores_of_every_pair(example):
    model, _, valid = example
    model.eval()
    torch.manual_seed(0)
    for weight in model.parameters():
        weight.add_(0.2 * torch.randn_like(weight))
    batch = next(iter(valid))[0]
    rows = batch.repeat_interleave(model.n_items)
    rows["item_id"] = torch.arange(model.n_items).repeat(len(batch))
    expected = model.predict(rows).view(len(batch), -1)
    assert expected.std() > 0.01
    torch.testing.assert_close(model.full_sort_predict(batch), expected, atol=5e-6, rtol=0)


def test_what_it_adds_is_trained_on_neighbours_that_have_not_seen_the_batch(example, monkeypatch):
    model, train, _ = example
    model.train()
    used = []
    lookup = model.interest.user
    monkeypatch.setattr(model.interest, "user", lambda nodes, fold: used.append(fold) or lookup(nodes, fold))
    for batch in train:
        assert len(batch["fold"]) == len(batch["label"]) == len(batch["item_id_list"])
        assert batch["item_length"].min() >= 1 and batch["fold"].unique().numel() == 1
        model.calculate_loss(batch).backward()
        assert used[-1] == batch["fold"][0]
    assert set(used) == {0, 1} and model.fold is None
    parts = {
        "queries": model.content.queries.weight,
        "users": model.interest.nodes["u"].weight,
        "authors": model.interest.nodes["a"].weight,
        "attention of DIN": next(model.attention.parameters()),
    }
    for name, weight in parts.items():
        assert (
            weight.grad is not None and torch.isfinite(weight.grad).all() and weight.grad.abs().max() > 0
        ), name
