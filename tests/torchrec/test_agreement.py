"""The same weights give the same logits and losses in both adapters."""

from __future__ import annotations

import copy
import itertools
import json
import shutil
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
from mmbee_plugin.graph.metapaths import PAPER_METAPATHS
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.modules.exchange import USER_TABLES, WORD_TABLES, word_table
from mmbee_plugin.modules.gie import GIE
from mmbee_plugin.modules.parts import BACKBONES, CONTENTS, INTERESTS
from mmbee_plugin.modules.sim import SEARCHES
from mmbee_plugin.recbole.config.layers import PROPERTIES, layer_settings
from mmbee_plugin.recbole.data.dataloader import FOLD, MMBeeFullSortLoader
from mmbee_plugin.recbole.data.dataset import MMBeeDataset
from mmbee_plugin.recbole.data.rows import SEGMENT, TASKS
from mmbee_plugin.recbole.data.training_rows import training_rows
from mmbee_plugin.recbole.models.mmbee import MMBee
from mmbee_plugin.recbole.run import build_config
from mmbee_plugin.torchrec.batches.batch import Batch
from mmbee_plugin.torchrec.batches.inputs import Inputs, open_store
from mmbee_plugin.torchrec.batches.maker import BatchMaker
from mmbee_plugin.torchrec.batches.negatives import draw_negatives
from mmbee_plugin.torchrec.batches.reader import EvalReader, GlobalRows, TrainReader
from mmbee_plugin.torchrec.settings import Settings, parse_settings
from mmbee_plugin.torchrec.sharded.model import TrainModel
from mmbee_plugin.torchrec.sharded.sharding import table_names
from mmbee_plugin.torchrec.sharded.workload import workload
from mmbee_plugin.torchrec.shards.store import ShardStore
from mmbee_plugin.torchrec.shards.write import write_shards

NAMES = {"width": "embedding_size", "dropout": "dropout_prob"}
"""settings that RecBole calls otherwise"""
CALM = {
    **{"dropout": 0.0, "history_dropout": 0.0, "modality_dropout": 0.0, "default_query_rate": 0.0},
    **{"width": 16, "init_std": 0.5, "mfq_width": None, "shared_queries": True},
}
"""nothing is drawn at random in the model, and the vectors are large enough to tell"""
PARTS = [
    (*parts, ("mlp", "dot")[number % 2])
    for number, parts in enumerate(itertools.product(BACKBONES, CONTENTS, INTERESTS))
]
"""every backbone, content and interest, the heads in turn"""
PAIRED = [
    PARTS[(backbone * len(CONTENTS) + content) * len(INTERESTS) + (backbone + content) % len(INTERESTS)]
    for backbone, content in itertools.product(range(len(BACKBONES)), range(len(CONTENTS)))
]
"""any two of backbone, content and interest together"""

Trained = tuple[Config, MMBeeDataset]
Pair = Callable[..., tuple[MMBee, TrainModel, ShardStore, Settings]]


@pytest.fixture(scope="module")
def trained(sample_folder: DatasetFolder) -> Trained:
    """RecBole's config and training split of the sample, with the graph that the shards were made of."""
    graph = {"folds": 3, "fold_by": "order", "reach_top_k": 50}
    own = {"history": "prefix", "MAX_ITEM_LIST_LENGTH": 8, "graph": graph, "graphcl": {"epochs": 1}}
    return recbole(sample_folder.path, **own)[:2]


def recbole(folder: Path, **settings: Any) -> tuple[Config, MMBeeDataset, MMBeeDataset, MMBeeDataset]:
    """RecBole's config of a dataset folder, with the model's defaults whatever the dataset's file says; its splits."""
    own = {"gpu_id": "", "show_progress": False, "seed": 0, "embedding_size": 16}
    common = layer_settings(PROPERTIES / "MMBee.yaml") | own
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["pytest"])
        content = {"data_path": str(folder.parent), **common, **settings}
        config = Config(model="MMBee", dataset=folder.name, config_dict=content)
    return config, *MMBeeDataset(config).build()


