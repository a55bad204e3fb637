"""Parts defined here, and registered, train in both adapters; one that reads order never sees the future in either."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from recbole.data import data_preparation
from recbole.utils import get_model, get_trainer
from torch import nn

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.modules.backbone import Backbone
from mmbee_plugin.modules.content import Content
from mmbee_plugin.modules.interest import Interest
from mmbee_plugin.modules.parts import BACKBONES, CONTENTS, INTERESTS
from mmbee_plugin.recbole.run import build_config, seeded_dataset
from mmbee_plugin.torchrec.batches.inputs import open_store
from mmbee_plugin.torchrec.processes.launch import process_group
from mmbee_plugin.torchrec.settings import Settings, parse_settings
from mmbee_plugin.torchrec.training.loop import Trainer

TOYS = {"backbone": "toy", "content": "toy", "interest": "toy"}


class Newest(Backbone):
    """The newest behaviour, and its product with the target."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.user_width = self.cross_width = width
        self.weight = nn.Parameter(torch.ones(width))

    def summary(self, side):
        place = side.history_mask.sum(dim=1).clamp(min=1) - 1
        return side.history[torch.arange(len(place)), place] * self.weight

    def remember(self, side):
        return {"newest": self.summary(side), "mask": side.history_mask}

    def cross(self, memory, author, category=None):
        return memory["newest"].unsqueeze(1) * author


class FirstModality(Content):
    """The newest segment's vector of the first modality, projected."""

    def __init__(self, settings) -> None:
        super().__init__()
        self.name, width = next(iter(settings.widths.items()))
        self.project = nn.Linear(width, 3)
        self.out_width = 3

    def forward(self, side):
        return self.project(side.segments[self.name][:, -1].mean(dim=1))


class ScaledMeans(Interest):
    """The means over neighbours, weighted."""

    takes_means = True

    def __init__(self, means: int, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(means, 1))
        self.out_width = means * width

    @classmethod
    def from_settings(cls, settings, metapaths):
        return cls(len(metapaths), settings.width) if metapaths else None

    def read(self, own, side):
        return (side.neighbours * self.scale).flatten(1)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKBONES, "toy", Newest)
    monkeypatch.setitem(CONTENTS, "toy", FirstModality)
    monkeypatch.setitem(INTERESTS, "toy", ScaledMeans)
    monkeypatch.setattr("sys.argv", ["pytest"])


def recbole_config(folder: DatasetFolder, **given: Any) -> Any:
    small = {
        "embedding_size": 16,
        "gpu_id": "",
        "show_progress": False,
        "epochs": 1,
        "graphcl": {"epochs": 1},
    }
    return build_config("MMBee", folder, {**small, **TOYS, **given})


def torchrec_settings(shards: Path, folder: Path, **data: Any) -> Settings:
    content = {
        "data": {"shards": str(shards), "history_length": 8, **data},
        "model": {"width": 16, "loss": "bce", "segments": 3, **TOYS},
        "train": {"batch_size": 29, "negatives": 0, "epochs": 1},
        "checkpoint": {"folder": str(folder)},
    }
    return parse_settings(content, "test")


def weights(gtr: nn.Module) -> torch.Tensor:
    """Parameters of the toys, all 1 at first."""
    return torch.cat([gtr.backbone.weight, gtr.user_interest.scale[:, 0], gtr.author_interest.scale[:, 0]])


def test_new_parts_train_under_recbole(live_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = recbole_config(live_folder)
    train, valid, _ = data_preparation(config, seeded_dataset(config))
    model = get_model("MMBee")(config, train._dataset)
    before = model.gtr.content.project.weight.clone()
    get_trainer(config["MODEL_TYPE"], "MMBee")(config, model).fit(train, valid, saved=False)
    assert (weights(model.gtr) != 1).all() and (model.gtr.content.project.weight != before).any()


def test_new_parts_train_under_torchrec(live_shards, tmp_path):
    with process_group(60) as process:
        trainer = Trainer(torchrec_settings(live_shards, tmp_path), process)
        gtr = trainer.model.module.scorer.gtr
        before = gtr.content.project.weight.clone()
        trainer.run()
        assert (weights(gtr) != 1).all() and (gtr.content.project.weight != before).any()


def test_a_new_backbone_never_sees_the_future(live_folder, live_shards, tmp_path, monkeypatch):
    message = "backbone toy reads the order of behaviours, and history others has what came after the target"
    settings = torchrec_settings(live_shards, tmp_path, history="others")
    with pytest.raises(InputError, match=message):
        recbole_config(live_folder, history="others")
    with pytest.raises(InputError, match=message):
        open_store(settings)
    monkeypatch.setattr(Newest, "reads_order", False)
    assert recbole_config(live_folder, history="others")["history"] == "others"
    assert open_store(settings).labelled
