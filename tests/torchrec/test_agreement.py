"""The same weights give the same logits and losses in both adapters."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recbole.config import Config
from recbole.data.interaction import Interaction

import mmbee_plugin.recbole  # noqa: F401  (registers with RecBole)
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.recbole.dataloader import FOLD
from mmbee_plugin.recbole.dataset import MMBeeDataset
from mmbee_plugin.recbole.models.mmbee import MMBee
from mmbee_plugin.torchrec.inputs import Inputs, open_store
from mmbee_plugin.torchrec.maker import BatchMaker
from mmbee_plugin.torchrec.model import TrainModel
from mmbee_plugin.torchrec.negatives import draw_negatives
from mmbee_plugin.torchrec.reader import TrainReader
from mmbee_plugin.torchrec.settings import Settings, parse_settings
from mmbee_plugin.torchrec.shards import write_shards
from mmbee_plugin.torchrec.store import ShardStore

NAMES = {"width": "embedding_size", "dropout": "dropout_prob"}
"""settings that RecBole calls otherwise"""
CALM = {"width": 16, "dropout": 0.0, "modality_dropout": 0.0, "default_query_rate": 0.0, "init_std": 0.5}
"""nothing is drawn at random in the model, and the vectors are large enough to tell"""
PARTS = list(
    itertools.product(("sim", "din", "mean"), ("none", "concat", "mfq"), ("none", "gie"), ("mlp", "dot"))
)

Trained = tuple[Config, MMBeeDataset]


@pytest.fixture(scope="module")
def trained(sample_folder: DatasetFolder) -> Trained:
    """RecBole's config and training split of the sample, with the graph that the shards were made of."""
    settings = {
        "data_path": str(sample_folder.path.parent),
        "gpu_id": "",
        "show_progress": False,
        "seed": 0,
        "history": "prefix",
        "MAX_ITEM_LIST_LENGTH": 8,
        "embedding_size": 16,
        "graph": {"folds": 3, "fold_by": "order", "reach_top_k": 50},
        "graphcl": {"epochs": 1},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["pytest"])
        config = Config(model="MMBee", dataset="tiktok", config_dict=settings)
    return config, MMBeeDataset(config).build()[0]


@pytest.fixture
def pair(
    trained: Trained, sample_shards: Path
) -> Callable[..., tuple[MMBee, TrainModel, ShardStore, Settings]]:
    """Both models with the settings asked for, and RecBole's weights in both."""

    def make(**parts: Any) -> tuple[MMBee, TrainModel, ShardStore, Settings]:
        parts = CALM | parts
        config, dataset = trained
        for name, value in parts.items():
            config[NAMES.get(name, name)] = value
        torch.manual_seed(1)
        ours = MMBee(config, dataset)
        with torch.no_grad():
            for (
                weight
            ) in ours.gtr.parameters():  # nothing stays silent, as the dot head's content does at first
                weight.add_(0.05 * torch.randn_like(weight))
        data = {"shards": str(sample_shards), "history": "prefix", "history_length": 8}
        settings = parse_settings({"data": data, "model": parts}, "test")
        store = open_store(settings)
        model = TrainModel(Inputs.of(settings.model, store), device="cpu")
        copy_weights(ours, dataset, model, store)
        return ours, model, store, settings

    return make


@torch.no_grad()
def copy_weights(source: MMBee, dataset: MMBeeDataset, model: TrainModel, store: ShardStore) -> None:
    """RecBole's weights into the tables by row; who is unseen in training gets the default row on both sides."""
    user_rows, author_rows = dataset.user_rows[1:], dataset.item_rows[1:]
    source.user.weight[1:][store.user_ids(user_rows) == 0] = 0
    source.author.weight[1:][store.author_ids(author_rows) == 0] = 0
    tables = {"user": (source.user, user_rows), "author": (source.author, author_rows)}
    if source.interest is not None:
        tables |= {"nodes_user": (source.interest.nodes["u"], user_rows)}
        tables |= {"nodes_author": (source.interest.nodes["a"], author_rows)}
    if source.content.num_queries:
        tables |= {"query": (source.content.queries, author_rows)}
    for name, weight in model.tables.named_parameters():
        table = name.split(".")[-2]
        if table in tables:
            module, rows = tables[table]
            weight.zero_()
            weight[torch.from_numpy(rows + 1)] = module.weight[1:]
        else:
            weight.copy_(source.content.tables[table.removeprefix("words_")].bag.weight)
    model.scorer.gtr.load_state_dict(source.gtr.state_dict())


