"""What the cells of a table share: the epoch whose weights count, and what their keys hold of the data."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.training import Training, cells_given, settings_given
from mmbee_plugin.tables.run import labelled_jobs


@pytest.mark.parametrize(
    ("larger", "scores", "best"),
    [(True, [0.1, 0.4, 0.3, 0.4], 4), (False, [0.3, 0.1, 0.1, 0.2], 3), (True, [0.2], 1)],
)
def test_of_equal_epochs_the_last_has_the_weights(larger, scores, best):
    training = SimpleNamespace(config={"valid_metric_bigger": larger}, curve=list(enumerate(scores)))
    assert Training.best_epoch.fget(training) == best


def test_a_key_holds_how_the_files_are_read(live_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["pytest"])
    given = {"gpu_id": "", "show_progress": False}

    def key(**changes):
        description = json.loads((live_path / "dataset.json").read_text())
        (live_path / "dataset.json").write_text(json.dumps({**description, **changes}))
        return labelled_jobs("SIM", "MMBee", DatasetFolder(live_path), given, [1])[0].key

    plain = key()
    assert key(source="elsewhere", notes=["of a day"]) == plain
    assert key(origin=1_699_999_999.0) != plain  # other days


def test_no_seed_is_given_to_trainings_that_have_their_own():
    assert settings_given("MMBee", ["--epochs=3"]) == {"epochs": 3}
    for models in (["MMBee"], ["LightGCN", "MMBee"]):
        with pytest.raises(InputError, match="seed 7: trainings here have seeds of their own"):
            cells_given(models, ["--seed=7"])
