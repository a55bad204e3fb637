"""Bundles of TorchRec jobs: a scorer gives the golden requests the logits of the job's own model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

pytest.importorskip("safetensors", reason="the serve extra is not installed")

from mmbee_plugin.cli import app
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.metapaths import PAPER_METAPATHS
from mmbee_plugin.serving.bundle.build import build_bundle
from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.serving.swap.follower import Follower
from mmbee_plugin.torchrec.batches.inputs import Inputs, open_store
from mmbee_plugin.torchrec.checkpoints import checkpoint
from mmbee_plugin.torchrec.checkpoints.bundle import open_source
from mmbee_plugin.torchrec.checkpoints.checkpoint import StepState
from mmbee_plugin.torchrec.settings import parse_settings
from mmbee_plugin.torchrec.sharded.model import TrainModel


def saved(shards: Path, folder: Path, train: dict[str, Any], **model: Any) -> Path:
    """The checkpoint of a job of random weights."""
    content = {
        "data": {"shards": str(shards), "history_length": 8},
        "model": {"width": 16, **model},
        "train": train,
        "checkpoint": {"folder": str(folder)},
    }
    settings = parse_settings(content, "test")
    torch.manual_seed(0)
    made = TrainModel(Inputs.of(settings.model, open_store(settings)), device="cpu")
    for value in made.state_dict().values():
        value.copy_(0.1 * torch.randn_like(value))
    state = StepState(3, 0, 99, settings.model_dump(mode="json"), 1)
    return checkpoint.save(folder, state, made, None)


def scorer_of(shelf: Shelf, bundle: str) -> Any:
    shelf.publish(bundle)
    follower = Follower(shelf)
    follower.look()
    assert follower.refused is None
    return follower.scorer


@pytest.mark.parametrize(
    "parts",
    [
        {"backbone": "mean", "content": "mfq", "metapaths": list(PAPER_METAPATHS), "reach": True},
        {"backbone": "din", "content": "concat", "interest": "bdr"},
        {"backbone": "mean", "user_ids": False, "content": "none", "pooling": "set"},
        {"backbone": "mean", "head": "mlp", "unseen_rows": 8, "unseen_rate": 0.1},
    ],
    ids=lambda parts: "-".join(map(str, parts))[:40],
)
def test_static_items(sample_shards, tmp_path, parts):
    source = open_source(saved(sample_shards, tmp_path / "job", {}, **parts))
    shelf = Shelf(tmp_path / "bundles")
    scorer = scorer_of(shelf, build_bundle(source, shelf))
    assert scorer.replay() < 1e-5
    users, authors = source.exchange.users, source.exchange.authors
    assert scorer.score("nobody", authors[:2], 0.0).flags == ("cold",)
    if unseen := parts.get("unseen_rows"):
        (table,) = (one for name, one in source.model.state_dict().items() if name.endswith(".user.weight"))
        torch.testing.assert_close(torch.from_numpy(scorer._nobody["user"][0]), table[-unseen:].mean(dim=0))
    rows = np.arange(0, len(users), 150)
    for row in rows:
        every = np.arange(len(authors))
        with torch.inference_mode():
            offline = source.logits(np.full(len(authors), row), every)
        torch.testing.assert_close(
            torch.from_numpy(scorer.score(users[row], authors, 0.0).logits), offline, atol=1e-5, rtol=1e-5
        )


def test_live_authors(live_shards, live_folder, tmp_path):
    parts = {"loss": "bce", "backbone": "mmoe", "segments": 3}
    path = saved(live_shards, tmp_path / "job", {"negatives": 0}, **parts)
    with pytest.raises(InputError, match="whose clock is in the dataset folder; name it: --dataset=DIR"):
        open_source(path)
    source = open_source(path, dataset=live_folder.path)
    shelf = Shelf(tmp_path / "bundles")
    scorer = scorer_of(shelf, build_bundle(source, shelf))
    assert scorer.replay() < 1e-5
    bundle = scorer.bundle
    assert bundle.gtr.tasks == ("gift", "comment", "long_watch") and bundle.live.length == 3
    train = live_folder.interactions("train").timestamps
    assert bundle.until == train.max() and bundle.live.seconds == 30


def test_other_data_are_refused_and_the_command_builds(sample_shards, sample_folder, live_folder, tmp_path):
    path = saved(sample_shards, tmp_path / "job", {}, backbone="mean")
    with pytest.raises(InputError, match="not the data that"):
        open_source(path, dataset=live_folder.path)
    arguments = [
        "bundle",
        "build",
        str(path),
        str(tmp_path / "bundles"),
        "--publish",
        f"--dataset={sample_folder.path}",
    ]
    done = CliRunner().invoke(app, arguments)
    assert done.exception is None, done.exception
    current = json.loads((tmp_path / "bundles" / "CURRENT").read_text())["bundle"]
    assert done.stdout.splitlines()[-2:] == [f"Built: {tmp_path / 'bundles' / current}", f"Served: {current}"]
