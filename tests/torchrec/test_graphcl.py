"""GraphCL on sharded node tables: the same as in one process, through the command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.files import locked
from mmbee_plugin.graph.snapshot import Snapshot
from mmbee_plugin.offline.node_vectors import GraphCLSettings, train_graphcl, write_vectors
from mmbee_plugin.torchrec.node_vectors import files as node_files
from mmbee_plugin.torchrec.node_vectors.training import train_nodes
from mmbee_plugin.torchrec.settings import parse_settings
from mmbee_plugin.torchrec.shards.store import ShardStore

RUN = {"epochs": 8, "batch_size": 127}  # the last batch is short, and no batch is even


@pytest.fixture
def shards(sample_shards: Path, tmp_path: Path) -> Path:
    """A copy to write node vectors into."""
    return Path(shutil.copytree(sample_shards, tmp_path / "shards"))


def in_one_process(shards: Path) -> tuple[list[float], tuple[np.ndarray, np.ndarray]]:
    """Mean loss of each epoch and the tables, of the trainer that has no shards."""
    store = ShardStore(shards, (), ("u2a2u", "a2u2a"))
    no_gifts = csr_matrix((store.n_users, store.n_authors))
    losses: list[float] = []
    tables = train_graphcl(
        no_gifts,
        store.lists("u2a2u"),
        store.lists("a2u2a"),
        GraphCLSettings(width=16, **RUN),
        3,
        lambda epoch, loss, tables: losses.append(loss),
    )
    return losses, tables


def nearness(store: ShardStore, tables: tuple[np.ndarray, np.ndarray]) -> float:
    """How often two users or authors who are neighbours score above two who were drawn."""
    random = np.random.default_rng(0)
    wins = []
    for path, table in zip(("u2a2u", "a2u2a"), tables, strict=True):
        lists = store.lists(path).all()
        node = np.repeat(np.arange(lists.n_nodes), np.diff(lists.indptr))
        near = (table[node] * table[lists.ids]).sum(axis=1)
        far = (table[node] * table[random.integers(0, len(table), len(node))]).sum(axis=1)
        wins.append((near > far).mean())
    return float(np.mean(wins))


def test_two_processes_train_what_one_trains(
    start: Callable[..., list[int | None]], shards: Path, sample_folder: DatasetFolder, tmp_path: Path
) -> None:
    store = ShardStore(shards)
    fresh = np.random.default_rng(0)
    untrained = tuple(fresh.normal(size=(count, 16)) for count in (store.n_users, store.n_authors))
    settings = {
        "data": {"shards": str(shards)},
        "model": {"width": 16},
        "tables": {"nodes": {"sharding": "table_wise"}},
        "graphcl": RUN,
        "train": {"seed": 3},
    }
    alone = [loss for epoch in train_nodes(parse_settings(settings, "test")) for loss in epoch]
    expected_losses, expected = in_one_process(shards)
    written = ShardStore(shards).nodes()
    assert written is not None
    for table, other in zip(written, expected, strict=True):
        np.testing.assert_allclose(table, other, atol=5e-6)

    config = tmp_path / "job.yaml"
    settings["tables"] = {"nodes": {"sharding": "row_wise"}}
    config.write_text(json.dumps(settings))
    snapshot = sample_folder.path / "graph" / str(store.description.snapshot)
    there = set(snapshot.parent.iterdir())
    result = tmp_path / "result.json"
    arguments = ["--config", str(config), "--snapshot", str(snapshot), "--result", str(result)]
    assert start("jobs", 2, "graphcl", arguments, tmp_path) == [0, 0], (tmp_path / "stderr-0").read_text()
    epochs = json.loads(result.read_text())["losses"]
    together = [loss for epoch in epochs for loss in epoch]
    assert len(together) == len(alone) >= 20
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)
    np.testing.assert_allclose([np.mean(epoch) for epoch in epochs], expected_losses, atol=1e-6)
    assert np.mean(epochs[-1]) < np.mean(epochs[0])
    again = ShardStore(shards).nodes()
    assert again is not None
    for table, other in zip(again, expected, strict=True):
        np.testing.assert_allclose(table, other, atol=5e-6)
    assert nearness(store, again) > 0.72 > 0.6 > nearness(store, untrained)
    assert sorted(path.name for path in shards.iterdir() if path.name.startswith(".")) == [".nodes.lock"]

    copies = set(snapshot.parent.iterdir()) - there
    assert len(copies) == 1
    for table, other in zip(Snapshot.open(copies.pop()).nodes(), again, strict=True):
        np.testing.assert_array_equal(table, other)


def test_two_tables_are_published_as_one(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ShardStore(shards)
    tables = {"u": np.ones((store.n_users, 16)), "a": np.ones((store.n_authors, 16))}
    names = {side: f"nodes_{name}-1.npy" for side, name in (("u", "user"), ("a", "author"))}
    for side, table in tables.items():
        np.save(shards / names[side], table.astype(np.float32))
        first = ShardStore(shards).nodes()
        assert first is not None and first[0].std() > 0 < first[1].std()  # until both are there
    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr(node_files.os, "replace", lambda *_: (_ for _ in ()).throw(OSError))
        node_files.publish_pair(shards, names["u"], names["a"])
    assert not list(shards.glob(".*")) and ShardStore(shards).nodes()[0].std() > 0
    node_files.publish_pair(shards, names["u"], names["a"])
    assert [table.std() for table in ShardStore(shards).nodes()] == [0, 0]
    assert {file.name for file in shards.glob("nodes*")} == {"nodes.json", *names.values()}
    (shards / names["a"]).unlink()
    with pytest.raises(InputError, match=r"nodes_author-1\.npy: missing, of two tables"):
        ShardStore(shards).nodes()


def test_gradients_as_small_as_adagrads_epsilon_step_as_in_one_process(shards: Path, tmp_path: Path) -> None:
    store, random = ShardStore(shards, (), ("u2a2u", "a2u2a")), np.random.default_rng(0)
    start = tuple(
        (1e-9 * random.normal(size=(count, 16))).astype(np.float32)
        for count in (store.n_users, store.n_authors)
    )
    write_vectors(tmp_path / "start.npz", store.user_tokens(), store.author_tokens(), start)
    run = {"epochs": 1, "batch_size": 4096}
    content = {"data": {"shards": str(shards)}, "model": {"width": 16}, "train": {"seed": 3}}
    content["graphcl"] = {**run, "start": str(tmp_path / "start.npz")}
    train_nodes(parse_settings(content, "test"))
    gifts = csr_matrix((store.n_users, store.n_authors))
    lists = store.lists("u2a2u"), store.lists("a2u2a")
    expected = train_graphcl(gifts, *lists, GraphCLSettings(width=16, **run), 3, start=start)
    assert expected[0].std() > 1e-3
    for table, other in zip(ShardStore(shards).nodes(), expected, strict=True):
        np.testing.assert_allclose(table, other, rtol=1e-3, atol=1e-5)


def test_two_jobs_do_not_write_vectors_side_by_side(shards: Path) -> None:
    settings = parse_settings(
        {"data": {"shards": str(shards)}, "model": {"width": 16}, "graphcl": {"epochs": 1}}, "test"
    )
    refused = pytest.raises(InputError, match="shards: another job trains node vectors there at this moment")
    with locked(shards / ".nodes.lock"), refused:
        train_nodes(settings)
    assert train_nodes(settings)


def test_what_does_not_fit_is_named(shards: Path) -> None:
    settings = parse_settings({"data": {"shards": str(shards)}, "graphcl": {"epochs": 1}}, "test")
    description = json.loads((shards / "shards.json").read_text())
    (shards / "shards.json").write_text(json.dumps(description | {"metapaths": ["a2a"]}))
    with pytest.raises(InputError, match="no metapath 'u2a2u'; it has: a2a"):
        train_nodes(settings)
    columns = {"nodes": {"sharding": "column_wise", "optimizer": "adagrad"}}
    (shards / "shards.json").write_text(json.dumps(description))
    with pytest.raises(InputError, match=r"graphcl\.optimiser: adagrad keeps one sum a row and shard"):
        train_nodes(parse_settings({"data": {"shards": str(shards)}, "tables": columns}, "test"))
    with pytest.raises(InputError, match=r"job\.yaml: graphcl\.user_author: no such setting"):
        parse_settings({"data": {"shards": "x"}, "graphcl": {"user_author": True}}, "job.yaml")
