"""Batches: layouts, histories and the rows that are trained on and ranked."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recbole.data.dataset import SequentialDataset
from recbole.data.utils import data_preparation
from recbole.utils import InputType

from mmbee_plugin.recbole.data import dataloader as loaders
from mmbee_plugin.recbole.data.dataloader import MMBeeEvalLoader, MMBeeFullSortLoader, MMBeeTrainLoader

LEAVE_ONE_OUT = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"}
LABELLED = {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "TO", "group_by": "user", "mode": "labeled"}


@pytest.fixture
def rated_rows(random_rows):
    return [(user, item, 1 + time % 5, time) for user, item, time in random_rows]


@pytest.fixture
def write_rated(write_folder, rated_rows):
    return write_folder(rated_rows, columns=("rating:float", "timestamp:float"))


def triples(batches, fields=("user_id", "item_id", "item_id_list", "item_length")):
    """Rows of all batches as hashable tuples."""
    found = []
    for batch in batches:
        columns = [batch[field].tolist() for field in fields]
        found += [
            tuple(tuple(v) if isinstance(v, list) else v for v in row) for row in zip(*columns, strict=True)
        ]
    return sorted(found)


def test_sasrec_trains_on_the_rows_of_recboles_augmentation(write_folder, make_dataset, random_rows) -> None:
    write_folder([(user, item, time - 1_600_000_000) for user, item, time in random_rows])
    settings = {"eval_args": LEAVE_ONE_OUT, "load_col": {"inter": ["user_id", "item_id", "timestamp"]}}
    config, dataset = make_dataset("SASRec", **settings)
    train = data_preparation(config, dataset)[0]
    assert isinstance(train, MMBeeTrainLoader)
    stock = SequentialDataset(config).build()[0].inter_feat
    assert triples(train) == triples([stock])


@pytest.mark.parametrize(
    ("model", "input_type"), [("DIN", InputType.POINTWISE), ("SASRec", InputType.PAIRWISE)]
)
def test_layouts_of_stock_sequential_models(
    write_folder, make_dataset, random_rows, model, input_type
) -> None:
    write_folder(random_rows)
    arguments = {"distribution": "uniform", "sample_num": 3}
    more = {"loss_type": "BPR"} if model == "SASRec" else {}
    config, dataset = make_dataset(model, train_neg_sample_args=arguments, shuffle=False, **more)
    train = data_preparation(config, dataset)[0]
    assert train.dl_format == input_type
    seen = {user: set() for user in range(dataset.user_num)}
    for key in dataset.mask_keys:
        seen[key // dataset.item_num].add(key % dataset.item_num)
    total = 0
    for batch in train:
        copies = 4 if input_type == InputType.POINTWISE else 3
        n = len(batch) // copies
        total += n
        for field in ("user_id", "item_id_list", "item_length", "timestamp_list"):
            parts = batch[field].view(copies, n, *batch[field].shape[1:])
            assert (parts == parts[0]).all()
        users = batch["user_id"].tolist()
        if input_type == InputType.POINTWISE:
            assert batch["label"].tolist() == [1.0] * n + [0.0] * 3 * n
            negatives, positives = batch["item_id"][n:].tolist(), batch["item_id"][:n].tolist()
            users = users[n:]
        else:
            negatives, positives = batch["neg_item_id"].tolist(), batch["item_id"][:n].tolist()
        assert all(item not in seen[user] for user, item in zip(users, negatives, strict=True))
        assert all(item in seen[user] for user, item in zip(users[:n], positives, strict=True))
        assert not (batch["item_id_list"][:n] == batch["item_id"][:n, None]).any()
    assert total == len(train.rows) == train.sample_size


def listwise(config, dataset):
    """The train loader a LISTWISE model of this package gets; BPR stands in for its ids."""
    config["MODEL_INPUT_TYPE"] = InputType.LISTWISE
    dataset.reads_history = True
    return data_preparation(config, dataset)[0]


def test_listwise_layout(write_folder, make_dataset, random_rows) -> None:
    write_folder(random_rows)
    config, dataset = make_dataset(train_neg_sample_args={"distribution": "uniform", "sample_num": 5})
    train = listwise(config, dataset)
    positives = set(dataset.mask_keys.tolist())
    rows = 0
    for batch in train:
        n = len(batch["user_id"])
        rows += n
        assert batch["neg_item_id"].shape == (n, 5) and batch["item_id_list"].shape == (n, 6)
        keys = batch["user_id"][:, None] * dataset.item_num + batch["neg_item_id"]
        assert not set(keys.flatten().tolist()) & positives
        assert set((batch["user_id"] * dataset.item_num + batch["item_id"]).tolist()) <= positives
        assert (batch["timestamp_list"].amax(1) <= batch["timestamp"]).all()
    assert rows == len(positives)  # rows without a history are kept
    assert len(train) == -(-rows // 64)  # the batch size counts positives


@pytest.mark.parametrize("mode", ["prefix", "others"])
def test_history_modes(write_folder, make_dataset, random_rows, mode) -> None:
    write_folder(random_rows)
    time_of = {(user, item): time for user, item, time in random_rows}
    config, dataset = make_dataset(history=mode, MAX_ITEM_LIST_LENGTH=50)
    train = listwise(config, dataset)
    tokens = dataset.field2id_token
    mine: dict[str, set[str]] = {}
    for key in dataset.mask_keys:
        mine.setdefault(tokens["user_id"][key // dataset.item_num], set()).add(
            tokens["item_id"][key % dataset.item_num]
        )
    for batch in train:
        for user, target, row, length in zip(
            *(batch[f].tolist() for f in ("user_id", "item_id", "item_id_list", "item_length")), strict=True
        ):
            user, target = tokens["user_id"][user], tokens["item_id"][target]
            found = tokens["item_id"][row[:length]].tolist()
            expected = sorted(mine[user] - {target}, key=lambda item: time_of[user, item])
            if mode == "prefix":
                expected = [item for item in expected if time_of[user, item] < time_of[user, target]]
            assert found == expected and row[length:] == [0] * (50 - length)


def test_labelled_training(write_rated, make_dataset) -> None:
    config, dataset = make_dataset(
        "FM", threshold={"rating": 4}, eval_args=LABELLED, metrics=["AUC"], valid_metric="AUC",
        train_neg_sample_args=None,
    )  # fmt: skip
    train, valid, _ = data_preparation(config, dataset)
    labels = torch.cat([batch["label"] for batch in train])
    assert len(labels) == len(train.dataset) and set(labels.tolist()) == {0.0, 1.0}
    assert isinstance(valid, MMBeeEvalLoader)


def test_negatives_are_drawn_for_positives_only(write_rated, make_dataset) -> None:
    config, dataset = make_dataset(threshold={"rating": 4})
    train, valid, _ = data_preparation(config, dataset)
    trained = sorted(key for b in train for key in (b["user_id"] * dataset.item_num + b["item_id"]).tolist())
    assert trained == train.dataset.positive_keys().tolist() and len(trained) < len(train.dataset)
    ranked = {
        int(batch["user_id"][row]) * dataset.item_num + int(item)
        for batch, _, rows, items in valid
        for row, item in zip(rows, items, strict=True)
    }
    assert ranked == set(valid.dataset.positive_keys().tolist())


def test_full_ranking_batches(write_folder, make_dataset, random_rows) -> None:
    write_folder(random_rows)
    config, dataset = make_dataset("DIN")
    _, valid, test = data_preparation(config, dataset)
    n_items = dataset.item_num
    for split in (valid, test):
        assert isinstance(split, MMBeeFullSortLoader)
        positives, masked, users = [], [], []
        for batch, (history_u, history_i), positive_u, positive_i in split:
            owner = batch["user_id"]
            users += owner.tolist()
            positives += (owner[positive_u] * n_items + positive_i).tolist()
            masked += (owner[history_u] * n_items + history_i).tolist()
            ids, lengths, _ = dataset.histories.all(owner, 6)
            assert torch.equal(batch["item_id_list"], ids) and torch.equal(
                batch["item_length"], lengths.clamp(min=1)
            )
            for row, user in enumerate(owner.tolist()):
                times = split.dataset.inter_feat["timestamp"][split.dataset.inter_feat["user_id"] == user]
                assert batch["timestamp"][row] == times.min()
        assert positives == split.dataset.positive_keys().tolist()
        assert users == sorted(set(users))
        expected = {key for key in dataset.mask_keys.tolist() if key // n_items in set(users)}
        assert set(masked) == expected and len(masked) == len(expected)


def test_a_repeated_item_is_ranked_not_masked(write_folder, make_dataset) -> None:
    rows = {
        "train": [("u", "a"), ("u", "b"), ("v", "c")],
        "valid": [("v", "a")],
        "test": [("u", "a"), ("u", "a"), ("v", "b")],
    }
    write_folder(rows, columns=())
    config, dataset = make_dataset()
    _, (history_u, history_i), positive_u, positive_i = next(iter(data_preparation(config, dataset)[2]))
    token = dataset.field2id_token["item_id"]
    named = lambda rows, items: set(zip(rows.tolist(), token[items.numpy()], strict=True))  # noqa: E731
    assert named(positive_u, positive_i) == {(0, "a"), (1, "b")} and len(positive_u) == 2
    assert named(history_u, history_i) == {(0, "b"), (1, "c")}


def test_users_without_training_are_ranked_with_an_empty_history(write_folder, make_dataset) -> None:
    rows = {"train": [("u", "a"), ("u", "b")], "valid": [("u", "c")], "test": [("new", "a"), ("u", "d")]}
    write_folder(rows, columns=())
    for model, length in (("SASRec", 1), ("DIN", 1)):
        config, dataset = make_dataset(model)
        batch, *_ = next(iter(data_preparation(config, dataset)[2]))
        row = batch["user_id"].tolist().index(dataset.token2id("user_id", "new"))
        assert batch["item_id_list"][row].sum() == 0 and batch["item_length"][row] == length


@pytest.mark.parametrize(
    ("model", "n_items", "users"), [("BPR", 40, 256), ("BPR", 200_000, 167), ("DIN", 40_000, 119)]
)
def test_users_per_batch(write_folder, make_dataset, random_rows, model, n_items, users) -> None:
    write_folder(random_rows, items=[f"i{item}" for item in range(n_items)])
    config, dataset = make_dataset(model)
    loader = MMBeeFullSortLoader(config, dataset.build()[2], None)
    assert loader.step == users
    cells = loader.step * dataset.item_num * (1 if model == "BPR" else 1 + 6)
    assert cells <= loaders.MAX_CELLS
    config["eval_batch_size"] = 300 * dataset.item_num
    loader._init_batch_size_and_step()
    assert loader.step == (300 if n_items == 40 else users)


@pytest.mark.parametrize("model", ["DIN", "SASRec", "BPR"])
def test_sampled_evaluation_is_the_same_in_every_pass(write_folder, make_dataset, random_rows, model) -> None:
    write_folder(random_rows)
    config, dataset = make_dataset(model, eval_args=LEAVE_ONE_OUT | {"mode": "uni7"})
    test = data_preparation(config, dataset)[2]
    assert isinstance(test, MMBeeEvalLoader)
    passes = [[(b["user_id"], b["item_id"]) for b, *_ in test] for _ in range(2)]
    for (users, items), (users_again, items_again) in zip(*passes, strict=True):
        assert torch.equal(users, users_again) and torch.equal(items, items_again)
    batch = next(iter(test))[0]
    assert len(batch) % 8 == 0
    assert ("item_id_list" in batch) == (model != "BPR")
    if model != "BPR":
        assert torch.equal(batch["item_id_list"], dataset.histories.all(batch["user_id"], 6)[0])


@pytest.mark.parametrize("sampler", ["mmbee", "recbole"])
def test_shuffling_is_seeded(write_folder, make_dataset, random_rows, sampler) -> None:
    write_folder(random_rows)
    epochs = []
    for _ in range(2):
        np.random.seed(0)
        config, dataset = make_dataset(sampler=sampler, repeatable=False)
        train = data_preparation(config, dataset)[0]
        epochs.append([torch.stack([b["item_id"], b["neg_item_id"]]) for _ in range(2) for b in train])
    assert all(torch.equal(a, b) for a, b in zip(*epochs, strict=True))
    half = len(epochs[0]) // 2
    assert not torch.equal(epochs[0][0], epochs[0][half])


def test_dynamic_negatives_see_the_history(write_folder, make_dataset, random_rows) -> None:
    write_folder(random_rows)
    arguments = {"distribution": "uniform", "sample_num": 1, "dynamic": True, "candidate_num": 4}
    config, dataset = make_dataset("DIN", train_neg_sample_args=arguments)
    train = data_preparation(config, dataset)[0]

    class LikesHighIds(torch.nn.Module):
        device = torch.device("cpu")

        def predict(self, interaction):
            assert interaction["item_id_list"].shape == (len(interaction), 6)
            return interaction["item_id"].float()

    train.get_model(LikesHighIds())
    negatives = torch.cat([batch["item_id"][batch["label"] == 0] for batch in train]).float()
    assert negatives.mean() > dataset.item_num * 0.65


def test_workers_draw_different_negatives(write_folder, make_dataset, random_rows) -> None:
    write_folder(random_rows)
    config, dataset = make_dataset(worker=2, shuffle=False, train_batch_size=8)
    train = data_preparation(config, dataset)[0]
    epochs = [torch.cat([batch["neg_item_id"] for batch in train]) for _ in range(2)]
    assert not torch.equal(epochs[0], epochs[1])
    assert not torch.equal(epochs[0][:8], epochs[0][8:16])


def test_other_datasets_and_autoencoders_keep_recboles_loaders(
    write_folder, make_config, make_dataset, random_rows
):
    write_folder(random_rows)
    assert loaders.loader_class(make_config(), "train") is None
    config, dataset = make_dataset("MultiVAE", train_neg_sample_args=None)
    train, _, test = data_preparation(config, dataset)
    assert not isinstance(train, MMBeeTrainLoader) and isinstance(test, MMBeeFullSortLoader)
    assert loaders.loader_class(config, "evaluation") is MMBeeFullSortLoader
