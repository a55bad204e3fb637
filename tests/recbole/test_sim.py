"""SIM on live data: its search by the authors' categories, gaps to the request, and what an idle search says."""

from __future__ import annotations

import logging
import re

import numpy as np
import pytest
import torch
from recbole.data.interaction import Interaction
from recbole.data.utils import data_preparation
from recbole.utils import get_model, init_seed

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.modules.sim import gap_buckets
from mmbee_plugin.recbole.data.dataset import MMBeeDataset
from mmbee_plugin.recbole.run import build_config

SMALL = {"embedding_size": 16, "gpu_id": "", "show_progress": False, "epochs": 1}


@pytest.fixture
def build(live_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def make(**given):
        config = build_config("SIM", DatasetFolder(live_path), {**SMALL, **given})
        init_seed(config["seed"], True)
        loaders = data_preparation(config, MMBeeDataset(config))
        return get_model("SIM")(config, loaders[0].dataset), loaders

    return make


def without_categories(path):
    file = path / f"{path.name}.item"
    file.write_text(re.sub(r"\t.*", "", file.read_text()))


def test_it_searches_by_the_authors_categories(build, live_path):
    model, loaders = build()
    assert model.gtr.backbone.settings.search == "hard"
    assert model.gtr.backbone.settings == build(category_field="category")[0].gtr.backbone.settings
    lines = (live_path / f"{live_path.name}.item").read_text().splitlines()[1:]
    kind = dict(line.split("\t") for line in lines)
    tokens = loaders[0].dataset.field2id_token["item_id"][1:]
    names = {}
    for token, category in zip(tokens, model.category[1:].tolist(), strict=True):
        names.setdefault(category, set()).add(kind[token])
    assert sorted(map(sorted, names.values())) == [["games"], ["music"]] and model.category[0] == 0

    batch = next(iter(loaders[0]))
    model.calculate_loss(batch).backward()
    assert model.author.weight.grad.abs().sum() > 0


def test_data_without_categories_are_searched_by_embedding(build, live_path):
    without_categories(live_path)
    model, loaders = build(searched=1)
    assert model.gtr.backbone.settings.search == "soft" and model.category is None
    model.calculate_loss(next(iter(loaders[0]))).backward()
    assert model.gtr.backbone.search_author.weight.grad.abs().sum() > 0
    with pytest.raises(InputError, match="search hard: the data have no categories"):
        build(search="hard")
    with pytest.raises(InputError, match="category_field genre: no column 'genre:token'"):
        build(category_field="genre")
    with pytest.raises(InputError, match="unknown search 'firm'; known: hard, soft, ~"):
        build(search="firm")


def test_gaps_are_to_the_moment_of_the_row(build, monkeypatch):
    model, loaders = build()
    read = []
    remember = model.gtr.backbone.remember
    monkeypatch.setattr(model.gtr.backbone, "remember", lambda side: read.append(side) or remember(side))
    for loader in (loaders[0], loaders[2]):
        batch = next(iter(loader))
        batch = batch if isinstance(batch, Interaction) else batch[0]
        model._encode_users(batch)
        gaps, lengths = read.pop().history_gap, batch["item_length"].tolist()
        assert max(lengths) > 3
        for row, length in enumerate(lengths):
            elapsed = batch["timestamp"][row].item() - batch["timestamp_list"][row, :length].numpy()
            assert (elapsed > 0).all()
            assert gaps[row, :length].tolist() == np.floor(np.log2(1 + elapsed)).astype(int).tolist()


def test_a_request_without_a_moment_is_at_the_end_of_training(build, monkeypatch):
    model, loaders = build()
    train = loaders[0].dataset
    users = torch.arange(1, train.user_num)
    read = []
    monkeypatch.setattr(model, "user_side", lambda *given: read.append(given))
    monkeypatch.setattr(model.gtr, "encode_user", lambda side: side)
    model._encode_users(Interaction({"user_id": users}))
    *_, times, _, moments = read[0]
    assert moments is None
    monkeypatch.undo()
    side = model.user_side(*read[0])
    expected = gap_buckets(times, torch.full((len(users),), float(train.times.max())))
    assert torch.equal(side.history_gap, expected[:, : side.history_gap.shape[1]])


def said(caplog, build, **given):
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        build(**given)
    return [record.message for record in caplog.records if "search unit" in record.message]


def test_an_idle_search_is_said_once(build, live_path, caplog):
    assert said(caplog, build, searched=100) == []  # of category, however short the histories
    longest = int(np.diff(build(search="soft")[1][0].dataset.histories.indptr).max())
    assert longest > 5
    for given in (
        {"MAX_ITEM_LIST_LENGTH": 5, "searched": 5},
        {"MAX_ITEM_LIST_LENGTH": 50, "searched": longest},
        {"MAX_ITEM_LIST_LENGTH": 50, "searched": longest - 2, "short_length": 2},
    ):
        (line,) = said(caplog, build, search="soft", **{"short_length": 0, **given})
        assert re.match(
            r"SIM's search unit is idle: histories have at most \d+ behaviours.* keeps \d+;", line
        )
        assert (
            said(
                caplog,
                build,
                search="soft",
                **{"short_length": 0, **given, "searched": given["searched"] - 1},
            )
            == []
        )
    assert said(caplog, build, backbone="mean", searched=100) == []
