"""MMBee under RecBole: every switch trains, full ranking equals pair by pair, ids meet their rows, and it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recbole.data.utils import data_preparation
from recbole.utils import get_model, init_seed

from mmbee_plugin.data import sample
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.reach import NOBODY
from mmbee_plugin.recbole.dataloader import FOLD
from mmbee_plugin.recbole.dataset import MMBeeDataset
from mmbee_plugin.recbole.offline import snapshot_for
from mmbee_plugin.recbole.run import build_config, train_and_test

SMALL = {
    "epochs": 1,
    "embedding_size": 16,
    "train_batch_size": 256,
    "gpu_id": "",
    "show_progress": False,
    "graphcl": {"epochs": 1},
    "graph": {"folds": 2, "top_k": 10, "reach_top_k": 20},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The synthetic TikTok sample: dense and bag modalities, some items without one."""
    return sample.ensure("tiktok", tmp_path_factory.mktemp("data"))


@pytest.fixture
def build(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def make(**settings):
        config = build_config("MMBee", folder, {**SMALL, **settings})
        init_seed(config["seed"], True)
        loaders = data_preparation(config, MMBeeDataset(config))
        return get_model("MMBee")(config, loaders[0]._dataset), loaders

    return make


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"backbone": "sim", "head": "mlp", "loss": "bce"},
        {"backbone": "mean"},
        {"backbone": "din", "loss": "bpr"},
        {"backbone": "din"},
        {"backbone": "sim"},
        {"backbone": "dien", "content": "ego_fusion"},
        {"backbone": "mmoe", "content": "mta"},
        {"interest": "bdr", "user_ids": True},
        {"interest": "bdr", "user_ids": True, "backbone": "mmoe", "loss": "bce", "metapaths": []},
        {"content": "none"},
        {"content": "concat", "modalities": ["text"]},
        {"use_queries": False, "projection": "token"},
        {"projection": "elementwise"},
        {"interest": "none"},
        {"metapaths": ["u2a", "a2u", "a2a2u"], "pooling": "set", "node_tables": "fresh"},
        {"pooling": "set", "neighbour_weights": False},
        {"user_ids": False},
        {"user_ids": False, "backbone": "din", "head": "mlp", "loss": "bpr"},
        {"attributes": False, "graph": {"folds": 0, "reach_top_k": 0}},
        {"graph": {"fold_by": "order", "folds": 1}, "history": "prefix"},
    ],
    ids=lambda settings: "-".join(settings) or "defaults",
)
def test_every_switch_trains_and_ranks_as_it_predicts(build, settings):
    model, (train, valid, _) = build(**settings)
    loss = model.calculate_loss(next(iter(train)))
    loss.backward()
    assert loss.isfinite()
    assert model.author.weight.grad.abs().sum() > 0
    model.eval()
    batch = next(iter(valid))[0][torch.arange(3)]
    with torch.no_grad():
        ranked = model.full_sort_predict(batch).view(3, -1)
        pairs = batch.repeat_interleave(model.n_items)
        pairs[model.ITEM_ID] = torch.arange(model.n_items).repeat(3)
        assert torch.allclose(model.predict(pairs).view(3, -1), ranked, atol=1e-5)


def test_stored_lists_meet_recboles_ids(build):
    """RecBole numbers tokens by appearance, the snapshot by row: a user's list names the same tokens in both."""
    model, (train, _, _) = build()
    dataset = train._dataset
    lists = model.interest.lists["u2a2u2a"]
    items = np.asarray(dataset.field2id_token["item_id"])
    users = np.asarray(dataset.field2id_token["user_id"])
    snapshot = snapshot_for(dataset.config, dataset)
    row_of = {token: row for row, token in enumerate(dataset.folder.user_tokens)}
    tokens = np.asarray(dataset.folder.item_tokens)
    assert (dataset.item_rows[1:] != np.arange(dataset.item_num - 1)).any()  # else this test shows nothing
    for user in range(1, 50):
        ids = lists.get_buffer("ids_None")[user][lists.get_buffer("weights_None")[user] > 0].numpy()
        stored, _ = snapshot.neighbours("u2a2u2a").of(row_of[users[user]])
        assert items[ids].tolist() == tokens[stored].tolist()
    reach = model.interest.reach.get_buffer("ids_None").numpy()
    assert (np.diff(reach, axis=1)[(reach[:, 1:] != NOBODY)] > 0).all()


def test_peers_are_rows_of_the_models_own_tables(build):
    """BDR's peers of an author: the ids stored along a2a, by weight, in the table that the loss trains."""
    # it reads metapaths of its own, cross-fitted all the same
    model, (train, *_) = build(interest="bdr", user_ids=True, metapaths=[])
    assert {int(batch[FOLD][0]) for batch in train} == {0, 1}
    items = torch.arange(model.n_items)
    side = model.author_side(items, fold=1)
    ids = model.interest.lists["a"].get_buffer("ids_1").long()
    assert torch.equal(side.peers, model.author.weight[ids])
    has = side.peer_weights.sum(dim=1) > 0
    assert has.any() and torch.allclose(side.peer_weights.sum(dim=1)[has], torch.tensor(1.0))
    assert not any(name.startswith("interest.") for name in model.state_dict())


def test_labels_without_drawn_negatives_need_logistic_loss(build):
    with pytest.raises(InputError, match="data have no labels"):
        build(train_neg_sample_args=None)


@pytest.mark.parametrize("backbone", ["dien", "sasrec"])
def test_a_backbone_that_reads_order_never_sees_the_future(build, backbone):
    with pytest.raises(InputError, match=f"backbone {backbone} reads the order .* set history to prefix"):
        build(backbone=backbone, history="others", interest="none", user_ids=True)
    build(backbone=backbone, history="prefix", interest="none", user_ids=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"table_optimizer": "adam"}, "unknown table_optimizer 'adam'; known: rowwise_adagrad"),
        ({"table_optimizer": "rowwise_adagrad", "table_learning_rate": 0}, "out of range"),
        ({"table_learning_rate": 0.1}, "needs a table_optimizer"),
    ],
)
def test_table_optimizer_is_checked(folder, settings, message):
    with pytest.raises(InputError, match=message):
        build_config("MMBee", folder, {**SMALL, **settings})


def test_it_ranks_better_than_popularity_on_the_sample(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    common = {"gpu_id": "", "show_progress": False, "valid_metric": "Recall@20"}
    popular = train_and_test(build_config("Pop", folder, {**common, "epochs": 1}), folder)
    ours = train_and_test(build_config("MMBee", folder, {**common, **SMALL, "epochs": 6}), folder)
    assert ours.test["recall@20"] > 1.1 * popular.test["recall@20"]
