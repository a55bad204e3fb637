from __future__ import annotations

import json
import signal
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.metrics import auc, uauc
from mmbee_plugin.livesim.settings import VERSION, LiveSimSettings
from mmbee_plugin.livesim.simulate import simulate
from mmbee_plugin.logs.checks import check_tables
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.schema import TABLES

TINY = {"users": 300, "authors": 40, "days": 2, "density": 4.0}


def _contents(path):
    return {name: pl.read_parquet(path / name / "*.parquet") for name in TABLES}


def test_the_same_seed_gives_the_same_log_and_another_seed_another(tmp_path):
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        simulate(tmp_path / name, LiveSimSettings(seed=seed, **TINY))
    one, two, other = (_contents(tmp_path / name) for name in ("one", "two", "other"))
    for name, frame in one.items():
        order = [column for column in frame.columns if not frame.schema[column].is_nested()]
        assert_frame_equal(frame.sort(order), two[name].sort(order))
        assert name in ("users", "authors") or not frame.equals(other[name])


def test_it_is_a_valid_log_and_says_what_it_is(made):
    log = LogFolder(made.path)
    check_tables(log)
    assert (log.info.kind, log.info.version, log.absent) == ("simulated", VERSION, ())
    assert log.modalities == {"visual": (3, 16), "speech": (1, 16), "comment": (1, 16)}
    stated = json.loads((made.path / "planted" / "settings.json").read_text())
    assert stated["version"] == VERSION and stated["circle"] == made.settings.circle


def test_users_are_in_one_room_at_a_time_while_it_is_on_air(made):
    tables = _contents(made.path)
    visits = tables["visits"].join(tables["rooms"].select("room_id", "start", "end"), on="room_id")
    assert (visits["enter"] < visits["exit"]).all()
    assert (visits["start"] <= visits["enter"]).all() and (visits["exit"] < visits["end"]).all()
    own = visits.sort("user_id", "enter")
    following = (own["user_id"] == own["user_id"].shift(-1)).fill_null(False)
    assert (own.filter(following)["exit"] <= own["enter"].shift(-1).filter(following)).all()
    assert own["user_id"].n_unique() > 1_000


def test_gifts_and_feedback_lie_in_visits_and_a_window_has_one_gift(made, samples):
    visits = _contents(made.path)["visits"]
    for name in ("gifts", "feedback"):
        rows = _contents(made.path)[name].with_row_index()
        inside = rows.join(visits, on=["user_id", "author_id", "room_id"])
        assert inside.filter(pl.col("time").is_between("enter", "exit"))["index"].n_unique() == len(rows)
    gifts = samples.filter(pl.col("label") == 1)
    assert len(gifts) == made.result.counts["gifts"]
    assert not gifts.select("user_id", "room_id", "enter", "window").is_duplicated().any()


def test_truth_is_the_chance_of_a_gift_in_every_sample(made, samples):
    truth = _contents(made.path)["truth"]
    rows = samples.join(truth, on=["user_id", "room_id", "window"], how="left", validate="m:1")
    assert rows["p"].null_count() == 0
    of_last = rows.filter(pl.col("time") >= pl.col("time").max() // 86_400_000 * 86_400_000)
    label, p = of_last["label"].to_numpy(), of_last["p"].to_numpy()
    best = made.result.oracle.metrics["planted truth"]
    users = of_last["user_id"].rank("dense").to_numpy()
    np.testing.assert_allclose((auc(label, p), uauc(users, label, p)), best[:2], atol=1e-4)


def test_newcomers_arrive_every_day_and_stream_no_earlier(made):
    authors = pl.read_parquet(made.path / "planted" / "authors.parquet")
    arrivals = np.bincount(authors["first_day"], minlength=3)
    assert arrivals[0] > 120 and (arrivals[1:] > 15).all()
    rooms = _contents(made.path)["rooms"].join(authors, on="author_id")
    day = rooms["room_id"].str.extract(r"d(\d+)$").cast(pl.Int64)
    assert (day >= rooms["first_day"]).all()


_KILLED = """
import os, signal, sys
from pathlib import Path
from mmbee_plugin.livesim.settings import LiveSimSettings
from mmbee_plugin.livesim.simulate import simulate

def progress(what, done, steps):
    if done == 3:
        os.kill(os.getpid(), signal.SIGKILL)

settings = LiveSimSettings(users=300, authors=40, days=2, density=4.0)
simulate(Path(sys.argv[1]), settings, force=True, progress=progress)
"""


def test_a_kill_leaves_what_was_there(tmp_path):
    folder = tmp_path / "log"
    command = [sys.executable, "-c", _KILLED, str(folder)]
    simulate(folder, LiveSimSettings(**TINY))
    before = (folder / "logs.json").read_bytes(), _contents(folder)["gifts"]
    assert subprocess.run(command, timeout=60).returncode == -signal.SIGKILL
    assert (folder / "logs.json").read_bytes() == before[0]
    assert _contents(folder)["gifts"].equals(before[1])


def test_an_interruption_leaves_nothing(tmp_path):
    def progress(what, done, steps):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path / "log", LiveSimSettings(**TINY), progress=progress)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"users": 0}, "users=0: at least 1 is needed"),
        ({"density": -1.0}, "density=-1.0: a finite number of at least 0 is needed"),
        ({"density": float("nan")}, "density=nan: a finite number"),
        ({"newcomers": 1.5}, "newcomers=1.5: a share is at most 1"),
        ({"comment_types": 7}, "at most 8"),
        ({"price_of_user": 0.9, "price_of_author": 0.9}, "squares"),
        ({"users": 1, "authors": 1, "days": 1}, "nobody gave anything"),
    ],
)
def test_bad_settings_are_one_line(tmp_path, wrong, message):
    with pytest.raises(InputError, match=message) as error:
        simulate(tmp_path / "log", LiveSimSettings(**{**TINY, **wrong}))
    assert "\n" not in str(error.value) and not list(tmp_path.iterdir())