@pytest.fixture(scope="module")
def live(live_folder: DatasetFolder) -> tuple[Config, list[MMBeeDataset]]:
    """RecBole's config and the three splits of the live folder, with the graph that its shards were made of."""
    graph = {"folds": 6, "fold_by": "time", "reach_top_k": 0, "top_k": 10}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["pytest"])
        own = {"embedding_size": 16, "MAX_ITEM_LIST_LENGTH": 8, "segments": 3, "short_length": 0}
        own["graphcl"] = {"epochs": 1}
        content = {"gpu_id": "", "show_progress": False, "graph": graph, **own}
        config = build_config("MMBee", live_folder, content)
    return config, MMBeeDataset(config).build()


@pytest.fixture
def pair(trained: Trained, sample_shards: Path) -> Pair:
    """Both models with the settings asked for, and RecBole's weights in both."""
    return pairs_of(*trained, {"shards": str(sample_shards), "history": "prefix", "history_length": 8})


@pytest.fixture
def live_pair(live: tuple[Config, list[MMBeeDataset]], live_shards: Path) -> Pair:
    """Both models on live data, with three segments a sample."""
    make = pairs_of(live[0], live[1][0], {"shards": str(live_shards), "history_length": 8})
    own = {"segments": 3, "loss": "bce", "search": None, "searched": 3, "short_length": 0, "init_std": 1.0}
    return lambda **parts: make(**own | parts)


def pairs_of(config: Config, dataset: MMBeeDataset, data: dict[str, Any]) -> Pair:
    """Makes both models on the same data, with the config's settings where none are asked for."""

    def make(**parts: Any) -> tuple[MMBee, TrainModel, ShardStore, Settings]:
        parts = CALM | parts
        own = copy.copy(config)  # the tests share the config
        own.final_config_dict = config.final_config_dict | {
            NAMES.get(name, name): value for name, value in parts.items()
        }
        torch.manual_seed(1)
        ours = MMBee(own, dataset)
        with torch.no_grad():
            for (
                weight
            ) in ours.gtr.parameters():  # nothing stays silent, as the dot head's content does at first
                weight.add_(0.05 * torch.randn_like(weight))
        train = {"negatives": 0} if dataset.labelled else {}
        settings = parse_settings({"data": data, "model": parts, "train": train}, "test")
        return ours, *torchrec_model(settings, ours, dataset), settings

    return make


@torch.no_grad()
def copy_weights(source: MMBee, dataset: MMBeeDataset, model: TrainModel, store: ShardStore) -> None:
    """RecBole's weights into the tables by row; who is unseen in training gets the default row on both sides."""
    user_rows, author_rows = dataset.user_rows[1:], dataset.item_rows[1:]
    if source.user is not None:
        source.user.weight[1:][store.user_ids(user_rows) == 0] = 0
    source.author.weight[1:][store.author_ids(author_rows) == 0] = 0
    tables = {
        name: (table, user_rows if name in USER_TABLES else author_rows)
        for name, table in source.tables().items()
        if not name.startswith(WORD_TABLES)
    }
    for name, weight in model.tables.named_parameters():
        table = name.split(".")[-2]
        if table in tables:
            module, rows = tables[table]
            weight.zero_()
            weight[torch.from_numpy(rows + 1)] = module.weight[1:]
        else:
            weight.copy_(source.tables()[table].weight)
    model.scorer.gtr.load_state_dict(source.gtr.state_dict())


def torchrec_model(settings: Settings, ours: MMBee, dataset: MMBeeDataset) -> tuple[TrainModel, ShardStore]:
    """The model over unsharded tables, with RecBole's weights."""
    store = open_store(settings)
    model = TrainModel(Inputs.of(settings.model, store), device="cpu")
    copy_weights(ours, dataset, model, store)
    return model, store


def check_logits(
    ours: MMBee, model: TrainModel, dataset: MMBeeDataset, store: ShardStore, settings: Settings, seed: int
) -> Batch:
    """Both models score pairs drawn at random alike; returns the pairs as a batch."""
    rng = np.random.default_rng(seed)
    users, items = rng.integers(1, dataset.user_num, 64), rng.integers(1, dataset.item_num, 64)
    batch = BatchMaker(store, settings).labelled(dataset.user_rows[users], dataset.item_rows[items])
    pairs = {"user_id": torch.from_numpy(users), "item_id": torch.from_numpy(items)}
    with torch.no_grad():
        expected = ours.eval().predict(Interaction(pairs))
        found = model.eval().score(batch)
    assert expected.std() > 0.02
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    return batch


