"""Visits of a live folder reach both adapters' long-walk lists, on the clock of its gifts."""

from __future__ import annotations

import numpy as np
import pytest

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.ragged import NOBODY
from mmbee_plugin.data.visits import VISIT
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.graph.snapshot import Snapshot
from mmbee_plugin.recbole import run
from mmbee_plugin.torchrec.batches.inputs import Inputs
from mmbee_plugin.torchrec.settings import JobModelSettings
from mmbee_plugin.torchrec.shards.store import ShardStore
from mmbee_plugin.torchrec.shards.write import write_shards

CHOSEN = {
    "folds": 3,
    "fold_by": "time",
    "reach_top_k": 8,
    "reach_own": True,
    "reach_lift": True,
    "visits": 0.5,
}
LEANING = {**CHOSEN, "visits_profile": 0.5}


def test_a_run_and_the_shards_have_the_same_lists(live_path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    graph = [f"--graph.{name}={value}" for name, value in LEANING.items()]
    small = ["--epochs=1", "--embedding_size=8", "--graphcl.epochs=1", *graph]
    command = ["--model=MMBee", f"--dataset={live_path.name}", f"--data_path={live_path.parent}", *small]
    assert run.main(command) == 2
    assert "graph.visits: no visits here" in capsys.readouterr().err

    folder = DatasetFolder(live_path)
    rows, newest = folder.interactions("train"), folder.interactions("train").timestamps.max()
    visits = np.zeros(3, VISIT)
    visits["user"], visits["author"] = rows.users[0], (0, 1, 1)
    visits["end"] = rows.timestamps.min(), rows.timestamps.min() + 1, newest + 1_000
    np.save(live_path / "visits.npy", visits)
    assert run.main([*command, "--reach_floor=1"]) == 2
    assert "reach_floor 1.0: the long walk's lists have visits for 10.0" in capsys.readouterr().err
    assert run.main(command) == 0
    (made,) = (live_path / "graph").iterdir()
    lists = Snapshot.open(made).reach()

    write_shards(DatasetFolder(live_path), tmp_path / "shards", GraphSettings(**LEANING))
    stored = ShardStore(tmp_path / "shards")
    with pytest.raises(InputError, match=r"reach_floor 0\.0001: the long walk's lists have visits for 10\.0"):
        Inputs.of(JobModelSettings(), stored)
    users = np.arange(len(folder.user_tokens))
    ids, weights = stored.reach(users)
    found = ids != NOBODY
    np.testing.assert_array_equal(found.sum(axis=1), np.diff(lists.indptr))
    np.testing.assert_array_equal(ids[found], lists.ids)
    np.testing.assert_allclose(weights[found], lists.weights, rtol=1e-6)
    assert (weights < 0).any()

    write_shards(DatasetFolder(live_path), tmp_path / "own", GraphSettings(**CHOSEN))
    ids, weights = ShardStore(tmp_path / "own").reach(users)

    write_shards(
        DatasetFolder(live_path),
        tmp_path / "plain",
        GraphSettings(**{**CHOSEN, "visits": 0.0}),
    )
    plain = ShardStore(tmp_path / "plain").reach(users)
    visited = rows.users[0]

    def entry(lists_of, author):
        own_ids, own_weights = (part[visited] for part in lists_of)
        return float(own_weights[own_ids == author].sum())

    # A visit that ended after the newest gift is not known, so both authors have one.
    with_visits = entry((ids, weights), 0), entry((ids, weights), 1)
    assert with_visits[0] > entry(plain, 0) and with_visits[1] > entry(plain, 1)
    others = np.delete(users, visited)
    kept, before = weights[others], plain[1][others]
    np.testing.assert_allclose(np.sort(kept[kept > 0]), np.sort(before[before > 0]), rtol=1e-4)


def test_shards_of_data_without_visits_are_one_line(live_path):
    with pytest.raises(InputError, match="mmbee data samples LOGS DST --visits"):
        write_shards(DatasetFolder(live_path), live_path.parent / "shards", GraphSettings(**CHOSEN))
