"""One set of weights in both adapters: RecBole's model, and TorchRec's over unsharded tables."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recbole.config import Config
from recbole.data.interaction import Interaction

import mmbee_plugin.recbole  # noqa: F401  (registers with RecBole)
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.graph.settings import GraphStage
from mmbee_plugin.modules.exchange import USER_TABLES, WORD_TABLES
from mmbee_plugin.recbole.config.settings import MMBeeSettings
from mmbee_plugin.recbole.data.dataloader import FOLD
from mmbee_plugin.recbole.data.dataset import MMBeeDataset
from mmbee_plugin.recbole.data.rows import SEGMENT
from mmbee_plugin.recbole.models.mmbee import MMBee
from mmbee_plugin.recbole.run import build_config
from mmbee_plugin.torchrec.batches.batch import Batch
from mmbee_plugin.torchrec.batches.inputs import Inputs, open_store
from mmbee_plugin.torchrec.batches.maker import BatchMaker
from mmbee_plugin.torchrec.batches.negatives import draw_negatives
from mmbee_plugin.torchrec.batches.reader import TrainReader
from mmbee_plugin.torchrec.settings import Settings, parse_settings
from mmbee_plugin.torchrec.sharded.model import TrainModel
from mmbee_plugin.torchrec.shards.store import ShardStore

NAMES = {"width": "embedding_size", "dropout": "dropout_prob"}
"""settings that RecBole calls otherwise"""
CALM = {
    **{"dropout": 0.0, "history_dropout": 0.0, "modality_dropout": 0.0, "default_query_rate": 0.0},
    **{"width": 16, "init_std": 0.5, "mfq_width": None, "shared_queries": True},
}
"""nothing is drawn at random in the model, and the vectors are large enough to tell"""

Splits = tuple[Config, list[MMBeeDataset]]
"""RecBole's config of a dataset folder, and the three splits"""


@dataclass
class Pair:
    """Both models with the same weights, and the data that they read."""

    ours: MMBee
    model: TrainModel
    dataset: MMBeeDataset
    store: ShardStore
    settings: Settings

    @property
    def maker(self) -> BatchMaker:
        return BatchMaker(self.store, self.settings)

    def check_logits(self, seed: int) -> Batch:
        """Both models score pairs drawn at random alike; returns the pairs as a batch."""
        rng, dataset = np.random.default_rng(seed), self.dataset
        users, items = rng.integers(1, dataset.user_num, 64), rng.integers(1, dataset.item_num, 64)
        batch = self.maker.labelled(dataset.user_rows[users], dataset.item_rows[items])
        pairs = {"user_id": torch.from_numpy(users), "item_id": torch.from_numpy(items)}
        with torch.no_grad():
            self.check_alike(self.ours.eval().predict(Interaction(pairs)), batch)
        return batch

    def check_logits_of_rows(self, split: MMBeeDataset) -> None:
        """Both models score the rows of a live split alike, each with the segments of its moment."""
        rows = split.inter_feat
        users, authors = (
            split.user_rows[rows["user_id"].numpy()],
            split.item_rows[rows["item_id"].numpy()],
        )
        segments, ours = rows[SEGMENT].numpy(), self.ours.eval()
        assert (segments < 0).any() and (segments >= 0).any()
        batch = self.maker.labelled(users, authors, segments=segments, times=split.times)
        with torch.no_grad():
            self.check_alike(ours.gtr.score(ours._encode_users(rows), ours._encode_authors(rows)), batch)

    def check_alike(self, expected: torch.Tensor, batch: Batch) -> None:
        """TorchRec's model scores a batch as expected."""
        assert expected.std() > 0.02
        torch.testing.assert_close(self.model.eval().score(batch), expected, rtol=0, atol=1e-5)

    def check_losses(self) -> None:
        """Both models train on a batch of cross-fitted rows alike."""
        dataset, store = self.dataset, self.store
        rows = next(TrainReader(store, self.settings.data, 40, 0).batches(0))
        batch = self.maker.train(rows, epoch=0)
        drawn = draw_negatives(store, rows.users, np.arange(len(rows.users)), 2, (0, 0, rows.index))

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
        expected = self.ours.train().calculate_loss(
            Interaction({name: torch.from_numpy(column) for name, column in columns.items()})
        )
        found, _ = self.model.train()(batch)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


MakePair = Callable[..., Pair]