@pytest.mark.parametrize(("backbone", "content", "interest", "head"), PARTS)
def test_logits_agree(pair, trained, backbone, content, interest, head):
    ours, model, store, settings = pair(
        backbone=backbone, content=content, interest=interest, head=head, loss="bpr", searched=3
    )
    check_logits(ours, model, trained[1], store, settings, seed=3)


@pytest.mark.parametrize("head", ["mlp", "dot"])
@pytest.mark.parametrize("content", ["mfq", "mta"])
def test_logits_agree_with_content_of_another_width(pair, trained, content, head):
    """And with queries of the author's alone."""
    parts = {"backbone": "sim", "content": content, "interest": "gie", "head": head, "searched": 3}
    ours, model, store, settings = pair(**parts, loss="bpr", mfq_width=8, shared_queries=False)
    assert ours.content.num_queries == 0 or ours.content.queries.weight.shape[1] == 4 * 8
    check_logits(ours, model, trained[1], store, settings, seed=4)


@pytest.mark.parametrize(("backbone", "content", "interest", "head"), PAIRED)
def test_logits_agree_on_live_data(live_pair, live, backbone, content, interest, head):
    """Of test rows, each with the last three segments of its moment."""
    check_live_logits(live_pair, live, backbone=backbone, content=content, interest=interest, head=head)


@pytest.mark.parametrize("short", [0, 2])
@pytest.mark.parametrize("search", SEARCHES)
def test_both_searches_agree(live_pair, live, search, short):
    """Of histories of 8, of which one, the newest or the most relevant of those that match, is kept."""
    parts = {"backbone": "sim", "content": "none", "interest": "none", "head": "mlp"}
    parts |= {"search": search, "searched": 1, "short_length": short}
    ours = check_live_logits(live_pair, live, **parts)
    assert ours.gtr.backbone.settings.search == search


def check_live_logits(live_pair: Pair, live: tuple[Config, list[MMBeeDataset]], **parts: Any) -> MMBee:
    """Both models score the test rows alike; returns RecBole's."""
    ours, model, store, settings = live_pair(**parts)
    test = live[1][2]
    rows = test.inter_feat
    users, authors = test.user_rows[rows["user_id"].numpy()], test.item_rows[rows["item_id"].numpy()]
    segments = rows[SEGMENT].numpy()
    assert (segments < 0).any() and (segments >= 0).any()
    batch = BatchMaker(store, settings).labelled(users, authors, segments=segments, times=test.times)
    with torch.no_grad():
        ours.eval()
        expected = ours.gtr.score(ours._encode_users(rows), ours._encode_authors(rows))
        found = model.eval().score(batch)
    assert expected.std() > 0.02
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    return ours


