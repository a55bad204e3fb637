"""Tiny dataset folders and RecBole configs for the adapter's tests."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recbole.config import Config

import mmbee_plugin.recbole  # noqa: F401  (registers with RecBole)
from mmbee_plugin.recbole.dataset import MMBeeDataset

SPLIT = {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "TO", "group_by": "user", "mode": "full"}


@pytest.fixture(autouse=True)
def no_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    """RecBole's Config reads sys.argv; pytest's options are none of its business."""
    monkeypatch.setattr(sys, "argv", ["pytest"])


@pytest.fixture
def write_folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes `datasets/<name>/<name>.inter` (and `.user`, `.item`) from rows; returns the folder."""

    def write(
        rows: list[tuple[Any, ...]] | dict[str, list[tuple[Any, ...]]],
        *,
        name: str = "tiny",
        columns: tuple[str, ...] = ("timestamp:float",),
        users: list[str] | None = None,
        items: list[str] | None = None,
    ) -> Path:
        folder = tmp_path / "datasets" / name
        folder.mkdir(parents=True)
        header = "\t".join(("user_id:token", "item_id:token", *columns))
        for split, part in (rows if isinstance(rows, dict) else {"": rows}).items():
            lines = ["\t".join(map(str, row)) for row in part]
            suffix = f".{split}" if split else ""
            (folder / f"{name}{suffix}.inter").write_text("\n".join([header, *lines]) + "\n")
        for kind, tokens in (("user", users), ("item", items)):
            if tokens is not None:
                (folder / f"{name}.{kind}").write_text("\n".join([f"{kind}_id:token", *tokens]) + "\n")
        return folder

    return write


@pytest.fixture
def random_rows() -> list[tuple[str, str, int]]:
    """(user, item, time): 30 users with 5 to 12 of 40 items, in a shuffled order, all times distinct."""
    rng = np.random.default_rng(7)
    rows = []
    for user in range(30):
        for item in rng.choice(40, size=rng.integers(5, 13), replace=False):
            rows.append((f"u{user}", f"i{item}"))
    times = 1_600_000_000 + rng.permutation(len(rows)) * 7
    return [(user, item, int(time)) for (user, item), time in zip(rows, times, strict=True)]


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., Config]:
    """A RecBole Config for a model on the folder written by `write_folder`; settings override."""

    def make(model: str = "BPR", dataset: str = "tiny", **settings: Any) -> Config:
        defaults = {
            "data_path": str(tmp_path / "datasets"),
            "checkpoint_dir": str(tmp_path / "saved"),
            "gpu_id": "",
            "eval_args": SPLIT,
            "repeatable": True,
            "MAX_ITEM_LIST_LENGTH": 6,
            "train_batch_size": 64,
            "metrics": ["Recall", "NDCG"],
            "valid_metric": "Recall@10",
            "show_progress": False,
        }
        if model == "SASRec":
            defaults["train_neg_sample_args"] = None
        return Config(model=model, dataset=dataset, config_dict=defaults | settings)

    return make


@pytest.fixture
def make_dataset(make_config: Callable[..., Config]) -> Callable[..., tuple[Config, MMBeeDataset]]:
    """Config and MMBeeDataset, not yet split."""

    def make(model: str = "BPR", dataset: str = "tiny", **settings: Any) -> tuple[Config, MMBeeDataset]:
        config = make_config(model, dataset, **settings)
        return config, MMBeeDataset(config)

    return make
