from __future__ import annotations

import sys
from functools import partial

import numpy as np
import pytest
from recbole.data import data_preparation
from recbole.utils import get_model

from mmbee_plugin.builtin import sample
from mmbee_plugin.errors import InputError
from mmbee_plugin.livesim import dataset
from mmbee_plugin.livesim.settings import LiveSimSettings
from mmbee_plugin.livesim.worlds import WORLDS
from mmbee_plugin.recbole.run import build_config, seeded_dataset

SMALL = {"users": 400, "authors": 60, "density": 3.0}
FIRST = {"settings.json", "report.json", "authors.parquet", "users.parquet", "segments"}
SECOND = {"tastes.parquet", "rules.parquet", "purses.parquet", "levels.parquet"}


@pytest.mark.parametrize(("name", "world", "files"), [("livesim", 1, FIRST), ("livesim2", 2, FIRST | SECOND)])
def test_ensure_makes_livesim_once(tmp_path, monkeypatch, name, world, files):
    small = WORLDS[world](**SMALL)
    monkeypatch.setitem(WORLDS, world, lambda: small)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    made = sample.ensure(name, tmp_path)
    assert (made.kind, made.splits) == ("simulated", ("train", "valid", "test"))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert set(made.modalities) == {"visual", "speech", "comment"} and made.live is not None
    assert made.live.known == {1: "window", 2: "ended"}[world]
    for split in made.splits:
        truth = np.load(made.path / "truth" / f"{split}.npy")
        assert len(truth) == made.counts[split] and not np.isnan(truth).any()
    planted = {path.name for path in (made.path / "planted").iterdir()}
    assert planted == files
    categories = made.categories()
    assert categories is not None and set(categories.tolist()) - {0} == {
        1,
        2,
        3,
        4,
    }  # chat, games, music, outdoors
    config = build_config("SIM", made, {"gpu_id": "", "show_progress": False})
    train = data_preparation(config, seeded_dataset(config))[0].dataset
    model = get_model("SIM")(config, train)
    assert model.gtr.backbone.settings.search == "hard"
    assert model.category[1:].tolist() == categories[train.item_rows[1:]].tolist()
    before = (made.path / "dataset.json").stat().st_mtime_ns
    assert sample.ensure(name, tmp_path).counts == made.counts
    assert (made.path / "dataset.json").stat().st_mtime_ns == before


def test_other_things_in_its_place_are_left_alone(tmp_path):
    (tmp_path / "livesim").mkdir()
    (tmp_path / "livesim" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is no dataset folder"):
        dataset.write(tmp_path / "livesim", LiveSimSettings())
    assert [path.name for path in (tmp_path / "livesim").iterdir()] == ["notes.txt"]


def test_the_command_prints_both_columns_and_the_best_possible(tmp_path, mmbee):
    simulate = partial(mmbee, "data", "simulate", tmp_path / "log")
    sizes = ("--users=400", "--authors=50", "--days=2", "--density=4")
    status, out, err = simulate(*sizes)
    lines = out.splitlines()
    assert status == 0 and lines[0].startswith("log (SIMULATED, livesim 1): 2025-05-05 to 2025-05-06;")
    assert any(line.split() == ["KuaiLive", "simulated"] for line in lines)
    assert any(line.startswith("best possible on the last day") for line in lines)
    assert len(err.splitlines()) == 4  # no terminal: a line a step
    status, out, err = simulate(*sizes)
    assert (status, out) == (2, "") and "--force replaces it" in err and err.count("\n") == 1
    status, out, err = simulate("--users=0")
    assert (status, out, err) == (2, "", "error: users=0: at least 1 is needed\n")
    status, out, err = simulate("--world=3")
    assert (status, out, err) == (2, "", "error: --world 3: one of 1, 2 is needed\n")
    status, out, err = simulate(*sizes, "--world=2", "--force")
    lines = out.splitlines()
    assert status == 0 and lines[0].startswith("log (SIMULATED, livesim 2): 2025-05-05 to 2025-05-06;")
    starts = ("without following", "without price", "without drift", "users with less than a coin")
    assert all(any(line.startswith(start) for line in lines) for start in starts)