@pytest.mark.parametrize(
    "parts",
    [
        {"backbone": "mmoe", "content": "mta", "interest": "bdr"},
        {"backbone": "mmoe", "content": "none", "interest": "gie"},
        {"backbone": "dien", "content": "ego_fusion", "interest": "gie", "head": "mlp"},
        {"backbone": "sim", "content": "mfq", "interest": "bdr", "head": "dot", "search": "hard"},
        {"backbone": "sim", "content": "mfq", "interest": "bdr", "head": "dot", "search": "soft"},
        {"backbone": "mean", "content": "none", "interest": "gie", "head": "mlp", "pooling": "set"},
    ],
    ids=lambda parts: parts["backbone"] + parts.get("search", ""),
)
def test_losses_of_a_labelled_batch_agree(live_pair, live, parts):
    """With histories of earlier days, the past's neighbours, auxiliary losses, and several tasks where there are."""
    ours, model, store, settings = live_pair(**parts)
    dataset = live[1][0]
    folds = training_rows(dataset).folds
    for fold in (0, 4):
        rows = np.flatnonzero(folds == fold)[:50]
        chosen = dataset.inter_feat[torch.from_numpy(rows)]
        labels, tasks = chosen["label"].numpy().astype(np.int64), chosen[TASKS].numpy()
        assert (tasks < 0).any()
        users, authors = dataset.user_rows[chosen["user_id"]], dataset.item_rows[chosen["item_id"]]
        positions = dataset.positions_by_day[rows].astype(np.int64)
        segments, times = chosen[SEGMENT].numpy(), dataset.times[rows]
        same = GlobalRows(users, authors, positions, labels, fold, 0, segments, tasks, times)
        batch = BatchMaker(store, settings).train(same, epoch=0)
        dataset.add_history(chosen, dataset.training_history(torch.from_numpy(rows)))
        chosen[FOLD] = torch.full((len(rows),), fold)
        torch.manual_seed(5)  # of DIEN's random behaviours
        expected = ours.train().calculate_loss(chosen)
        torch.manual_seed(5)
        found, _ = model.train()(batch)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("backbone", "loss", "user_ids"),
    [
        ("mean", "softmax", True),
        ("mean", "softmax", False),
        ("sasrec", "softmax", True),
        ("sasrec", "softmax", False),
        ("sim", "softmax", True),
        ("sim", "softmax", False),
        ("din", "bpr", True),
        ("din", "bpr", False),
        ("sim", "bce", True),
        ("mean", "bce", True),
    ],
)
def test_losses_of_a_batch_agree(pair, trained, backbone, loss, user_ids):
    """With cross-fitted neighbours, prefixes as histories, and SIM's auxiliary task."""
    ours, model, store, settings = pair(
        backbone=backbone,
        content="mfq",
        interest="gie",
        head="dot",
        loss=loss,
        searched=3,
        user_ids=user_ids,
    )
    check_losses(ours, model, trained[1], store, settings)
    assert model.scorer.inputs.shares_pool == (loss == "softmax" and not ours.gtr.pays_per_pair)
    assert ("user" in ours.tables()) == any(".user.weight" in name for name in model.state_dict()) == user_ids


@pytest.mark.parametrize("weighted", [True, False], ids=["by score", "plain"])
@pytest.mark.parametrize("pooling", GIE.POOLINGS)
def test_means_over_neighbours_agree(pair, trained, pooling, weighted):
    """Over metapaths or sets, by score or plain, with attributes: of the whole graph, and cross-fitted."""
    chosen = {"pooling": pooling, "neighbour_weights": weighted, "metapaths": list(PAPER_METAPATHS)}
    parts = {"backbone": "mean", "content": "none", "interest": "gie", "head": "mlp", "loss": "softmax"}
    ours, model, store, settings = pair(**chosen, **parts, user_ids=True)
    own = ours.gtr.settings
    assert own == model.scorer.gtr.settings and own.attribute_width
    assert (own.pooling, own.neighbour_weights) == (pooling, weighted)
    check_logits(ours, model, trained[1], store, settings, seed=7)
    check_losses(ours, model, trained[1], store, settings)


def check_losses(
    ours: MMBee, model: TrainModel, dataset: MMBeeDataset, store: ShardStore, settings: Settings
) -> None:
    """Both models train on a batch of cross-fitted rows alike."""
    rows = next(TrainReader(store, settings.data, 40, 0).batches(0))
    batch = BatchMaker(store, settings).train(rows, epoch=0)
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
    expected = ours.train().calculate_loss(
        Interaction({name: torch.from_numpy(column) for name, column in columns.items()})
    )
    found, _ = model.train()(batch)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("interest", INTERESTS)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_pool_is_shared_where_no_pair_pays(pair, backbone, interest):
    """RecBole asks the model it built, TorchRec the settings of one it has yet to build."""
    ours, model, *_ = pair(backbone=backbone, content="none", interest=interest, loss="softmax", searched=3)
    assert model.scorer.inputs.shares_pool != ours.gtr.pays_per_pair


