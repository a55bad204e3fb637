"""Modalities may be called anything that a file can: models train on them, and what is saved is read again."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from recbole.data.utils import data_preparation
from recbole.utils import get_model

from mmbee_plugin.data.features import bag_from_pairs, save_bag
from mmbee_plugin.errors import InputError
from mmbee_plugin.modules.exchange import Exchange, check_same_model
from mmbee_plugin.modules.parts import CONTENTS
from mmbee_plugin.recbole.config.given import given_settings
from mmbee_plugin.recbole.config.modalities import chosen_modalities
from mmbee_plugin.recbole.data.dataset import MMBeeDataset
from mmbee_plugin.recbole.exchange import load_exchange, save_exchange
from mmbee_plugin.recbole.run import main

DENSE = ("clip.vit", "clip%2Evit", "training", "画 像", "1")
BAGS = ("keys", "w.x")
VARIANTS = [
    ("MMBee", {"content": "mfq", "metapaths": ["u2a"], "graph": {"folds": 2}, "graphcl": {"epochs": 1}}),
    *(
        ("MMBee", {"content": content, "interest": "none"})
        for content in CONTENTS
        if content not in ("none", "mfq")
    ),
    *((name, {}) for name in ("MMGCN", "GRCN", "MMMLP", "MMSSL")),
    ("EgoGCN", {"gate": "soft"}),
]


@pytest.fixture(scope="module")
def folder(planted_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = shutil.copytree(planted_folder, tmp_path_factory.mktemp("named") / "tiny")
    visual = np.load(copy / "visual.npy")
    for file in ("visual.npy", "text.npz"):
        (copy / file).unlink()
    rng = np.random.default_rng(1)
    for place, name in enumerate(DENSE):
        np.save(copy / f"{name}.npy", visual + place * rng.normal(size=visual.shape).astype(np.float32))
    for name in BAGS:
        rows = np.arange(len(visual)).repeat(2)
        save_bag(bag_from_pairs(rows, rng.integers(0, 9, len(rows)), len(visual), 9), copy / f"{name}.npz")
    return copy


@pytest.fixture
def build(folder, make_config):
    def make(name, **given):
        config = make_config(name, data_path=str(folder.parent), embedding_size=8, **given)
        config["data_path"] = str(folder)
        loaders = data_preparation(config, MMBeeDataset(config))
        torch.manual_seed(len(given))
        return get_model(name)(config, loaders[0].dataset), loaders

    return make


@pytest.mark.parametrize(("name", "variant"), VARIANTS, ids=str)
def test_every_model_trains_and_loads_again(build, tmp_path, name, variant):
    (model, (train, valid, _)), (again, _) = build(name, **variant), build(name, **variant)
    assert set(model.content.widths) == {*DENSE, *BAGS}
    batch = next(iter(train))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(2):  # content is silent in MMBee's first step
        optimizer.zero_grad()
        model.train().calculate_loss(batch).backward()
        optimizer.step()
    assert all(model.content.tables[bag].bag.weight.grad.any() for bag in BAGS)
    torch.save(model.state_dict(), tmp_path / "state.pth")
    again.load_state_dict(torch.load(tmp_path / "state.pth", weights_only=True))
    rows = next(iter(valid))[0]
    scores = []
    for one in (model.eval(), again.eval()):
        with torch.no_grad():
            scores.append(one.full_sort_predict(rows)[:, 1:])
    torch.testing.assert_close(*scores)


def test_an_exchange_file_takes_them_along(build, tmp_path):
    graph = {"interest": "none"}
    (model, (train, valid, _)), (again, _) = build("MMBee", **graph), build("MMBee", **graph)
    save_exchange(model, train.dataset, tmp_path / "model.pt")
    with torch.no_grad():
        again.content.tables["keys"].bag.weight.zero_()
    load_exchange(again, train.dataset, tmp_path / "model.pt")
    rows = next(iter(valid))[0]
    with torch.no_grad():
        scores = [one.eval().full_sort_predict(rows)[:, 1:] for one in (model, again)]
    torch.testing.assert_close(*scores)
    assert torch.equal(again.content.tables["keys"].bag.weight, model.content.tables["keys"].bag.weight)


def test_a_modality_called_as_a_setting_of_training_counts():
    """Dropout does not change a score; the width of a modality of that name does."""

    def model(width, dropout):
        return {"content": {"widths": {"dropout": width, "a.b": 3}, "dropout": dropout}}

    exchange = Exchange({}, {}, [], [], model(3, 0.1))
    check_same_model(exchange, model(3, 0.2), Path("a.pt"))
    with pytest.raises(
        InputError, match=r"a\.pt: its model has content\.widths\.dropout=3, this one has .*=4"
    ):
        check_same_model(exchange, model(4, 0.1), Path("a.pt"))


@pytest.mark.parametrize(
    ("argument", "names"),
    [
        ("clip.vit", ["clip.vit"]),
        ("1", ["1"]),
        ("keys,1", ["keys", "1"]),
        ("[clip.vit, '画 像']", ["clip.vit", "画 像"]),
        ("null", None),
    ],
)
def test_names_on_the_command_line(argument, names):
    assert given_settings(None, [f"--modalities={argument}"]) == {"modalities": names}


def test_names_that_are_none_or_twice(build, folder):
    config = build("MMGCN")[1][0].dataset
    for names, message in (([1], "modalities: 1 is a int"), (["1", "1"], "'1' is listed twice")):
        with pytest.raises(InputError, match=message):
            chosen_modalities({"modalities": names}, config.folder)


def test_a_run_from_the_command_line(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copy(folder / "1.npy", folder / "visual.NPY")
    arguments = ["--dataset=tiny", f"--data_path={folder.parent}", "--epochs=1", "--modalities=clip.vit,keys"]
    try:
        assert main(["--model=MMGCN", *arguments, "--embedding_size=8", "--gpu_id="]) in (0, None)
    finally:
        (folder / "visual.NPY").unlink()
    assert (
        "warning: visual.NPY lies in the folder and is not read: save it as visual.npy"
        in capsys.readouterr().out
    )
