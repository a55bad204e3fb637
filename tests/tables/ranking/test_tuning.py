"""Tuning: equal budgets, nothing lost, nothing tried twice, the test split unseen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from recbole.trainer import Trainer

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.cells import seeds_of
from mmbee_plugin.recbole.config.given import given_settings
from mmbee_plugin.recbole.config.tuned import Finalist, Trial, is_stale, read_tuning
from mmbee_plugin.recbole.tune import search_of, space_file
from mmbee_plugin.tables.ranking import tuning
from mmbee_plugin.tables.ranking.rows import RankedRow, table_rows
from mmbee_plugin.tables.ranking.run import ranking_jobs
from mmbee_plugin.tables.ranking.tuning import begin_tuning, tune

SPACE = "learning_rate choice [0.1,0.01,0.001]\nweight_decay choice [0.0,0.1]\n"


@pytest.fixture
def begin(toy):
    Path("space.hyper").write_text(SPACE)

    def make(model: str = "BPR", **given):
        return begin_tuning(
            Path("tuned") / f"{model}.json",
            model,
            DatasetFolder(toy),
            {"epochs": 2, **given},
            Path("space.hyper"),
        )

    return make


@pytest.fixture
def tried(monkeypatch) -> list[dict]:
    """Trials of six CPU seconds each that do not run, on a busy machine; the larger the learning rate the better."""
    found: list[dict] = []

    def trial(_tuning, _path, settings, seconds):
        assert seconds <= 60 / tuning.SHARE + 1e-9
        found.append(settings)
        score = settings.get("learning_rate", 0.05) if settings.get("learning_rate") != 0.001 else None
        return Trial(settings, score, {}, 1, 600.0, False, "", {}, 6.0)

    monkeypatch.setattr(tuning, "_trial", trial)
    return found


def test_a_killed_tuning_goes_on_where_it_was(begin, toy, tried, monkeypatch):
    tune(begin(), toy, Path("space.hyper"), minutes=0.3)  # three trials
    assert tried[0] == {} and len(tried) == 3
    before = json.loads(Path("tuned/BPR.json").read_text())["trials"]
    tune(begin(), toy, Path("space.hyper"), minutes=1)
    assert len(tried) == 7  # the dataset's own settings and all six of the space, none of them twice
    assert len({json.dumps(settings, sort_keys=True) for settings in tried}) == 7
    found = read_tuning(Path("tuned/BPR.json"))
    assert found is not None and found.chosen is not None
    assert found.chosen["learning_rate"] == 0.1
    scores = [trial.score for trial in found.trials]
    assert scores[-2:] == [None, None] and scores[:5] == sorted(scores[:5], reverse=True)
    assert all(trial in json.loads(Path("tuned/BPR.json").read_text())["trials"] for trial in before)
    tune(begin(), toy, Path("space.hyper"), minutes=1)
    assert len(tried) == 7


def test_finalists_choose_until_another_trial(begin, toy, tried):
    tune(begin(), toy, Path("space.hyper"), minutes=0.3)
    search = begin()
    first, second = (trial.settings for trial in search.leading(2))
    assert search.chosen == first
    search.decide([Finalist(first, [0.1, 0.2], "a"), Finalist(second, [0.3, 0.1], "a")])
    assert begin().chosen == second
    search.decide([Finalist(first, [0.1, 0.2], "a"), Finalist(second, [0.9, None], "a")])  # a loss ran away
    assert begin().chosen == first
    search.decide([Finalist(first, [0.1, 0.2], "a"), Finalist(second, [0.3, 0.1], "a")])
    tune(begin(), toy, Path("space.hyper"), minutes=0.3)  # nothing left to try
    assert begin().chosen == second
    tune(begin(), toy, Path("space.hyper"), minutes=1)
    assert begin().finalists == [] and begin().chosen == begin().trials[0].settings


def test_a_trial_is_cut_for_time_and_never_sees_the_test_split(begin, toy, monkeypatch):
    seen = []
    evaluate = Trainer.evaluate
    monkeypatch.setattr(
        Trainer, "evaluate", lambda self, data, *a, **k: seen.append(data) or evaluate(self, data, *a, **k)
    )
    whole = tuning._trial(begin(), toy, {"learning_rate": 0.01}, seconds=600)
    assert (whole.epochs, whole.cut) == (2, False) and whole.score == whole.valid["recall@20"] > 0
    cut = tuning._trial(begin(), toy, {"learning_rate": 0.01}, seconds=0)
    assert (cut.epochs, cut.cut) == (1, True) and cut.score is not None
    pairs = len(DatasetFolder(toy).interactions("valid"))
    assert len(seen) == 3 and all(len(loader.dataset) == pairs for loader in seen)


def test_a_tuning_keeps_the_seed_of_its_trials(begin, toy, tried):
    search = begin()
    search.add(Trial({"learning_rate": 0.5}, 0.1, {}, 1, 30.0, False, "", {}))
    assert search.seed == tuning.SEED != seeds_of(1)[0]  # no finalist is the training that chose it
    content = json.loads(search.file.read_text())
    assert content.pop("seed") == tuning.SEED
    search.file.write_text(json.dumps(content))
    assert begin().seed == 2020  # of a file from before it was kept


def test_minutes_are_of_the_cpu(begin, toy, tried):
    """Trials from before CPU seconds were kept count theirs by the clock."""
    search = begin()
    search.add(Trial({"learning_rate": 0.5}, 0.1, {}, 1, 30.0, False, "", {}))
    tune(begin(), toy, Path("space.hyper"), minutes=1)
    assert len(tried) == 5  # 30 of 60 seconds were spent


def test_a_trial_that_waits_is_not_cut(begin, toy, monkeypatch):
    monkeypatch.setattr("mmbee_plugin.experiments.training.cpu_seconds", lambda: 7.0)
    rested = tuning._trial(begin(), toy, {"learning_rate": 0.01}, seconds=0)
    assert (rested.epochs, rested.cut, rested.cpu_seconds) == (2, False, 0.0) and rested.seconds > 0


def test_what_does_not_belong_together_is_refused(begin, toy, tried):
    tune(begin(), toy, Path("space.hyper"), minutes=0.2)
    with pytest.raises(InputError, match=r"BPR.json: was tuned with given \{'epochs': 2\}, now it is"):
        begin(embedding_size=8)
    content = json.loads(Path("tuned/BPR.json").read_text())
    Path("tuned/BPR.json").write_text(json.dumps({**content, "base": {"stopping_step": 99}}))
    with pytest.raises(
        InputError, match=r"other settings of the dataset's file \(stopping_step\); delete it"
    ):
        begin()
    with pytest.raises(InputError, match=r"'learning_rate': space.hyper searches it"):
        begin(learning_rate=0.1)
    Path("tuned/BPR.json").write_text('{"trials": [{}]}')
    with pytest.raises(InputError, match=r"BPR.json: no file of tuned settings"):
        begin()


@pytest.mark.parametrize("name", [row.tuning for row in table_rows() if row.tuning])
def test_every_tuned_row_has_a_space_that_can_be_searched(name, monkeypatch):
    monkeypatch.setenv("HYPEROPT_FMIN_SEED", "0")
    search = search_of(lambda params, files: {}, space_file(name), 0, algo="exhaustive")
    assert search.max_evals >= 45


def test_settings_are_stale_where_the_datasets_and_the_given_ones_make_other_trials(begin, toy):
    configs = Path("recbole_configs")
    configs.mkdir()
    (configs / "toy.yaml").write_text("topk: [5]\nmodels: {BPR: {train_newest: 3, row_order: file}}\n")
    folder = DatasetFolder(toy)
    found = begin(epochs=2)
    assert not is_stale(found, folder, {"epochs": 2})
    assert is_stale(found, folder, {}) and is_stale(found, folder, {"epochs": 3})
    assert is_stale(found, folder, {"epochs": 2, "gpu_id": ""})
    assert not is_stale(found, folder, {"epochs": 2, "gpu_id": ""}, ["gpu_id"])
    (configs / "toy.yaml").write_text("topk: [5]\n")
    assert is_stale(found, folder, {"epochs": 2})
    (configs / "order.yaml").write_text(
        "row_order: file\nmodels: {BPR: {train_newest: 3}, Pop: {train_newest: 2}}\n"
    )
    given = given_settings(None, ["--config_files=recbole_configs/order.yaml", "--epochs=2"])
    assert not is_stale(found, folder, given)
    assert begin_tuning(Path("new.json"), "BPR", folder, given, Path("space.hyper")).given == {
        "epochs": 2,
        "row_order": "file",
        "train_newest": 3,
    }
    keys = [
        ranking_jobs(RankedRow(name, model=name), folder, given, [1])[0].key["settings"]
        for name in ("BPR", "LightGCN")
    ]
    assert [key.get("train_newest") for key in keys] == [3, None] and {key["row_order"] for key in keys} == {
        "file"
    }