def test_dropout_reaches_both_models(pair):
    chosen = {"dropout": 0.125, "history_dropout": 0.25}
    ours, model, *_ = pair(backbone="sasrec", content="none", interest="none", head="dot", **chosen)
    for gtr in (ours.gtr, model.scorer.gtr):
        assert (gtr.head.dropout.p, gtr.backbone.dropout.p) == (0.125, 0.25)


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
    split = {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "TO", "group_by": "user", "mode": "full"}
    config, *splits = recbole(folder, eval_args=split, **parts)
    dataset = splits[0]
    ours = MMBee(config, dataset)
    assert ours.gtr.backbone.gap is not None
    ours.gtr.backbone.gap.weight.data.normal_()
    settings = parse_settings(
        {"data": {"shards": str(tmp_path / "shards")}, "model": {"width": 16, **parts}}, "test"
    )
    model, store = torchrec_model(settings, ours, dataset)
    batch = check_logits(ours, model, dataset, store, settings, seed=5)  # as of the end of training
    assert batch.users.gap.unique().numel() > 3

    asked = next(EvalReader(store, "test").ranked(1000))
    ranked, *_ = next(iter(MMBeeFullSortLoader(config, splits[2], None)))
    order = np.argsort(dataset.user_rows[ranked["user_id"].numpy()])
    assert np.array_equal(asked.times.astype(np.float32), ranked["timestamp"].numpy()[order])
    users = BatchMaker(store, settings).users(asked.users, times=asked.times)
    authors = BatchMaker(store, settings).authors(dataset.item_rows[1:])
    with torch.no_grad():
        found = model.scorer.gtr.score_all(model.encode_users(users), model.encode_authors(authors))
        expected = ours.full_sort_predict(ranked)[:, 1:]
    torch.testing.assert_close(found, expected[order], rtol=0, atol=1e-5)


@pytest.fixture(scope="module")
def renamed(sample_folder: DatasetFolder, tmp_path_factory: pytest.TempPathFactory) -> DatasetFolder:
    """The sample with modalities whose names torch refuses, dense ones and a bag."""
    names = {"visual": "clip.vit", "acoustic": "training", "text": "keys %.x"}
    copy = shutil.copytree(sample_folder.path, tmp_path_factory.mktemp("renamed") / sample_folder.name)
    for old, new in names.items():
        for file in [*copy.glob(f"{old}.np*"), *copy.glob(f"{old}.present.npy")]:
            file.rename(copy / file.name.replace(old, new, 1))
    description = json.loads((copy / "dataset.json").read_text())
    description["modalities"] = {
        names[old]: {**entry, "file": entry["file"].replace(old, names[old], 1)}
        for old, entry in description["modalities"].items()
    }
    (copy / "dataset.json").write_text(json.dumps(description))
    return DatasetFolder(copy)


def test_modalities_of_any_name_agree(renamed, tmp_path):
    """Logits and losses with their attributes, a job's plan, and the tables of an exchange file."""
    graph = {"folds": 3, "fold_by": "order", "reach_top_k": 0, "metapaths": ["u2a", "a2a"]}
    own = {
        "history": "prefix",
        "MAX_ITEM_LIST_LENGTH": 8,
        "metapaths": ["u2a", "a2a"],
        "node_tables": "fresh",
    }
    chosen = GraphSettings(**graph)
    write_shards(renamed, tmp_path / "shards", chosen, None, rows_per_group=200)
    config, dataset = recbole(
        renamed.path, graph={k: v for k, v in graph.items() if k != "metapaths"}, **own
    )[:2]
    make = pairs_of(
        config, dataset, {"shards": str(tmp_path / "shards"), "history": "prefix", "history_length": 8}
    )
    parts = {"backbone": "mean", "content": "mfq", "interest": "gie", "head": "mlp", "loss": "bpr"}
    parts |= {"metapaths": ["u2a", "a2a"], "node_tables": "fresh", "user_ids": True}
    ours, model, store, settings = make(**parts)
    assert list(model.scorer.inputs.modalities) == list(renamed.modalities) == list(ours.content.tables)
    check_logits(ours, model, dataset, store, settings, seed=7)
    check_losses(ours, model, dataset, store, settings)
    word_tables = {name for name in ours.tables() if name.startswith(WORD_TABLES)}
    assert word_tables == {word_table("keys %.x")} <= set(table_names(model.tables))
    assert set(workload(model.scorer.inputs, settings, 2)[1]) >= set(table_names(model.tables))
