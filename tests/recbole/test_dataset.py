"""The dataset: ids, splits, time, histories and what it refuses."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from recbole.data.dataset import Dataset, SequentialDataset
from recbole.utils import init_seed

from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.data.dataset import MMBeeDataset
from mmbee_plugin.recbole.data.split import TrainingSplit
from mmbee_plugin.recbole.data.training_rows import training_rows

PRE_SPLIT = {
    "train": [("u1", "i1"), ("u2", "i2"), ("u1", "i3"), ("u2", "i4")],
    "valid": [("u1", "i2")],
    "test": [("u2", "i1"), ("u1", "i4")],
}
LEAVE_ONE_OUT = {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"}


def pairs(dataset: Dataset) -> set[tuple[str, str]]:
    users = dataset.id2token("user_id", dataset.inter_feat["user_id"].tolist())
    items = dataset.id2token("item_id", dataset.inter_feat["item_id"].tolist())
    return set(zip(users, items, strict=True))


def history_tokens(dataset: MMBeeDataset, user: str) -> list[str]:
    _, items = dataset.histories.items_of([dataset.token2id("user_id", user)])
    return dataset.id2token("item_id", items).tolist()


def test_listed_users_and_items_have_ids_and_rows(write_folder, make_dataset) -> None:
    write_folder(
        [("b", "y", 1), ("b", "x", 2), ("c", "y", 3)], users=["a", "b", "c", "d"], items=["x", "y", "z", "w"]
    )
    _, dataset = make_dataset()
    assert dataset.user_num == 5 and dataset.item_num == 5
    for rows, field, tokens in (
        (dataset.user_rows, "user_id", dataset.folder.user_tokens),
        (dataset.item_rows, "item_id", dataset.folder.item_tokens),
    ):
        assert rows.dtype == np.int64 and rows[0] == -1
        assert [tokens[row] for row in rows[1:]] == dataset.field2id_token[field][1:].tolist()


def test_an_inter_file_alone_is_enough(write_folder, make_dataset, random_rows) -> None:
    write_folder(random_rows)
    _, dataset = make_dataset()
    assert dataset.ordered and not dataset.labelled
    assert sorted(dataset.user_rows[1:]) == list(range(30))


def test_pre_split_folder_without_any_setting(write_folder, make_dataset) -> None:
    write_folder(PRE_SPLIT, columns=())
    _, dataset = make_dataset("SASRec")
    splits = dataset.build()
    assert [pairs(split) for split in splits] == [set(part) for part in PRE_SPLIT.values()]
    assert not dataset.ordered
    for split in splits:
        assert split.histories is splits[0].histories
        assert history_tokens(split, "u1") == ["i1", "i3"]
        assert history_tokens(split, "u2") == ["i2", "i4"]


@pytest.mark.parametrize("split", [{"RS": [0.6, 0.2, 0.2]}, {"LS": "valid_and_test"}])
def test_split_by_time_is_recboles(write_folder, make_dataset, random_rows, split) -> None:
    # times that float32 can hold, since RecBole rounds them
    write_folder([(user, item, time - 1_600_000_000) for user, item, time in random_rows])
    config, dataset = make_dataset(eval_args=LEAVE_ONE_OUT | {"split": split}, load_col=None)
    stock = Dataset(config)
    assert [pairs(part) for part in dataset.build()] == [pairs(part) for part in stock.build()]


def test_random_split_keeps_histories_in_order(write_folder, make_dataset, random_rows) -> None:
    write_folder(random_rows)
    time_of = {(user, item): time for user, item, time in random_rows}
    _, dataset = make_dataset(eval_args=LEAVE_ONE_OUT | {"split": {"RS": [0.6, 0.2, 0.2]}, "order": "RO"})
    train = dataset.build()[0]
    for user in {user for user, _, _ in random_rows}:
        mine = {item for owner, item in pairs(train) if owner == user}
        assert history_tokens(dataset, user) == sorted(mine, key=lambda item: time_of[user, item])


@pytest.mark.parametrize("order", ["RO", "TO"])
def test_the_files_rows_are_an_order_where_asked(write_folder, make_dataset, random_rows, order) -> None:
    rows = [(user, item) for user, item, _ in random_rows]
    write_folder(rows, columns=())
    _, dataset = make_dataset(eval_args=LEAVE_ONE_OUT | {"order": order}, row_order="file")
    train, valid, test = dataset.build()
    for user in {user for user, _ in rows}:
        mine = [item for owner, item in rows if owner == user]
        kept = {item for owner, item in pairs(train) if owner == user}
        assert history_tokens(dataset, user) == [item for item in mine if item in kept]
        if order == "TO":
            assert (user, mine[-1]) in pairs(test) and (user, mine[-2]) in pairs(valid)
    assert "timestamp_list" not in dataset[torch.tensor([0])]


def test_close_times_are_told_apart_and_not_normalised(write_folder, make_dataset) -> None:
    # float32 cannot tell these times apart; the file has them backwards
    base = 1_700_000_000
    rows = [("u", f"i{step}", base + step) for step in (5, 4, 3, 2, 1, 0)]
    write_folder(rows)
    _, dataset = make_dataset("DIN", eval_args=LEAVE_ONE_OUT, normalize_all=True)
    _, valid, test = dataset.build()
    assert pairs(test) == {("u", "i5")} and pairs(valid) == {("u", "i4")}
    assert history_tokens(dataset, "u") == ["i0", "i1", "i2", "i3"]
    assert test[torch.tensor([0])]["timestamp_list"].tolist() == [[0, 1, 2, 3, 0, 0]]
    assert test.inter_feat["timestamp"].tolist() == [5]


def test_labelled_rows(write_folder, make_dataset) -> None:
    rows = [("u", f"i{step}", 1 + step % 5, step) for step in range(20)]
    write_folder(rows, columns=("rating:float", "timestamp:float"))
    _, dataset = make_dataset(threshold={"rating": 4}, eval_args=LEAVE_ONE_OUT)
    train, _, _ = dataset.build()
    liked = [f"i{step}" for step in range(18) if 1 + step % 5 >= 4]
    assert dataset.labelled and len(train.inter_feat) == 18
    assert history_tokens(dataset, "u") == liked
    assert train.inter_matrix().nnz == len(liked)
    assert [dataset.id2token("item_id", key % dataset.item_num) for key in train.mask_keys] == sorted(
        liked, key=lambda item: dataset.token2id("item_id", item)
    )


def test_mask_valid_adds_validation_items_at_test_only(write_folder, make_dataset, random_rows) -> None:
    write_folder(random_rows)
    for mask_valid in (False, True):
        _, dataset = make_dataset(mask_valid=mask_valid)
        train, valid, test = dataset.build()
        seen = set(train.positive_keys())
        assert set(train.mask_keys) == set(valid.mask_keys) == seen
        assert set(test.mask_keys) == (seen | set(valid.positive_keys()) if mask_valid else seen)


def test_validation_items_end_the_histories_of_the_test_part_where_asked(
    write_folder, make_dataset, random_rows
) -> None:
    write_folder(random_rows)
    for asked in (False, True):
        _, dataset = make_dataset(valid_in_history=asked)
        train, valid, test = dataset.build()
        users = np.arange(dataset.user_num)
        before, after = (_whole_histories(part) for part in (train, test))
        of_user = valid.inter_feat[dataset.uid_field].numpy()
        items = valid.inter_feat[dataset.iid_field].numpy()
        assert len(items) and valid.histories is train.histories
        for user in users:
            added = items[of_user == user].tolist() if asked else []
            assert after[user][: len(before[user])] == before[user]
            assert sorted(after[user][len(before[user]) :]) == sorted(added)


def _whole_histories(part) -> list[list[int]]:
    ids, lengths, _ = part.histories.all(np.arange(part.user_num), 100)
    return [row[:length] for row, length in zip(ids.tolist(), lengths.tolist(), strict=True)]


def test_histories_see_nothing_but_training(write_folder, make_dataset, random_rows) -> None:
    write_folder(random_rows)
    _, dataset = make_dataset()
    train, valid, test = dataset.build()
    row, items = dataset.histories.items_of(np.arange(dataset.user_num))
    assert set(zip(row.tolist(), items.tolist(), strict=True)) == {
        (key // dataset.item_num, key % dataset.item_num) for key in train.positive_keys().tolist()
    }
    assert len(items) == len(random_rows) - len(valid) - len(test)


def test_a_sequential_dataset_is_not_augmented(write_folder, make_dataset, random_rows) -> None:
    write_folder(random_rows)
    _, dataset = make_dataset("SASRec")
    assert not isinstance(dataset, SequentialDataset)
    assert sum(len(split) for split in dataset.build()) == len(random_rows)


def test_row_zero_of_flops_counters_has_a_history(write_folder, make_dataset, random_rows) -> None:
    write_folder(random_rows)
    _, dataset = make_dataset("SASRec")
    dataset.build()
    row = dataset[torch.tensor([1])]
    assert row["item_id_list"].shape == (1, 6) and row["item_length"].item() >= 1
    _, dataset = make_dataset("BPR")
    dataset.build()
    assert "item_id_list" not in dataset[torch.tensor([1])]


def test_pickles(write_folder, make_dataset, random_rows) -> None:
    write_folder(random_rows)
    _, dataset = make_dataset("DIN")
    train = dataset.build()[0]
    again = pickle.loads(pickle.dumps(train))
    assert pairs(again) == pairs(train)
    assert torch.equal(again[torch.tensor([3])]["item_id_list"], train[torch.tensor([3])]["item_id_list"])


def test_too_small_to_split(write_folder, make_dataset) -> None:
    write_folder([("u1", "i1", 1), ("u2", "i1", 2), ("u3", "i2", 3)])
    _, dataset = make_dataset()
    with pytest.raises(InputError, match=r"tiny: 3 interactions leave no validation rows under split"):
        dataset.build()


def test_a_part_that_was_not_asked_for_may_be_empty(write_folder, make_dataset, random_rows) -> None:
    write_folder(random_rows)
    _, dataset = make_dataset(eval_args=LEAVE_ONE_OUT | {"split": {"LS": "test_only"}})
    assert len(dataset.build()[1]) == 0
    _, dataset = make_dataset(eval_args=LEAVE_ONE_OUT | {"split": {"RS": [0.8, 0, 0.2]}})
    assert len(dataset.build()[1]) == 0


def test_bad_rows_are_named(write_folder, make_dataset) -> None:
    folder = write_folder([("u", "i1", 1), ("u", "i2", "soon"), ("u", "i3", 3)])
    with pytest.raises(InputError, match=r"tiny\.inter.*line 3.*soon"):
        make_dataset()
    (folder / "tiny.inter").unlink()
    with pytest.raises(InputError, match="tiny"):
        make_dataset()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"save_dataset": True}, "save_dataset True: not supported"),
        ({"history": "future"}, "unknown history 'future'; known: prefix, others, daily, ~"),
        ({"train_newest": "few"}, "train_newest: found 'few', expected a whole number of at least 1"),
        ({"row_order": "backwards"}, "unknown row_order 'backwards'; known: file, random, ~"),
        ({"row_order": "random"}, "row_order random: tiny has time"),
        ({"benchmark_filename": ["train", "test"]}, r"benchmark_filename .*: the folder has tiny\.inter"),
        ({"threshold": {"timestamp": 9e9}}, "threshold: 'timestamp' orders the rows"),
        ({"TIME_FIELD": "time"}, "TIME_FIELD 'time': times are read from the column 'timestamp:float' alone"),
        (
            {"unload_col": {"inter": ["timestamp"]}, "load_col": None},
            "unload_col: tiny is ordered by 'timestamp'",
        ),
        ({"eval_args": LEAVE_ONE_OUT | {"order": "TT"}}, "eval_args.order 'TT': known are RO"),
        ({"eval_args": LEAVE_ONE_OUT | {"split": {"RS": "most"}}}, "eval_args.split RS 'most': three shares"),
        ({"eval_args": LEAVE_ONE_OUT | {"split": {"LS": "last"}}}, "eval_args.split LS 'last': known are"),
        ({"eval_args": LEAVE_ONE_OUT | {"split": {}}}, "one of RS, LS and TS is needed"),
        ({"eval_args": LEAVE_ONE_OUT | {"group_by": "item"}}, "group_by 'item': known are user and none"),
    ],
)
def test_settings_it_cannot_serve(write_folder, make_dataset, random_rows, settings, message) -> None:
    write_folder(random_rows)
    with pytest.raises(InputError, match=message):
        make_dataset(**settings)[1].build()


def test_recboles_dien_is_refused_for_its_drawn_histories(write_folder, make_dataset, random_rows) -> None:
    write_folder(random_rows)
    with pytest.raises(
        InputError, match=r"model DIEN: .* needs drawn histories.*--model=SIM --backbone=dien"
    ):
        make_dataset("DIEN")


def test_a_training_part_has_what_models_read(write_folder, make_dataset, random_rows) -> None:
    write_folder(random_rows)
    _, dataset = make_dataset()
    train = dataset.build()[0]
    needed = {
        *TrainingSplit.__annotations__,
        *(name for name in vars(TrainingSplit) if name.startswith("positive")),
    }
    assert len(needed) > 15 and {name for name in needed if not hasattr(train, name)} == set()


def test_a_stale_cache_of_recbole_is_refused(write_folder, make_dataset, random_rows, tmp_path) -> None:
    write_folder(random_rows)
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "tiny-for-BPR-dataloader.pth").write_bytes(b"old")
    with pytest.raises(InputError, match=r"tiny-for-BPR-dataloader\.pth: RecBole would load this cache"):
        make_dataset("BPR")
    make_dataset("LightGCN")


def test_default_history_mode(write_folder, make_dataset, random_rows) -> None:
    write_folder(random_rows)
    assert make_dataset("BPR")[1].history_mode == "prefix"
    write_folder([row[:2] for row in random_rows], name="timeless", columns=())
    assert make_dataset("SASRec", "timeless")[1].history_mode == "prefix"
    assert make_dataset("BPR", "timeless")[1].history_mode == "others"


def test_random_row_order_permutes_histories_and_nothing_else(
    write_folder, make_dataset, random_rows
) -> None:
    write_folder([row[:2] for row in random_rows], columns=())

    def built(**settings):
        dataset = make_dataset("MMBee", **settings)[1]
        init_seed(settings["seed"], True)
        splits = dataset.build()
        users = range(splits[0].user_num)
        pairs = [split.positive_keys().tolist() for split in splits]
        return pairs, [
            splits[0].histories.items[slice(*splits[0].histories.indptr[u : u + 2])].tolist() for u in users
        ]

    in_file, orders = {}, {}
    for seed in (1, 2):
        pairs, in_file[seed] = built(seed=seed, row_order="file")
        shuffled_pairs, orders[seed] = built(seed=seed)
        assert shuffled_pairs == pairs
        assert orders[seed] != in_file[seed] and orders[seed] == built(seed=seed, row_order="random")[1]
        assert [sorted(items) for items in orders[seed]] == [sorted(items) for items in in_file[seed]]


def test_train_newest_keeps_each_users_last_rows(write_folder, make_dataset, random_rows) -> None:
    write_folder(random_rows)
    train, *_ = make_dataset("BPR", train_newest=2)[1].build()
    users, kept = train.inter_feat["user_id"].numpy(), training_rows(train).kept
    degrees = np.bincount(users, minlength=train.user_num)
    assert np.array_equal(np.bincount(users[kept], minlength=train.user_num), np.clip(degrees - 1, 0, 2)), (
        "the first row of a user has no history"
    )
    left, kept_position = train.histories.positions[~kept], train.histories.positions[kept]
    for user in np.unique(users[kept]):
        assert kept_position[users[kept] == user].min() > left[users[~kept] == user].max()
    assert training_rows(train).counts(train.item_num).sum() == kept.sum()
