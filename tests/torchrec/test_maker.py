"""What the processes of a job make of one global batch, put side by side."""

import numpy as np
import pytest
import torch

from mmbee_plugin.errors import InputError
from mmbee_plugin.torchrec.batches.inputs import Inputs, open_store
from mmbee_plugin.torchrec.batches.maker import BatchMaker
from mmbee_plugin.torchrec.batches.negatives import draw_negatives
from mmbee_plugin.torchrec.batches.reader import TrainReader
from mmbee_plugin.torchrec.settings import parse_settings
from mmbee_plugin.torchrec.shards.store import ShardStore


def parts(shards, world_size, batch_size, **model):
    """The global rows of the first batch, and each process's part of it."""
    settings = parse_settings({"data": {"shards": str(shards)}, "model": {"width": 16, **model}}, "test")
    store = open_store(settings)
    rows = next(TrainReader(store, settings.data, batch_size, 0).batches(0))
    makers = [BatchMaker(store, settings, rank, world_size) for rank in range(world_size)]
    return store, rows, [maker.train(rows, epoch=0) for maker in makers]


@pytest.mark.parametrize("backbone", ["dien", "sasrec"])
def test_a_backbone_that_reads_order_never_sees_the_future(sample_shards, backbone):
    data = {"shards": str(sample_shards)}  # no time: others by default
    with pytest.raises(InputError, match=f"backbone {backbone} reads the order .* set history to prefix"):
        open_store(parse_settings({"data": data, "model": {"backbone": backbone}}, "test"))
    open_store(
        parse_settings({"data": {**data, "history": "prefix"}, "model": {"backbone": backbone}}, "test")
    )


def ids(batch, keys, feature):
    return getattr(batch, keys)[feature].values().numpy()


@pytest.mark.parametrize(("world_size", "batch_size"), [(1, 7), (3, 7), (4, 2)])
@pytest.mark.parametrize("backbone", ["mean", "din"])
def test_parts_are_the_global_batch(sample_shards, world_size, batch_size, backbone):
    store, rows, batches = parts(sample_shards, world_size, batch_size, backbone=backbone)
    assert len({batch.bags.stride() for batch in batches}) == 1
    assert len({len(batch.users.history_mask) for batch in batches}) == 1
    weights = torch.stack([batch.targets.weights for batch in batches], dim=1).flatten()
    users = np.stack([ids(batch, "bags", "user") for batch in batches], axis=1).ravel()
    np.testing.assert_array_equal(users[: len(rows.users)], store.user_ids(rows.users))
    torch.testing.assert_close(weights.sum(), torch.tensor(float(world_size)))
    assert (weights[: len(rows.users)] > 0).all() and (weights[len(rows.users) :] == 0).all()


def test_shared_pool_holds_every_candidate_once(sample_shards):
    store, rows, batches = parts(sample_shards, 3, 7)
    drawn = draw_negatives(store, rows.users, np.arange(len(rows.users)), 2, (0, 0, rows.index))
    pool = np.unique(np.concatenate([rows.authors, drawn.ravel()]))
    interleaved = np.stack([batch.authors.ids.numpy() for batch in batches], axis=1).ravel()
    np.testing.assert_array_equal(interleaved[: len(pool)], pool)
    for rank, batch in enumerate(batches):
        targets = batch.targets
        np.testing.assert_array_equal(batch.pool.numpy(), interleaved)
        assert not targets.allowed[:, len(pool) :].any()
        place, known = store.known(rows.users[rank::3])
        for row, user in enumerate(rows.users[rank::3]):
            assert batch.pool[targets.position[row]] == rows.authors[rank::3][row]
            forbidden = np.isin(pool, known[place == row])
            np.testing.assert_array_equal(targets.allowed[row, : len(pool)].numpy(), ~forbidden, str(user))


def test_own_candidates_start_with_the_positive(sample_shards):
    _, rows, batches = parts(sample_shards, 2, 8, backbone="din")
    for rank, batch in enumerate(batches):
        candidates = batch.authors.ids[batch.targets.position]
        np.testing.assert_array_equal(candidates[:, 0].numpy(), rows.authors[rank::2])
        assert candidates.shape == (4, 3)


@pytest.mark.parametrize("backbone", ["mean", "din"])
def test_a_user_with_every_author_counts_nothing(sample_shards, monkeypatch, backbone):
    _, rows, _ = parts(sample_shards, 1, 7, backbone=backbone)
    known, lengths = ShardStore.known, ShardStore.history_lengths
    richest = rows.users[3]

    def all_of_them(store, users):
        row, author = known(store, users)
        own = np.flatnonzero(users == richest)
        everyone = np.tile(np.arange(store.n_authors), len(own))
        return np.concatenate([row, own.repeat(store.n_authors)]), np.concatenate([author, everyone])

    monkeypatch.setattr(ShardStore, "known", all_of_them)
    monkeypatch.setattr(
        ShardStore,
        "history_lengths",
        lambda store, users: np.where(users == richest, store.n_authors, lengths(store, users)),
    )
    for world_size in (1, 2):
        _, _, batches = parts(sample_shards, world_size, 7, backbone=backbone)
        weights = torch.stack([batch.targets.weights for batch in batches], dim=1).flatten()[:7].numpy()
        counted = rows.users != richest
        np.testing.assert_allclose(weights, counted * world_size / counted.sum(), rtol=1e-6)


def test_a_pair_alone_is_a_batch(sample_shards):
    settings = parse_settings({"data": {"shards": str(sample_shards)}}, "test")
    maker = BatchMaker(open_store(settings), settings)
    batch = maker.labelled(np.array([3]), np.array([5]))
    assert len(batch.users.history_mask) == 1 and batch.authors.ids.tolist() == [5]


def test_moving_a_batch_moves_every_tensor(sample_shards):
    _, _, (batch,) = parts(sample_shards, 1, 4)
    moved = batch.to(torch.device("meta"))
    assert moved.bags.values().device.type == moved.targets.weights.device.type == "meta"
    assert moved.authors.segments["visual"].device.type == moved.users.neighbour_count.device.type == "meta"
    assert moved.users.history.shape == batch.users.history.shape


def test_unknown_inputs_are_named(sample_shards):
    settings = parse_settings({"data": {"shards": str(sample_shards)}}, "test")
    store = open_store(settings)
    for change, message in (({"modalities": ("smell",)}, "smell"), ({"metapaths": ("u2a2u", "u2a")}, "u2a")):
        with pytest.raises(InputError, match=message):
            Inputs.of(settings.model.model_copy(update=change), store)
