"""`mmbee study headroom`: what a score made of planted causes is found to know of each."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from mmbee_plugin.cli import app
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.metrics import gauc
from mmbee_plugin.experiments.code import ROOT, _reached
from mmbee_plugin.experiments.comparison import Samples
from mmbee_plugin.livesim import dataset
from mmbee_plugin.livesim.planted import planted_parts
from mmbee_plugin.livesim.settings import LiveSimSettings
from mmbee_plugin.studies.headroom import ALL, BEST, MODEL, NOISELESS, Group, degree_groups, head_room
from mmbee_plugin.studies.headroom_figure import headroom_figure

CAUSES = ("taste", "circle", "loyalty", "appeal", "highlight")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> DatasetFolder:
    """A dataset of a small world."""
    place = tmp_path_factory.mktemp("small") / "datasets" / "small"
    place.parent.mkdir()
    dataset.write(place, LiveSimSettings(users=500, authors=50, density=6.0))
    return DatasetFolder(place)


@pytest.fixture(scope="module")
def planted(folder) -> tuple[Samples, dict[str, np.ndarray], dict]:
    """Samples, parts and groups of its validation rows."""
    rows = folder.interactions("valid")
    samples = Samples(rows.users, folder.rows("valid").labels, None)
    return samples, planted_parts(folder, "valid"), degree_groups(folder, "valid")


def test_a_score_knows_what_it_is_made_of(planted, check_answer):
    samples, parts, groups = planted
    share = {"generosity": 1.0, "taste": 0.0, "circle": 0.5, "loyalty": 1.0, "appeal": -1.5, "highlight": 1.5}
    noise = np.random.default_rng(0).normal(size=len(samples.labels))
    logits = sum(share[name] * parts[name] for name in parts) + noise
    found = head_room(samples, logits, parts, groups)
    assert list(found.causes[ALL]) == list(CAUSES) and found.same == ["generosity"]
    for name, cause in found.causes[ALL].items():
        assert cause.learned.low < share[name] < cause.learned.high, name
        assert cause.learned.high - cause.learned.low < 0.6
        assert cause.learned.mean == pytest.approx(share[name], abs=0.25), name
    assert found.causes[ALL]["circle"].model.low > 0.5 > found.causes[ALL]["appeal"].model.high
    value = {name: told.pooled["gauc"][0] for name, told in found.told.items()}
    assert value[MODEL] == pytest.approx(gauc(samples.users, samples.labels, logits))
    assert value[BEST] == pytest.approx(gauc(samples.users, samples.labels, sum(parts.values())))
    circle = found.causes[ALL]["circle"].learned.mean
    right = logits + (1 - circle) * parts["circle"]
    assert value["circle"] == pytest.approx(gauc(samples.users, samples.labels, right))
    assert value["circle"] > value[MODEL] < value[NOISELESS]
    assert found.counts[ALL] == (len(noise), len(np.unique(samples.users)))

    said, sheet, plot = headroom_figure(found, "valid")
    check_answer(said, sheet, plot)
    assert "learned appeal least (-1." in said and "being told circle would gain most (+" in said
    assert [row[:2] for row in sheet.rows[:5]] == [("all rows", name) for name in CAUSES]
    assert sheet.rows[-1][:2] == ("all rows", BEST)
    assert any("generosity: the same in all rows" in note for note in sheet.notes)


def test_the_truth_has_learned_all(planted):
    samples, parts, groups = planted
    found = head_room(samples, sum(parts.values()), parts, groups)
    for causes in found.causes.values():
        for cause in causes.values():
            assert cause.model == cause.best
            assert cause.learned.mean == pytest.approx(1)
    assert found.told["circle"].gains["gauc"] == pytest.approx(0, abs=1e-9)


def test_groups_are_the_degrees_of_training(folder, planted):
    samples, _, groups = planted
    train, given, rows = (
        folder.interactions("train"),
        folder.rows("train").labels,
        folder.interactions("valid"),
    )
    gifts = set(zip(train.users[given].tolist(), train.items[given].tolist(), strict=True))
    of_user = np.array([sum(user == one for user, _ in gifts) for one in rows.users])
    of_author = np.array([sum(item == one for _, item in gifts) for one in rows.items])
    np.testing.assert_array_equal(groups[Group("user", "2 to 4")], (of_user >= 2) & (of_user <= 4))
    np.testing.assert_array_equal(groups[Group("user", "5 or more")], of_user >= 5)
    np.testing.assert_array_equal(groups[Group("author", "0")], of_author == 0)
    assert str(Group("author", "1 to 9")) == "author's degree 1 to 9" and str(ALL) == "all rows"
    for side in ("user", "author"):
        assert sum(rows.astype(int) for group, rows in groups.items() if group.side == side).min() == 1
    assert len(samples.labels) == len(of_user)


def test_no_run_reads_what_is_planted():
    of_runs = "mmbee_plugin.recbole.run", "mmbee_plugin.recbole.models.mmbee", "mmbee_plugin.torchrec.train"
    read = _reached(of_runs, ())
    assert (
        ROOT / "modules" / "gtr.py" in read and ROOT / "livesim" / "simulate.py" in read
    )  # which makes the data
    assert ROOT / "livesim" / "planted.py" not in read


def test_nothing_to_order_is_said(planted):
    samples, parts, _ = planted
    with pytest.raises(InputError, match="no planted cause differs between two rows of a user"):
        head_room(samples, np.zeros(len(samples.labels)), {"generosity": parts["generosity"]}, {})


def test_the_command_prints(folder, untrained_checkpoint, live_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["pytest"])
    checkpoint = untrained_checkpoint(folder.path, tmp_path, interest="none")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["study", "headroom", str(checkpoint)], catch_exceptions=False)
    assert result.exit_code == 0 and "In a simulation, the model's GAUC is " in result.output
    assert "| circle " in result.output and (tmp_path / "results" / "headroom.html").is_file()
    with pytest.raises(InputError, match="tinylive: no planted truth"):
        CliRunner().invoke(app, ["study", "headroom", str(live_checkpoint())], catch_exceptions=False)
