"""A cell of a real model: its scores are those that its own metrics were computed from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation import metrics
from mmbee_plugin.tables.run import flops, labelled_cell, labelled_jobs

SIM = {"backbone": "sim", "content": "none", "interest": "none", "epochs": 2, "embedding_size": 8}


def test_a_cell_holds_every_row_of_the_folder(live_path, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    cell = labelled_cell("MMBee", live_path, SIM, seed=1)
    folder = DatasetFolder(live_path)
    for split in ("valid", "test"):
        rows, live = folder.interactions(split), folder.rows(split)
        columns = {name: cell.arrays[f"{split} {name}"] for name in ("users", "labels", "times", "scores")}
        assert columns["scores"].dtype == np.float32
        order, expected = (
            np.lexsort((t, u))
            for t, u in ((columns["times"], columns["users"]), (rows.timestamps, rows.users))
        )
        assert np.array_equal(columns["users"][order], rows.users[expected])
        assert np.array_equal(columns["times"][order], rows.timestamps[expected])
        assert columns["labels"].sum() == live.labels.sum()
    valid = {name: cell.arrays[f"valid {name}"] for name in ("users", "labels", "scores")}
    assert cell.facts["valid"]["auc"] == pytest.approx(
        metrics.auc(valid["labels"], valid["scores"]), abs=1e-6
    )
    assert cell.facts["valid"]["gauc"] == pytest.approx(metrics.gauc(*valid.values()), abs=1e-6)
    assert cell.facts["epochs"] == 2
    assert cell.facts["train_samples_per_s"] > 0 < cell.facts["infer_samples_per_s"]
    assert cell.facts["flops"] > 0 < cell.facts["score_cpu_us"]
    assert 0 < cell.facts["embedding_parameters"] < cell.facts["parameters"]
    assert 0 < cell.facts["train_cpu_seconds"] <= 1.2 * cell.facts["seconds"]  # one thread
    assert not list(tmp_path.glob("**/*.pth"))  # its checkpoints are gone


def test_the_key_is_what_the_outcome_depends_on(live_path, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    folder = DatasetFolder(live_path)

    def key(seed: int = 1, **settings) -> dict:
        return dict(labelled_jobs("row", "MMBee", folder, {**SIM, **settings}, [seed])[0].key)

    assert key() == key(show_progress=False, checkpoint_dir=str(tmp_path / "elsewhere"))
    assert key() == key(heads=4)  # what is the default anyway
    assert key() != key(learning_rate=0.004)
    assert key() != key(epochs=3)
    assert key() != key(seed=2)
    ranking = {"eval_args": {"mode": "full"}, "metrics": ["Recall"], "valid_metric": "Recall@5", "topk": [5]}
    with pytest.raises(InputError, match="AUC needs labelled samples"):
        key(**ranking)


def test_flops_count_attention():
    query = torch.randn(2, 4, 6, 8)  # (B, heads, tokens, d)
    products = 2 * 2 * (2 * 4 * 6 * 6 * 8)  # scores and the weighted sum, two operations a multiplication
    assert flops(lambda: F.scaled_dot_product_attention(query, query, query)) == products
    assert flops(lambda: F.linear(torch.randn(3, 5), torch.randn(7, 5))) == 2 * 3 * 5 * 7
