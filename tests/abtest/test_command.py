"""`mmbee abtest` with trained arms, and what it prints."""

from __future__ import annotations

import csv
import json
from functools import partial

import numpy as np
import pytest

from mmbee_plugin.abtest import command
from mmbee_plugin.abtest.arms import arms_of
from mmbee_plugin.abtest.day import platform_of
from mmbee_plugin.abtest.served import ServedRanker, service_of
from mmbee_plugin.serving.bundle.shelf import Shelf

SIZES = (
    "--arms=random,MMBee",
    "--users=200",
    "--authors=40",
    "--burn-in=2",
    "--days=2",
    "--seeds=1",
    "--jobs=1",
)
SMALL = ("--embedding_size=8", "--graph.reach_top_k=10")


@pytest.fixture
def abtest(mmbee, monkeypatch, tmp_path, plan, here):
    """Runs `mmbee abtest` in the temporary folder; returns its status, stdout and stderr."""
    monkeypatch.setattr(command, "Plan", type(plan))
    monkeypatch.chdir(tmp_path)
    return partial(mmbee, "abtest")


def test_trained_arms_are_served_learn_and_are_printed(abtest, tmp_path, plan, check_report):
    given = ("--dataset=livesim", *SIZES, *SMALL)
    status, out, err = abtest(*given)
    assert status == 0, err
    assert out.startswith(
        "A/B test in a simulation (livesim 1, choice 1): 200 users, 40 authors; burn-in days 1 to 2,"
    )
    rows = {line.split("|")[1].strip(): line for line in out.splitlines() if line.startswith("|")}
    assert {"random", "MMBee", "A/A: random again", "best possible"} < rows.keys()
    assert "+2.862 %" in out and "+4.775 %" in out and "A/A: " in out
    assert "hashed to 4 arms of about equal size" in out
    out_file = tmp_path / "results" / "abtest-livesim"
    content = json.loads(out_file.with_suffix(".json").read_text())
    assert content["kind"] == "simulated" and content["options"]["users"] == 200
    (days,) = content["cells"]["MMBee"]
    learnt = days[1]["learnt"]
    kept_back = int(not learnt["published"])
    assert f"gate kept back: MMBee {kept_back} of 1." in out and days[0]["lists"] > 50
    lines = list(csv.DictReader(out_file.with_suffix(".csv").open()))
    assert {line["days"] for line in lines if line["arm"] == "MMBee"} == {
        "all",
        "all, adjusted",
        "3, adjusted",
        "4, adjusted",
    }
    assert "simulation" in check_report(out_file.with_suffix(".html"))

    again = abtest(*given)
    assert again[:2] == (0, out) and "in 0 s" not in again[2]  # nothing is made again

    of_json = {"embedding_size": 8, "graph": {"reach_top_k": 10}}
    folder = tmp_path / "results" / "abtest"
    made = type(plan)(arms_of(["random", "MMBee"]), 200, 40, 2, 2, plan.choice, of_json, folder)
    bundles = made.place("arms", made.arm_key(1, 1)) / "bundles"
    pointer = Shelf(bundles).current()
    assert pointer is not None and (pointer.bundle != learnt["bundle"]) == kept_back
    assert len(Shelf(bundles).bundles()) == 2  # one a day
    platform = platform_of(made, 1)
    day = platform.day(3)
    until = np.array([72_000_000.0, 72_010_000.0, 72_029_000.0])  # a half minute of the evening
    users, rooms = (
        np.array([3, 5, 150]),
        np.flatnonzero((day.rooms.start < until[0]) & (day.rooms.end > until[2])),
    )
    window = ((until[0] - day.rooms.start[rooms]) // 30_000).astype(int)
    ended = (day.rooms.first[rooms] + window - 1)[window > 0][::2]  # of half the rooms nothing is known
    found = []
    for http in (False, True):
        with service_of(bundles, http) as service:
            ranker = ServedRanker(service, platform, day)
            ranker.see(np.sort(ended))
            found.append(ranker.scores(users, rooms, until))
    assert found[0].shape == (3, len(rooms)) and 5 < (~np.isnan(found[0])).sum() < found[0].size
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--dataset=tiktok",),
            "--dataset=tiktok: users who answer to what they are shown are needed; livesim",
        ),
        (("--dataset=livesim", "--arms=SIM,Best"), "arm 'Best' is unknown"),
        (("--dataset=livesim", "--content=none"), "setting 'content': the arms set it"),
        (("--dataset=livesim", "--burn-in=1"), "--burn-in 1: at least 2 days"),
        (("--dataset=livesim", "--users=0"), "users=0: at least 1 is needed"),
        (("--dataset=livesim", "--nonsense=3"), "nonsense"),
    ],
)
def test_bad_options_are_one_line(abtest, tmp_path, arguments, message):
    status, out, err = abtest(*arguments)
    assert (status, out) == (2, "") and message in err and err.count("\n") == 1
    assert not (tmp_path / "results" / "abtest").exists()
