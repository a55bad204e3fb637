"""Tiny dataset folders and RecBole configs for the adapter's tests."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recbole.config import Config
from recbole.data.utils import data_preparation
from recbole.utils import get_model, init_seed

import mmbee_plugin.recbole  # noqa: F401  (registers with RecBole)
from mmbee_plugin.data.features import bag_from_pairs, save_bag
from mmbee_plugin.recbole.data.dataset import MMBeeDataset

SPLIT = {"split": {"RS": [0.6, 0.2, 0.2]}, "mode": "full"}


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
            "MAX_ITEM_LIST_LENGTH": 6,
            "train_batch_size": 64,
            "metrics": ["Recall", "NDCG"],
            "valid_metric": "Recall@10",
            "show_progress": False,
        }
        if model == "SASRec":
            defaults["train_neg_sample_args"] = None
        if (tmp_path / "datasets" / dataset / f"{dataset}.train.inter").exists():
            defaults["eval_args"] = {"mode": "full"}  # it comes split
        return Config(model=model, dataset=dataset, config_dict=defaults | settings)

    return make


@pytest.fixture
def make_dataset(make_config: Callable[..., Config]) -> Callable[..., tuple[Config, MMBeeDataset]]:
    """Config and MMBeeDataset, not yet split."""

    def make(model: str = "BPR", dataset: str = "tiny", **settings: Any) -> tuple[Config, MMBeeDataset]:
        config = make_config(model, dataset, **settings)
        return config, MMBeeDataset(config)

    return make


@pytest.fixture(scope="module")
def planted_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Users of four tastes take items of theirs, all equally popular; visual and the words tell an item's taste."""
    tastes, users, items = 4, 80, 60
    bare, wordless = 7, 11  # without any feature, and without words
    folder = tmp_path_factory.mktemp("planted") / "tiny"
    folder.mkdir()
    rng = np.random.default_rng(0)
    taste = np.arange(items) % tastes
    rows = []
    for user in range(users):
        own = rng.permutation(np.flatnonzero(taste == user % tastes))[:9]
        rows += [f"u{user}\ti{item}\t{time}" for time, item in enumerate(own)]
    header = "user_id:token\titem_id:token\ttimestamp:float"
    (folder / "tiny.inter").write_text("\n".join([header, *rng.permutation(rows)]) + "\n")
    tokens = [f"i{item}" for item in range(items + 3)]  # three that nobody took
    (folder / "tiny.item").write_text("\n".join(["item_id:token", *tokens]) + "\n")
    known = np.append(taste, [0, 1, 2])
    visual = np.eye(tastes)[known] + 0.3 * rng.normal(size=(len(tokens), tastes))
    visual[bare] = 0
    np.save(folder / "visual.npy", visual.astype(np.float32))
    owners = np.setdiff1d(np.arange(len(tokens)), [bare, wordless]).repeat(3)
    words = known[owners] * 5 + rng.integers(0, 5, len(owners))
    save_bag(bag_from_pairs(owners, words, len(tokens), 5 * tastes), folder / "text.npz")
    return folder


@pytest.fixture
def build_planted(planted_folder: Path, make_config: Callable[..., Config]) -> Callable[..., Any]:
    """A fresh model, its config and its loaders."""

    small = {"embedding_size": 16, "gpu_id": "", "train_batch_size": 128, "modality_dropout": 0.2}

    def make(name: str, **given: Any) -> tuple[Any, Config, Any]:
        defaults = {} if name == "Pop" else small
        config = make_config(name, data_path=str(planted_folder.parent), **{**defaults, **given})
        config["data_path"] = str(planted_folder)
        init_seed(config["seed"], True)
        loaders = data_preparation(config, MMBeeDataset(config))
        init_seed(config["seed"], True)
        return get_model(name)(config, loaders[0].dataset), config, loaders

    return make
