"""Live data under RecBole: rows meet their segments, the past is all that training sees, and every model runs."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from recbole.data.utils import data_preparation
from recbole.utils import get_model, init_seed

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.histories import DAY
from mmbee_plugin.errors import InputError
from mmbee_plugin.modules import losses
from mmbee_plugin.recbole.config import settings
from mmbee_plugin.recbole.data.dataset import MMBeeDataset
from mmbee_plugin.recbole.data.rows import SEGMENT, TASKS
from mmbee_plugin.recbole.offline import snapshot_for
from mmbee_plugin.recbole.run import build_config, train_and_test

SMALL = {
    "epochs": 1,
    "embedding_size": 16,
    "train_batch_size": 128,
    "gpu_id": "",
    "show_progress": False,
    "graphcl": {"epochs": 1},
    "graph": {"folds": 6, "fold_by": "time", "reach_top_k": 0, "top_k": 10},
}


@pytest.fixture
def folder(live_path):
    return DatasetFolder(live_path)


@pytest.fixture
def build(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def make(folder, model="MMBee", **given):
        config = build_config(
            model, folder, {**SMALL, **given} if model == "MMBee" else {"gpu_id": "", **given}
        )
        init_seed(config["seed"], True)
        loaders = data_preparation(config, MMBeeDataset(config))
        return get_model(model)(config, loaders[0].dataset), loaders

    return make


def table(folder, split):
    return pd.read_csv(folder.path / f"{folder.name}.{split}.inter", sep="\t")


def keys(dataset, batch, origin):
    """(user token, item token, seconds) of every row of a batch."""
    users = dataset.id2token("user_id", batch["user_id"].numpy())
    items = dataset.id2token("item_id", batch["item_id"].numpy())
    return list(zip(users, items, (batch["timestamp"].double() + origin).long().tolist(), strict=True))


def test_every_row_has_its_own_segment_and_tasks(build, folder):
    _, loaders = build(folder, interest="none")
    columns = ["segment", *folder.tasks, "label"]
    for split, loader in zip(("train", "valid", "test"), loaders, strict=True):
        rows = table(folder, split)
        tokens = rows[["user_id:token", "item_id:token", "timestamp:float"]].itertuples(index=False)
        values = rows[[f"{column}:float" for column in columns]].to_numpy().tolist()
        expected = sorted((*key, *value) for key, value in zip(tokens, values, strict=True))
        found = []
        for batch in loader:
            batch = batch if split == "train" else batch[0]
            own = torch.cat([batch[SEGMENT][:, None], batch[TASKS], batch["label"][:, None]], dim=1).tolist()
            of_row = keys(loader.dataset, batch, loader.dataset._origin)
            found += [(*key, *value) for key, value in zip(of_row, own, strict=True)]
            assert not {"amount", "segment", *folder.tasks} & set(batch.interaction)
        assert sorted(found) == expected


def test_a_training_row_sees_the_gifts_before_its_day(build, folder):
    """Earlier gifts to the same author too, as at test."""
    _, (train, valid, _) = build(folder, interest="none", MAX_ITEM_LIST_LENGTH=50)
    dataset = train.dataset
    gifts = table(folder, "train").query("`label:float` == 1")
    origin = min(table(folder, split)["timestamp:float"].min() for split in folder.splits)
    repeated = 0
    for batch, is_training in [(batch, True) for batch in train] + [(batch, False) for batch, *_ in valid]:
        ids, lengths = batch["item_id_list"], batch["item_length"]
        for place, (user, item, time) in enumerate(keys(dataset, batch, dataset._origin)):
            until = origin + (time - origin) // DAY * DAY if is_training else np.inf
            own = gifts[(gifts["user_id:token"] == user) & (gifts["timestamp:float"] < until)]
            found = dataset.id2token("item_id", ids[place, : lengths[place]].numpy()).tolist()
            assert found == own["item_id:token"].tolist()
            repeated += item in found
    assert repeated > 50


@pytest.mark.parametrize("length", [1, 5])
def test_content_is_the_standardised_features_of_the_last_segments(build, folder, length):
    model, (train, _, test) = build(folder, interest="none", segments=length)
    segments, until = folder.segments, table(folder, "train")["timestamp:float"].max()
    batch = next(iter(test))[0]
    side = model.author_side(batch["item_id"], None, batch[SEGMENT])
    for name in ("visual", "speech", "comment"):
        raw, present = segments.values(name).astype(np.float64), segments.present(name)
        past = raw[present & (segments.starts + 30 <= until)].reshape(-1, raw.shape[2])
        for place, newest in enumerate(batch[SEGMENT].tolist()):
            for slot in range(length):
                row = newest - (length - 1 - slot)
                inside = newest >= 0 and row >= 0 and segments.authors[row] == segments.authors[newest]
                there = bool(inside and present[row])
                assert bool(side.segment_mask[name][place, slot]) == there
                expected = (
                    (raw[row] - past.mean(axis=0)) / past.std(axis=0) if there else np.zeros(raw.shape[1:])
                )
                np.testing.assert_allclose(side.segments[name][place, slot].numpy(), expected, atol=1e-4)
    # Without a row's moment an author is as it was when training ended.
    items = torch.arange(model.n_items)
    newest = np.append(-1, segments.newest(until)[train.dataset.item_rows[1:]])
    as_of_end = model.author_side(items, None, torch.from_numpy(newest))
    assert torch.equal(model.author_side(items).segments["visual"], as_of_end.segments["visual"])


@pytest.mark.parametrize(
    "given", [{}, {"content": "none"}, {"backbone": "mmoe"}], ids=lambda given: str(given)
)
def test_a_row_scores_the_same_alone_and_in_a_batch(build, folder, given):
    model, (train, _, test) = build(folder, **given)
    loss = model.calculate_loss(next(iter(train)))
    loss.backward()
    assert loss.isfinite() and model.author.weight.grad.abs().sum() > 0
    model.eval()
    batch = next(iter(test))[0]
    with torch.no_grad():
        together = model.predict(batch)
        alone = torch.cat([model.predict(batch[torch.tensor([place])]) for place in range(30)])
        assert torch.allclose(together[:30], alone, atol=1e-5)
        assert ((together > 0) & (together < 1)).all() and together.std() > 0
        # Full ranking shows every author as of the end of training.
        ranked = model.full_sort_predict(batch[torch.arange(3)]).view(3, -1)
        pairs = batch[torch.arange(3)].repeat_interleave(model.n_items)
        pairs["item_id"] = torch.arange(model.n_items).repeat(3)
        pairs.interaction.pop(SEGMENT)
        assert torch.allclose(model.predict(pairs).view(3, -1), ranked, atol=1e-5)


def test_tasks_are_learned_where_the_backbone_has_several(build, folder):
    model, (train, _, _) = build(folder, backbone="mmoe", interest="none", content="none", dropout_prob=0.0)
    assert model.gtr.tasks == ("gift", "comment", "long_watch")
    batch = next(iter(train))
    loss = model.calculate_loss(batch)
    user, author = model._encode_users(batch), model._encode_authors(batch)
    logits = model.gtr.score_tasks(user, author.unsqueeze(1)).squeeze(1)
    labels = torch.cat([batch["label"][:, None], batch[TASKS].float()], dim=1)
    assert (labels == -1).any()
    parts = [
        losses.binary_cross_entropy(logits[labels[:, task] >= 0, task], labels[labels[:, task] >= 0, task])
        for task in range(3)
    ]
    assert torch.allclose(loss, sum(parts), atol=1e-5)
    single, _ = build(folder, backbone="sim", interest="none", content="none")
    assert single.gtr.tasks == ("gift",)


def test_the_graph_weighs_amounts_and_its_folds_see_the_past(build, folder):
    _, (train, _, _) = build(folder)
    dataset = train.dataset
    snapshot = snapshot_for(dataset.config, dataset)
    rows = table(folder, "train").query("`label:float` == 1")
    users = [folder.user_tokens.index(token) for token in rows["user_id:token"]]
    items = [folder.item_tokens.index(token) for token in rows["item_id:token"]]
    sums = np.zeros((40, 8))
    np.add.at(sums, (users, items), rows["amount:float"].to_numpy())
    np.testing.assert_allclose(snapshot.u2a().toarray(), np.log1p(sums), rtol=1e-5)

    times = rows["timestamp:float"].to_numpy()
    first, last = times.min(), times.max()
    for batch in train:
        fold = int(batch["fold"][0])
        moment = batch["timestamp"].double() + dataset._origin
        low, high = (first + part / 6 * (last - first) for part in (fold, fold + 1))
        assert fold == 0 or (moment >= low - 1).all()
        assert fold == 5 or (moment <= high + 1).all()
        donated = np.zeros((40, 8), dtype=bool)
        donated[np.array(users)[times < low], np.array(items)[times < low]] = True
        lists = snapshot.neighbours("a2u2a", fold)
        for author in range(8):
            reached = set(lists.of(author)[0].tolist())
            mutual = donated[donated[:, author]].any(axis=0)
            assert reached <= set(np.flatnonzero(mutual).tolist()) - {author}
    assert len(snapshot.neighbours("a2u2a", 0).ids) == 0 < len(snapshot.neighbours("a2u2a", 5).ids)


def test_mean_attributes_are_the_authors_past_means(build, folder):
    model, (train, _, _) = build(folder, modalities=["visual"])
    dataset = train.dataset
    snapshot = snapshot_for(dataset.config, dataset)
    means = folder.segments.author_means("visual", dataset.trained_until)
    stored, lists = snapshot.attributes("visual", "a2a"), snapshot.neighbours("a2a")
    for author in range(8):
        ids, weights = lists.of(author)
        there = means.present[ids]
        expected = (
            (weights[there, None] * means.values[ids[there]]).sum(axis=0) / weights[there].sum()
            if there.any()
            else 0
        )
        np.testing.assert_allclose(stored.values[author], expected, atol=1e-5)
    assert model.interest.attribute_width == 4


def test_nothing_of_valid_and_test_reaches_training(build, folder, tmp_path):
    """The future changed in every file: what the model is built from and every training batch stay as they were."""
    path = tmp_path / "changed" / folder.name
    shutil.copytree(folder.path, path)
    for split in ("valid", "test"):
        rows = pd.read_csv(path / f"{folder.name}.{split}.inter", sep="\t")
        rows["label:float"] = 1 - rows["label:float"]
        rows["amount:float"] = rows["label:float"] * 1e6
        rows["item_id:token"] = rows["item_id:token"].to_numpy()[::-1]
        rows["segment:float"] = -1
        rows.to_csv(path / f"{folder.name}.{split}.inter", sep="\t", index=False)
    later = folder.segments.starts > table(folder, "train")["timestamp:float"].max()
    assert later.any() and not later.all()
    for modality in folder.modalities:
        values = np.load(path / f"{modality}.npy")
        values[later] = 1000
        np.save(path / f"{modality}.npy", values)
    seen = []
    for one in (folder, DatasetFolder(path)):
        model, (train, _, _) = build(one)
        snapshot = snapshot_for(train.dataset.config, train.dataset)
        files = {name: entry["sha256"] for name, entry in snapshot.manifest["files"].items()}
        past = {
            name: part[: len(later)][~later] if name.endswith("values") else part
            for name, part in model.content.named_buffers()
            if name.endswith(("values", "mean", "deviation", "newest"))
        }
        seen.append((files, past, [batch.interaction for batch in train]))
    assert seen[0][0] == seen[1][0]
    assert all(torch.equal(seen[0][1][name], seen[1][1][name]) for name in seen[0][1])
    for one, other in zip(seen[0][2], seen[1][2], strict=True):
        assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("model", ["DIN", "LightGCN", "SASRec", "FM"])
def test_recboles_models_run_on_live_data(build, folder, model):
    drawn = {"distribution": "uniform", "sample_num": 1} if model in ("LightGCN", "SASRec") else None
    loss = {"loss_type": "BPR"} if model == "SASRec" else {}
    found, (train, _, test) = build(folder, model, train_neg_sample_args=drawn, load_col=None, **loss)
    batch = next(iter(train))
    assert found.calculate_loss(batch).isfinite()
    assert not {SEGMENT, TASKS, "amount", "segment", "comment", "long_watch"} & set(batch.interaction)
    assert (batch["label"].unique().tolist() if "label" in batch else [1]) in ([0, 1], [1])
    found.eval()
    with torch.no_grad():
        assert found.predict(next(iter(test))[0]).isfinite().all()


def test_live_data_without_a_file_of_their_own_take_livesims(folder):
    config = build_config("MMBee", folder, {"gpu_id": ""})
    assert config["loss"] == "bce" and config["graph"]["fold_by"] == "time"
    assert config["eval_args"]["mode"] == {"valid": "labeled", "test": "labeled"}


def test_more_segments_than_the_folder_holds(build, folder):
    with pytest.raises(InputError, match="segments 25: tinylive holds the last 20 of a sample"):
        build(folder, interest="none", segments=25)
    assert settings.segment_count(build_config("MMBee", folder, {"gpu_id": "", "segments": 20}), folder) == 20


def test_content_helps_where_segments_decide(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    common = {"interest": "none", "epochs": 12, "learning_rate": 0.01, "segments": 1, "valid_metric": "AUC"}
    scores = {}
    for content in ("none", "concat"):
        config = build_config("MMBee", folder, {**SMALL, **common, "content": content, "backbone": "mean"})
        scores[content] = train_and_test(config, folder).test["auc"]
    assert scores["concat"] > scores["none"] + 0.02