@pytest.fixture(scope="session")
def recbole() -> Callable[..., Splits]:
    """``recbole(folder, **settings)``: its splits, with the model's defaults whatever the dataset's file says."""

    def read(folder: Path, **settings: Any) -> Splits:
        own = {"gpu_id": "", "show_progress": False, "seed": 0, "embedding_size": 16}
        common = MMBeeSettings.defaults() | own
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["pytest"])
            content = {"data_path": str(folder.parent), **common, **settings}
            config = Config(model="MMBee", dataset=folder.name, config_dict=content)
        return config, MMBeeDataset(config).build()

    return read


@pytest.fixture(scope="session")
def trained(sample_folder: DatasetFolder, recbole: Callable[..., Splits]) -> Splits:
    """The sample, with the graph that the shards were made of."""
    # All settings, since those of the dataset's file stay where a part of them is given.
    graph = GraphStage(folds=3, fold_by="order", reach_top_k=50).model_dump()
    own = {"history": "prefix", "MAX_ITEM_LIST_LENGTH": 8, "graph": graph, "graphcl": {"epochs": 1}}
    return recbole(sample_folder.path, **own)


@pytest.fixture(scope="session")
def live(live_folder: DatasetFolder) -> Splits:
    """The live folder, with the graph that its shards were made of."""
    graph = {"folds": 6, "fold_by": "time", "reach_top_k": 0, "top_k": 10}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["pytest"])
        own = {"embedding_size": 16, "MAX_ITEM_LIST_LENGTH": 8, "segments": 3, "short_length": 0}
        own["graphcl"] = {"epochs": 1}
        content = {"gpu_id": "", "show_progress": False, "graph": graph, **own}
        config = build_config("MMBee", live_folder, content)
    return config, MMBeeDataset(config).build()


@pytest.fixture(scope="session")
def pairs_of() -> Callable[[Splits, dict[str, Any]], MakePair]:
    """Makes pairs on the same data, with the config's settings where none are asked for."""

    def of(splits: Splits, data: dict[str, Any]) -> MakePair:
        config, (dataset, *_) = splits

        def make(**parts: Any) -> Pair:
            parts = CALM | parts
            own = copy.copy(config)  # the tests share the config
            own.final_config_dict = config.final_config_dict | {
                NAMES.get(name, name): value for name, value in parts.items()
            }
            torch.manual_seed(1)
            ours = MMBee(own, dataset)
            with torch.no_grad():
                # nothing stays silent, as the dot head's content does at first
                for weight in ours.gtr.parameters():
                    weight.add_(0.05 * torch.randn_like(weight))
            train = {"negatives": 0} if dataset.labelled else {}
            settings = parse_settings({"data": data, "model": parts, "train": train}, "test")
            store = open_store(settings)
            model = TrainModel(Inputs.of(settings.model, store), device="cpu")
            pair = Pair(ours, model, dataset, store, settings)
            copy_weights(pair)
            return pair

        return make

    return of


@pytest.fixture
def pair(trained: Splits, sample_shards: Path, pairs_of: Callable[..., MakePair]) -> MakePair:
    """Both models with the settings asked for, on the sample."""
    return pairs_of(trained, {"shards": str(sample_shards), "history": "prefix", "history_length": 8})


@pytest.fixture
def live_pair(live: Splits, live_shards: Path, pairs_of: Callable[..., MakePair]) -> MakePair:
    """Both models on live data, with three segments a sample."""
    make = pairs_of(live, {"shards": str(live_shards), "history_length": 8})
    own = {"segments": 3, "loss": "bce", "search": None, "searched": 3, "short_length": 0, "init_std": 1.0}
    return lambda **parts: make(**own | parts)


@torch.no_grad()
def copy_weights(pair: Pair) -> None:
    """RecBole's weights into the tables by row; who is unseen in training gets the default row on both sides."""
    source, dataset, store = pair.ours, pair.dataset, pair.store
    user_rows, author_rows = dataset.user_rows[1:], dataset.item_rows[1:]
    if source.user is not None:
        source.user.weight[1:][store.user_ids(user_rows) == 0] = 0
    source.author.weight[1:][store.author_ids(author_rows) == 0] = 0
    tables = {
        name: (table, user_rows if name in USER_TABLES else author_rows)
        for name, table in source.tables().items()
        if not name.startswith(WORD_TABLES)
    }
    for name, weight in pair.model.tables.named_parameters():
        table = name.split(".")[-2]
        if table in tables:
            module, rows = tables[table]
            weight.zero_()
            weight[torch.from_numpy(rows + 1)] = module.weight[1:]
        else:
            weight.copy_(source.tables()[table].weight)
    pair.model.scorer.gtr.load_state_dict(source.gtr.state_dict())
