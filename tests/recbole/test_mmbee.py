"""MMBee under RecBole: every switch trains, full ranking equals pair by pair, ids meet their rows, and it learns."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from recbole.data.utils import data_preparation
from recbole.utils import get_model, init_seed

from mmbee_plugin.builtin import sample
from mmbee_plugin.data.features import standardise
from mmbee_plugin.data.ragged import NOBODY
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.metapaths import PAPER_METAPATHS
from mmbee_plugin.modules.mfq import AUTHOR_NOISE, OWN_GAIN, QUERY_STD
from mmbee_plugin.recbole.data.dataloader import FOLD
from mmbee_plugin.recbole.data.dataset import MMBeeDataset
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
        return get_model("MMBee")(config, loaders[0].dataset), loaders

    return make


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("start", ["random", "author", None])
def test_queries_start_as_set(build, start, shared):
    """Static data: ~, as the paper, is from the item's own vector."""
    rate = 0.0 if not shared else 0.1
    own = {"query_start": start, "shared_queries": shared, "default_query_rate": rate}
    model, _ = build(**own, num_queries=4, interest="none")
    stored = model.content.queries.weight.detach()
    assert not stored[0].any()
    tokens = stored[1:].unflatten(1, (4, 16)) * (OWN_GAIN if shared else 1)
    author = model.author.weight.detach()[1:, None]
    if start == "random":
        assert tokens.std() == pytest.approx(QUERY_STD * OWN_GAIN if shared else 1, rel=0.05)
    else:
        assert (tokens - author).std() == pytest.approx(AUTHOR_NOISE * float(author.std()), rel=0.1)
        assert not torch.equal(tokens[:, 0], tokens[:, 1])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"mfq_width": 8, "shared_queries": False},
        {"mfq_width": 8, "content": "mta", "head": "mlp"},
        {"backbone": "sim", "head": "mlp", "loss": "bce"},
        {"backbone": "mean"},
        {"backbone": "din", "loss": "bpr"},
        {"backbone": "din"},
        {"backbone": "sim"},
        {"backbone": "dien", "content": "ego_fusion", "history": "prefix"},
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
    dataset = train.dataset
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
    for fold in (None, 1):
        found = model.interest.reach(torch.arange(50), fold)
        gathered = model.interest.reach.gathered(torch.arange(50), fold)  # a GPU's way
        assert all(torch.equal(*pair) for pair in zip(found.values(), gathered, strict=True))
        reach, weights = found["reach_ids"].numpy(), found["reach_weights"].numpy()
        assert (np.diff(reach, axis=1)[(reach[:, 1:] != NOBODY)] > 0).all()
        assert (reach[0] == NOBODY).all() and not weights[reach == NOBODY].any()
        for user in range(1, 50):
            there = reach[user] != NOBODY
            stored, scores = snapshot.reach_lists(fold).along("reach").of(row_of[users[user]])
            assert reach[user][there].tolist() == stored.tolist()
            assert weights[user][there].tolist() == scores.tolist()
    side = model.author_side(torch.arange(dataset.item_num))
    assert (tokens[side.ids[1:].numpy()] == items[1:]).all() and side.ids[0] == -1


def test_what_is_read_as_stored_stays_in_the_snapshots_files(build):
    """Long walks and mean attributes are most of a snapshot; copies of them would double a run's memory."""
    model, (train, _, _) = build()
    folder = str(snapshot_for(train.dataset.config, train.dataset).path)
    regions = [line.split(maxsplit=5) for line in Path("/proc/self/maps").read_text().splitlines()]
    mapped = [
        [int(edge, 16) for edge in region[0].split("-")]
        for region in regions
        if len(region) == 6 and region[5].startswith(folder)
    ]
    large = [model.interest.reach.get_buffer("entries_1"), model.interest.reach.get_buffer("entries_None")]
    large += [one for name, one in model.interest.lists["u2a2a"].means.named_buffers() if "values" in name]
    assert len(large) == 2 + 3 * 2  # of two dense modalities, for the whole graph and for each of two folds
    assert all(any(low <= one.data_ptr() < high for low, high in mapped) for one in large)


