"""Negatives: who may be drawn, how often, and that a stream can be continued."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from recbole.data.utils import create_samplers
from recbole.sampler import Sampler

from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.data.sampler import NegativeSampler, make_samplers
from mmbee_plugin.recbole.models.mmbee import MMBee

N_USERS, N_ITEMS = 5, 11


def sampler(
    positives: dict[int, list[int]], weights: list[float] | None = None, seed: int = 3
) -> NegativeSampler:
    keys = np.unique([user * N_ITEMS + item for user, items in positives.items() for item in items]).astype(
        np.int64
    )
    tokens = np.array([f"name{user}" for user in range(N_USERS)])
    return NegativeSampler(
        "train",
        keys,
        N_USERS,
        N_ITEMS,
        seed,
        None if weights is None else np.array(weights, dtype=float),
        tokens,
    )


def test_uniform_over_what_the_user_lacks() -> None:
    drawn = (
        sampler({1: [1, 2, 3], 2: list(range(1, 10))})
        .sample_by_user_ids([1, 2, 3], None, 20_000)
        .view(20_000, 3)
    )
    for column, allowed in ((0, range(4, 11)), (1, [10]), (2, range(1, 11))):
        counts = torch.bincount(drawn[:, column], minlength=N_ITEMS)
        assert torch.nonzero(counts).squeeze(1).tolist() == list(allowed)
        expected = 20_000 / len(allowed)
        assert (counts[list(allowed)] - expected).abs().max() < 6 * expected**0.5


def test_popularity_over_what_the_user_lacks() -> None:
    weights = [0, 8, 4, 2, 1, 1, 0, 0, 0, 0, 0]
    drawn = (
        sampler({1: [1], 2: [1, 2, 3, 4]}, weights)
        .sample_by_user_ids([1, 2, 3], None, 40_000)
        .view(40_000, 3)
    )
    for column, allowed in ((0, [2, 3, 4, 5]), (1, [5]), (2, [1, 2, 3, 4, 5])):
        counts = torch.bincount(drawn[:, column], minlength=N_ITEMS).double()
        share = torch.tensor(weights).double() * torch.tensor([item in allowed for item in range(N_ITEMS)])
        expected = 40_000 * share / share.sum()
        assert ((counts - expected).abs() <= 6 * expected**0.5).all()


def test_a_user_with_one_item_left_is_no_endless_loop() -> None:
    n_items = 20_001
    keys = n_items + np.arange(1, n_items - 1)
    lonely = NegativeSampler("train", keys, 2, n_items, 0, None, np.array(["", "a"]))
    assert (lonely.sample_by_user_ids([1] * 8, None, 4) == n_items - 1).all()


def test_layout_is_recboles() -> None:
    positives = {1: list(range(2, 11)), 2: [1, *range(3, 11)]}  # 1 lacks only item 1, 2 only item 2
    assert sampler(positives).sample_by_user_ids(np.array([1, 2]), None, 3).tolist() == [1, 2, 1, 2, 1, 2]


def test_seed_state_and_restart() -> None:
    users = [1, 2, 3, 4] * 8
    first, second = sampler({1: [4]}), sampler({1: [4]})
    assert torch.equal(first.sample_by_user_ids(users, None, 2), second.sample_by_user_ids(users, None, 2))
    state = first.get_state()
    ahead = first.sample_by_user_ids(users, None, 2)
    assert not torch.equal(ahead, sampler({1: [4]}, seed=4).sample_by_user_ids(users, None, 2))
    third = sampler({1: [4]}, seed=99)
    third.set_state(state)
    assert torch.equal(third.sample_by_user_ids(users, None, 2), ahead)
    first.restart()
    again = sampler({1: [4]})
    assert torch.equal(first.sample_by_user_ids(users, None, 2), again.sample_by_user_ids(users, None, 2))


def test_a_user_with_everything_is_named() -> None:
    with pytest.raises(InputError, match=r"user 'name2' has all 10 items"):
        sampler({1: [1], 2: list(range(1, 11))})
    with pytest.raises(InputError, match=r"user 'name1' has all 2 items"):
        sampler({1: [3, 4]}, weights=[0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0])


def test_unknown_users_are_refused() -> None:
    with pytest.raises(ValueError, match="user ids from -1 to 7; known: 0 to 4"):
        sampler({}).sample_by_user_ids([7, -1], None, 1)


def test_phases_exclude_what_recbole_excludes(write_folder, make_dataset, random_rows) -> None:
    write_folder(random_rows)
    config, dataset = make_dataset(
        eval_args={"mode": "uni5", "split": {"RS": [0.6, 0.2, 0.2]}, "order": "TO"}
    )
    built = dataset.build()
    stock = Sampler(["train", "valid", "test"], built, "uniform")
    for phase, ours in zip(("train", "valid", "test"), make_samplers(config, dataset, built), strict=True):
        theirs = stock.set_phase(phase)
        assert ours.phase == phase
        assert ours.used_ids.tolist() == theirs.used_ids.tolist()
        users = np.arange(1, dataset.user_num)
        drawn = ours.sample_by_user_ids(users, None, 50).view(50, -1)
        assert all(not set(drawn[:, user - 1].tolist()) & ours.used_ids[user] for user in users)
        assert drawn.min() >= 1 and drawn.max() < dataset.item_num


def test_who_gets_a_sampler(write_folder, make_dataset, random_rows) -> None:
    write_folder(random_rows)
    config, dataset = make_dataset()
    built = dataset.build()
    train, valid, test = create_samplers(config, dataset, built)
    assert isinstance(train, NegativeSampler) and valid is None and test is None
    config["sampler"] = "recbole"
    config["repeatable"] = False
    assert make_samplers(config, dataset, built) is None
    assert isinstance(create_samplers(config, dataset, built)[0], Sampler)
    with pytest.raises(InputError, match="unknown sampler 'best'; known: mmbee, recbole, ~"):
        make_dataset(sampler="best")


def test_popularity_counts_training_only(write_folder, make_dataset) -> None:
    rows = {
        "train": [(f"u{user}", "hit") for user in range(6)] + [("u0", "once")],
        "valid": [("u0", "late")],
        "test": [("u1", "late")],
    }
    write_folder(rows, columns=(), items=["hit", "once", "late", "never"])
    arguments = {"distribution": "popularity", "sample_num": 1, "alpha": 1.0}
    config, dataset = make_dataset(train_neg_sample_args=arguments)
    with pytest.raises(InputError, match="user 'u0' has all 2 items"):
        make_samplers(config, dataset, dataset.build())


def test_who_is_new_may_be_left_out_of_the_negatives(write_folder, make_dataset) -> None:
    """Drawn in training are then positives of training rows alone, and each as often as it is expected to be."""
    rows = {
        "train": [(f"u{user}", f"i{item}") for user in range(6) for item in (user, (user + 1) % 6)],
        "valid": [("u0", "late")],
        "test": [("u1", "late")],
    }
    write_folder(rows, columns=(), items=[*(f"i{item}" for item in range(6)), "late", "never"])
    for met, expected in (
        (False, {"i2", "i3", "i4", "i5"}),
        (True, {"i2", "i3", "i4", "i5", "late", "never"}),
    ):
        config, dataset = make_dataset(
            "MMBee", new_as_negatives=met, content="none", topk=[5], valid_metric="Recall@5"
        )
        built = dataset.build()
        train, *_ = make_samplers(config, dataset, built)
        drawn = train.sample_by_user_ids([dataset.token2id("user_id", "u0")], None, 3000)
        tokens = dataset.id2token("item_id", drawn.numpy())
        assert set(tokens) == expected
        assert MMBee(config, built[0]).drawable == (8 if met else 6)


@pytest.mark.parametrize(("alpha", "share"), [(1.0, 16 / 20), (0.5, 4 / 6)])
def test_popularity_of_labelled_data_counts_positives(write_folder, make_dataset, alpha, share) -> None:
    """Rows below the threshold make no item popular, and keep none from a user."""
    rows = {
        "train": [(f"u{user}", "hit", 5) for user in range(16)]
        + [(f"u{user}", "some", 4) for user in range(16, 20)]
        + [(f"u{user}", "hated", 1) for user in range(30)]
        + [("u20", "hit", 3), ("u20", "other", 3)],
        "valid": [("u1", "late", 5)],
        "test": [("u2", "late", 5)],
    }
    write_folder(rows, columns=("rating:float",))
    arguments = {"distribution": "popularity", "sample_num": 1, "alpha": alpha}
    config, dataset = make_dataset(threshold={"rating": 4}, train_neg_sample_args=arguments)
    train, *_ = make_samplers(config, dataset, dataset.build())
    user, hit, some = (
        dataset.token2id(*name) for name in (("user_id", "u20"), ("item_id", "hit"), ("item_id", "some"))
    )
    drawn = train.sample_by_user_ids([user], None, 10_000)
    assert set(drawn.tolist()) == {hit, some}
    assert (drawn == hit).double().mean().item() == pytest.approx(share, abs=0.03)
