"""Every model is trained, masked and tested on the same data."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recbole.data.interaction import Interaction
from recbole.data.utils import data_preparation
from recbole.utils import get_model, get_trainer, init_seed

from mmbee_plugin.recbole.data.dataset import MMBeeDataset
from mmbee_plugin.recbole.offline import snapshot_for

MODELS = ["Pop", "BPR", "LightGCN", "NGCF", "DIN", "SASRec", "MMBee", "SIM"]
WITH_HISTORY = {"DIN", "SASRec", "MMBee", "SIM"}
Loaders = tuple


@pytest.fixture(params=["timed", "untimed", "pre-split"])
def folder(request, write_folder, random_rows):
    """The same interactions in three forms, with items that nobody has touched."""
    items = [f"i{item}" for item in range(43)]
    if request.param == "timed":
        return write_folder(random_rows, items=items)
    rows = [row[:2] for row in random_rows]
    if request.param == "untimed":
        return write_folder(rows, columns=(), items=items)
    part = np.random.default_rng(0).choice(3, len(rows), p=[0.6, 0.2, 0.2])
    parts = {
        name: [row for row, p in zip(rows, part, strict=True) if p == k]
        for k, name in enumerate(("train", "valid", "test"))
    }
    return write_folder(parts, columns=(), items=items)


@pytest.fixture
def prepare(folder, make_dataset):
    def run(model: str, **settings) -> tuple:
        config, dataset = make_dataset(model, epochs=1, mlp_hidden_size=[8, 4], **settings)
        init_seed(config["seed"], True)
        return config, dataset, data_preparation(config, dataset)

    return run


def ranked(dataset: MMBeeDataset, loader) -> tuple[set, set]:
    """Test pairs and masked pairs of a full-ranking loader, as tokens."""
    users, items = dataset.field2id_token["user_id"], dataset.field2id_token["item_id"]
    pairs, mask = set(), set()
    for batch, (history_u, history_i), positive_u, positive_i in loader:
        owner = batch["user_id"]
        for found, rows, ids in ((pairs, positive_u, positive_i), (mask, history_u, history_i)):
            found |= set(zip(users[owner[rows].numpy()], items[ids.numpy()], strict=True))
    return pairs, mask


@pytest.mark.parametrize("mask_valid", [False, True])
def test_all_models_rank_the_same_pairs_under_the_same_mask(prepare, mask_valid) -> None:
    seen = []
    for model in MODELS:
        _, dataset, (_, valid, test) = prepare(model, mask_valid=mask_valid)
        seen.append((ranked(dataset, valid), ranked(dataset, test)))
    assert all(other == seen[0] for other in seen[1:])
    (valid_pairs, _), (test_pairs, test_mask) = seen[0]
    assert not test_pairs & test_mask and len(test_pairs) > 30
    assert bool(test_mask & valid_pairs) == mask_valid


@pytest.mark.parametrize("model", sorted(WITH_HISTORY))
@pytest.mark.parametrize("history", ["prefix", "others"])
def test_histories_hold_training_items_and_never_the_target(prepare, model, history) -> None:
    _, dataset, (train, valid, test) = prepare(model, history=history)
    n_items = dataset.item_num
    training = set(train.dataset.positive_keys().tolist())
    held_out = set(valid.dataset.positive_keys().tolist()) | set(test.dataset.positive_keys().tolist())
    assert not training & held_out

    def history_keys(batch) -> set[int]:
        keys = batch["user_id"][:, None] * n_items + batch["item_id_list"]
        return set(keys[batch["item_id_list"] > 0].tolist())

    for batch in train:
        positive = batch["label"] == 1 if "label" in batch else torch.ones(len(batch), dtype=torch.bool)
        assert not (batch["item_id_list"] == batch["item_id"][:, None])[positive].any()
        assert history_keys(batch) <= training
    for loader in (valid, test):
        for batch, *_ in loader:
            assert history_keys(batch) <= training
            for user, row in zip(batch["user_id"].tolist(), batch["item_id_list"].tolist(), strict=True):
                mine = sum(key // n_items == user for key in training)
                assert sum(item > 0 for item in row) == min(mine, 6)


def test_the_graph_has_the_training_pairs_as_edges_and_no_others(prepare) -> None:
    config, _, (train, valid, _) = prepare("MMBee", graphcl={"epochs": 1}, metapaths=["u2a2u"])

    def tokens(part) -> set[tuple[str, str]]:
        users, items = part.inter_feat["user_id"], part.inter_feat["item_id"]
        return set(zip(part.id2token("user_id", users), part.id2token("item_id", items), strict=True))

    def edges(part) -> set[tuple[str, str]]:
        rows, columns = snapshot_for(config, part).u2a().nonzero()
        folder = part.folder
        return {(folder.user_tokens[u], folder.item_tokens[a]) for u, a in zip(rows, columns, strict=True)}

    training = tokens(train.dataset)
    assert edges(train.dataset) == training
    # The same check on a graph into which one validation pair has leaked, in the place of a training pair.
    rows = {name: column.clone() for name, column in train.dataset.inter_feat.interaction.items()}
    for name in ("user_id", "item_id"):
        rows[name][0] = valid.dataset.inter_feat[name][0]
    assert len((edges(train.dataset.copy(Interaction(rows))) - training) & tokens(valid.dataset)) == 1


@pytest.mark.parametrize("model", MODELS)
def test_models_train_and_rank(prepare, model) -> None:
    config, dataset, (train, valid, test) = prepare(model)
    network = get_model(model)(config, train.dataset).to(config["device"])
    if model != "Pop":  # a FLOPs counter sends one plain row
        assert network.eval().predict(dataset[torch.tensor([1])]).shape == (1,)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, network)
    trainer.fit(train, valid, saved=False)
    result = trainer.evaluate(test, load_best_model=False)
    assert 0 <= result["recall@10"] <= 1
    assert np.isfinite(list(result.values())).all()


def test_recall_by_hand(prepare) -> None:
    """Pairs, mask and metric at once: the ranking of BPR computed from its vectors and the interactions."""
    config, dataset, (train, valid, test) = prepare("BPR")
    network = get_model("BPR")(config, train.dataset)
    trainer = get_trainer(config["MODEL_TYPE"], "BPR")(config, network)
    trainer.fit(train, valid, saved=False)
    found = trainer.evaluate(test, load_best_model=False)

    def of_user(split, user) -> set[int]:
        rows = split.dataset.inter_feat["user_id"] == user
        return set(split.dataset.inter_feat["item_id"][rows].tolist())

    vectors = network.user_embedding.weight.detach(), network.item_embedding.weight.detach()
    recalls = []
    for user in range(1, dataset.user_num):
        positives, seen = of_user(test, user), of_user(train, user)
        if positives:
            scores = (vectors[0][user] @ vectors[1].T).tolist()
            candidates = [item for item in range(1, dataset.item_num) if item not in seen]
            top = sorted(candidates, key=lambda item, scores=scores: -scores[item])[:10]
            recalls.append(len(positives & set(top)) / len(positives))
    assert found["recall@10"] == pytest.approx(np.mean(recalls), abs=1e-4)