@pytest.mark.parametrize("weighted", [True, False], ids=["by score", "plain"])
@pytest.mark.parametrize("pooling", ["concat", "set"])
def test_interest_is_the_mean_over_neighbours_one_by_one(build, pooling, weighted):
    """Eq. 10-12 literally, for ``set`` and plain means: each distinct neighbour's Θ(v) + W x, some without x."""
    paths = list(PAPER_METAPATHS)
    model, (train, _, _) = build(pooling=pooling, neighbour_weights=weighted, metapaths=paths)
    dataset, folder = train.dataset, train.dataset.folder
    snapshot = snapshot_for(dataset.config, dataset)
    dense = [folder.features(name) for name in ("visual", "acoustic")]
    content = np.concatenate([standardise(one.values, one.present) for one in dense], axis=1)
    assert not dense[1].present.all()
    rows = {"u": dataset.user_rows, "a": dataset.item_rows}
    ids = {
        kind: dict(zip(of_id[1:].tolist(), range(1, len(of_id)), strict=True)) for kind, of_id in rows.items()
    }
    names = [name for side in "ua" for name in model.interest.names(side)]
    assert names == (["u2a2u+u2a2u2a+u2a2a", "a2a+a2u2a"] if pooling == "set" else paths)
    empty, shared = 0, 0
    for side, fold in itertools.product("ua", (None, 1)):
        gie = model.gtr.user_interest if side == "u" else model.gtr.author_interest
        nodes = torch.arange(1, 80)
        found = (model.interest.user if side == "u" else model.interest.author)(nodes, fold)
        with torch.no_grad():
            interest = gie(found["neighbours"], found["neighbour_count"], found["attributes"])
        own = [path for path in paths if path[0] == side]
        groups = [own] if pooling == "set" else [[path] for path in own]
        assert interest.shape == (len(nodes), 16 * len(groups))
        lists = {path: snapshot.neighbours(path, fold) for path in own}
        for node, (place, group) in itertools.product(nodes.tolist(), enumerate(groups)):
            weights: dict[tuple[str, int], float] = {}
            for path in group:
                near, scores = lists[path].of(rows[side][node])
                for neighbour, score in zip(near.tolist(), scores / scores.sum(), strict=True):
                    key = path[-1], neighbour
                    shared += key in weights
                    weights[key] = weights.get(key, 0) + score if weighted else 1
            mean = torch.zeros(16)
            for (kind, row), weight in weights.items():
                with torch.no_grad():
                    vector = model.interest.nodes[kind].weight[ids[kind][row]]
                    vector = vector if kind == "u" else vector + gie.attribute(torch.from_numpy(content[row]))
                mean += weight / sum(weights.values()) * vector
            expected = mean if weights else gie.empty[place].detach()
            torch.testing.assert_close(interest[node - 1].view(-1, 16)[place], expected, rtol=0, atol=1e-5)
            assert found["neighbour_count"][node - 1, place] == len(weights)
            empty += not weights
    assert empty and (shared > 0) == (pooling == "set")


def test_peers_are_rows_of_the_models_own_tables(build):
    """BDR's peers of an author: the ids stored along a2a, by weight, in the table that the loss trains."""
    # it reads metapaths of its own, cross-fitted all the same
    model, (train, *_) = build(interest="bdr", user_ids=True, metapaths=[])
    assert {int(batch[FOLD][0]) for batch in train} == {0, 1}
    items = torch.arange(model.n_items)
    side = model.author_side(items, fold=1)
    ids = model.interest.lists["a2a"].get_buffer("ids_1").long()
    assert torch.equal(side.peers, model.author.weight[ids])
    has = side.peer_weights.sum(dim=1) > 0
    assert has.any() and torch.allclose(side.peer_weights.sum(dim=1)[has], torch.tensor(1.0))
    assert not any(name.startswith("interest.") for name in model.state_dict())


def test_labels_without_drawn_negatives_need_logistic_loss(build):
    with pytest.raises(InputError, match="no column 'label' of labels"):
        build(train_neg_sample_args=None)


def test_a_backbone_that_reads_the_mean_alone_is_given_no_more(build, monkeypatch):
    model, (train, _, _) = build(backbone="mean", dropout_prob=0.0, interest="none")
    batch = next(iter(train))

    def history_loss_and_gradient():
        model.zero_grad()
        side = model.user_side(batch["user_id"], batch["item_id_list"], None)
        torch.manual_seed(1)
        loss = model.calculate_loss(batch)
        loss.backward()
        return side.history.shape[1], loss.detach(), model.author.weight.grad.clone()

    short = history_loss_and_gradient()
    monkeypatch.setattr(type(model.gtr.backbone), "reads_mean", False)
    whole = history_loss_and_gradient()
    assert short[0] == 1 < whole[0]
    assert torch.allclose(short[1], whole[1], atol=1e-6)
    assert torch.allclose(short[2], whole[2], atol=1e-6)


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