@pytest.mark.parametrize(("backbone", "content", "interest", "head"), PARTS)
def test_logits_agree(pair, trained, backbone, content, interest, head):
    ours, model, store, settings = pair(
        backbone=backbone, content=content, interest=interest, head=head, loss="bpr", searched=3
    )
    dataset = trained[1]
    rng = np.random.default_rng(3)
    users, items = rng.integers(1, dataset.user_num, 64), rng.integers(1, dataset.item_num, 64)
    batch = BatchMaker(store, settings).labelled(dataset.user_rows[users], dataset.item_rows[items])
    with torch.no_grad():
        expected = ours.eval().predict(
            Interaction({"user_id": torch.from_numpy(users), "item_id": torch.from_numpy(items)})
        )
        found = model.eval().score(batch)
    assert expected.std() > 0.05
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("backbone", "loss"),
    [("mean", "softmax"), ("sim", "softmax"), ("din", "bpr"), ("sim", "bce"), ("mean", "bce")],
)
def test_losses_of_a_batch_agree(pair, trained, backbone, loss):
    """With cross-fitted neighbours, prefixes as histories, and SIM's auxiliary task."""
    ours, model, store, settings = pair(
        backbone=backbone, content="mfq", interest="gie", head="dot", loss=loss, searched=3
    )
    dataset = trained[1]
    rows = next(TrainReader(store, settings.data, 40, 0).batches(0))
    batch = BatchMaker(store, settings).train(rows, epoch=0)
    drawn = draw_negatives(store, rows.users, 2, np.random.default_rng((0, 0, rows.index)))

    user_ids, item_ids = np.argsort(dataset.user_rows)[1:], np.argsort(dataset.item_rows)[1:]  # by row
    history, lengths, _ = store.history(rows.users, rows.positions, 8, rows.authors, "prefix")
    history = np.where(np.arange(8) < lengths[:, None], item_ids[history], 0)
    columns = {
        "user_id": user_ids[rows.users],
        "item_id": item_ids[rows.authors],
        "neg_item_id": item_ids[drawn],
        "item_id_list": history,
        FOLD: np.full(len(rows.users), rows.fold),
    }
    expected = ours.train().calculate_loss(
        Interaction({name: torch.from_numpy(column) for name, column in columns.items()})
    )
    found, _ = model.train()(batch)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_logits_agree_on_timed_histories(tmp_path):
    """SIM's time gaps and its unit for the newest behaviours, on data of ids alone."""
    rng = np.random.default_rng(5)
    folder = tmp_path / "timed"
    folder.mkdir()
    pairs = [(user, item) for user in range(20) for item in rng.choice(30, size=12, replace=False)]
    times = 1_600_000_000 + rng.permutation(len(pairs)) * 1000
    lines = [f"u{user}\ti{item}\t{time}" for (user, item), time in zip(pairs, times, strict=True)]
    (folder / "timed.inter").write_text(
        "\n".join(["user_id:token\titem_id:token\ttimestamp:float", *lines]) + "\n"
    )
    write_shards(DatasetFolder(folder), tmp_path / "shards", graph=None)
    parts = {"backbone": "sim", "content": "none", "interest": "none", "head": "mlp", "loss": "bpr"}
    parts |= {"searched": 3, "short_length": 2, "init_std": 0.5}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["pytest"])
        place = {"data_path": str(tmp_path), "gpu_id": "", "show_progress": False, "embedding_size": 16}
        split = {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "TO", "group_by": "user", "mode": "full"}
        config = Config(model="MMBee", dataset="timed", config_dict=place | parts | {"eval_args": split})
    dataset = MMBeeDataset(config).build()[0]
    ours = MMBee(config, dataset)
    assert ours.gtr.backbone.gap is not None
    ours.gtr.backbone.gap.weight.data.normal_()
    settings = parse_settings(
        {"data": {"shards": str(tmp_path / "shards")}, "model": {"width": 16, **parts}}, "test"
    )
    store = open_store(settings)
    model = TrainModel(Inputs.of(settings.model, store), device="cpu")
    copy_weights(ours, dataset, model, store)
    users, items = rng.integers(1, dataset.user_num, 64), rng.integers(1, dataset.item_num, 64)
    batch = BatchMaker(store, settings).labelled(dataset.user_rows[users], dataset.item_rows[items])
    assert batch.users.gap.unique().numel() > 3
    with torch.no_grad():
        expected = ours.eval().predict(
            Interaction({"user_id": torch.from_numpy(users), "item_id": torch.from_numpy(items)})
        )
        found = model.eval().score(batch)
    assert expected.std() > 0.05
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
