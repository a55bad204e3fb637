"""A job that goes on from another day's: rows by token, optimizer state with them, in any number of processes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.offline.node_vectors import GraphCLSettings, train_graphcl, write_vectors
from mmbee_plugin.torchrec.checkpoints import checkpoint
from mmbee_plugin.torchrec.node_vectors.training import train_nodes
from mmbee_plugin.torchrec.settings import parse_settings
from mmbee_plugin.torchrec.shards.ids import TableIds
from mmbee_plugin.torchrec.shards.store import ShardStore
from mmbee_plugin.torchrec.shards.write import write_shards
from mmbee_plugin.torchrec.training.loop import train

CALM = {"dropout": 0.0, "modality_dropout": 0.0, "default_query_rate": 0.0}
"""nothing drawn by a process"""
TABLES = {"user": "adagrad", "query": "rowwise_adagrad", "nodes": "sgd"}
"""optimizers of tables with state of two dimensions, of one, and without any"""


def job(shards: Path, folder: Path, **sections: Any) -> dict[str, Any]:
    content: dict[str, Any] = {
        "data": {"shards": str(shards), "history_length": 8},
        "model": {"width": 16, "backbone": "mean", "unseen_rows": 8, "unseen_rate": 0.1, **CALM},
        "tables": {name: {"optimizer": kind} for name, kind in TABLES.items()},
        "train": {"epochs": 1, "eval_every": 0, "batch_size": 256, "log_every": 1},
        "checkpoint": {"folder": str(folder)},
    }
    for name, section in sections.items():
        content[name] = {**content[name], **section} if name in content else section
    return content


@pytest.fixture(scope="module")
def next_day(sample_folder: DatasetFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of the sample a day later: users in another order, a tenth of users and authors gone and others come, and
    users whose training rows are all new."""
    folder = tmp_path_factory.mktemp("next") / sample_folder.name
    shutil.copytree(sample_folder.path, folder, ignore=shutil.ignore_patterns("graph"))
    rng = np.random.default_rng(0)
    names = {}
    for ending, tokens in ((".user", sample_folder.user_tokens), (".item", sample_folder.item_tokens)):
        gone = rng.choice(len(tokens), len(tokens) // 10, replace=False)
        names[ending] = {token: token for token in tokens} | {tokens[row]: f"new-{row}" for row in gone}
        file = folder / f"{folder.name}{ending}"
        head, *lines = file.read_text().splitlines()
        lines = [re.sub(r"^[^\t]+", lambda found, of=names[ending]: of[found[0]], line) for line in lines]
        file.write_text("\n".join([head, *(rng.permutation(lines) if ending == ".user" else lines)]) + "\n")
    for file in folder.glob("*.inter"):
        head, *lines = file.read_text().splitlines()
        rows = [line.split("\t") for line in lines]
        renamed = [[names[".user"][row[0]], names[".item"][row[1]], *row[2:]] for row in rows]
        file.write_text("\n".join([head, *map("\t".join, renamed)]) + "\n")
    shards = tmp_path_factory.mktemp("shards") / "next"
    graph, nodes = (
        GraphSettings(folds=3, fold_by="order", reach_top_k=50),
        GraphCLSettings(width=16, epochs=1),
    )
    write_shards(DatasetFolder(folder), shards, graph, nodes, rows_per_group=200)
    return shards


@pytest.fixture(scope="module")
def yesterday(sample_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a job that has trained an epoch, in one process."""
    folder = tmp_path_factory.mktemp("yesterday")
    train(parse_settings(job(sample_shards, folder), "test"))
    return folder


def state_of(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a checkpoint, whole, by name."""
    found = {}
    for section in ("model", "optimizer"):
        whole = {
            name: torch.empty(entry.size, dtype=entry.properties.dtype)
            for name, entry in checkpoint.tensors_of(path, section).items()
        }
        checkpoint.read_into(path, {f"{section}.{name}": value for name, value in whole.items()})
        found |= {f"{section}.{name}": value for name, value in whole.items()}
    return found


@pytest.mark.parametrize("processes", [1, 2])
def test_rows_and_their_state_go_with_their_tokens(
    start: Callable[..., list[int | None]], sample_shards: Path, next_day: Path, yesterday: Path, tmp_path: Path,
    processes: int,
) -> None:  # fmt: skip
    """Jobs that stop before their first step show what they start from."""
    started = {}
    for name, warm in (("fresh", {}), ("warm", {"warm_from": str(yesterday)})):
        folder = tmp_path / name
        content = job(next_day, folder, checkpoint={"folder": str(folder), **warm})
        assert start("jobs", processes, "start of", content, tmp_path) == [0] * processes
        started[name] = state_of(folder / "step-0000000000")
    old = state_of(checkpoint.latest(yesterday) or yesterday)
    before, now = ShardStore(sample_shards), ShardStore(next_day)
    settings = parse_settings(job(next_day, tmp_path), "test").model
    assert started["warm"].keys() == started["fresh"].keys() > old.keys()
    unused = started["warm"].keys() - old.keys()  # with one segment, by attention within a modality
    assert all(".to_query." in name and not started["warm"].pop(name).any() for name in unused)
    checked, moved = set(), []
    for name, value in started["warm"].items():
        table = re.search(r"tables\..*\.(\w+)\.weight", name)
        if table is None or table[1].startswith("words_"):
            assert torch.equal(value, old[name]), name
            moved.append(not torch.equal(value, started["fresh"][name]))
            continue
        side = "user" if "user" in table[1] else "author"
        ids = [TableIds(store, settings) for store in (before, now)]
        rows = [getattr(store, f"n_{side}s") for store in (before, now)]
        tokens = [getattr(store, f"{side}_tokens")() for store in (before, now)]
        trained = getattr(before, f"{side}_ids")(np.arange(rows[0])) > 0
        place = {token: row for row, token in enumerate(tokens[0]) if trained[row] or "nodes" in table[1]}
        for row, token in enumerate(tokens[1]):
            source = old[name][place[token] + 1] if token in place else started["fresh"][name][row + 1]
            assert torch.equal(value[row + 1], source), (name, token)
        assert torch.equal(value[0], old[name][0])
        assert len(value) == rows[1] + 1 + (settings.unseen_rows if table[1] in ("user", "author") else 0)
        assert torch.equal(value[rows[1] + 1 :], old[name][rows[0] + 1 :])
        fresh = [row for row, token in enumerate(tokens[1]) if token not in place]
        assert len(fresh) > rows[1] // 12 and len(ids) == 2
        if name.startswith("optimizer"):
            assert not value[np.array(fresh) + 1].any() and value.any()
        checked.add((table[1], name.partition(".")[0]))
    assert {
        ("user", "optimizer"),
        ("query", "optimizer"),
        ("nodes_user", "model"),
        ("author", "model"),
    } <= checked


def test_two_processes_go_on_as_one_does(
    start: Callable[..., list[int | None]], next_day: Path, yesterday: Path, tmp_path: Path
) -> None:
    """And a job that has a checkpoint of its own goes on from that."""
    content = job(
        next_day, tmp_path / "one", checkpoint={"folder": str(tmp_path / "one"), "warm_from": str(yesterday)}
    )
    alone = train(parse_settings(content, "test"))["losses"]
    fresh = train(parse_settings(job(next_day, tmp_path / "fresh"), "test"))["losses"]
    assert next(iter(alone.values())) < next(iter(fresh.values())) - 0.01
    elsewhere = {**content, "checkpoint": {**content["checkpoint"], "folder": str(tmp_path / "two")}}
    assert start("jobs", 2, "losses", {"warm": elsewhere}, tmp_path) == [0, 0]
    together = json.loads((tmp_path / "losses-2.json").read_text())["warm"]["losses"]
    assert len(together) > 5
    np.testing.assert_allclose(together, list(alone.values()), atol=1e-5)
    content["train"]["epochs"] = 2
    goes_on = train(parse_settings(content, "test"), resume=True)["losses"]
    assert max(goes_on) == 2 * max(alone) and {step: goes_on[step] for step in alone} == alone


def test_pre_trained_tables_need_vectors_or_a_checkpoint(
    next_day: Path, yesterday: Path, tmp_path: Path
) -> None:
    bare = shutil.copytree(next_day, tmp_path / "bare", ignore=shutil.ignore_patterns("nodes*"))
    content = job(bare, tmp_path / "job")
    with pytest.raises(
        InputError, match=r"bare: no node vectors; .*torchrec\.graphcl`, or set model.node_tables=fresh$"
    ):
        train(parse_settings(content, "test"))
    content["checkpoint"]["warm_from"] = str(yesterday)
    assert train(parse_settings(content, "test"))["losses"]
    fresh = job(bare, tmp_path / "fresh", model={"node_tables": "fresh"})
    assert train(parse_settings(fresh, "test"))["losses"]


def test_what_does_not_fit_is_refused_in_one_line(
    sample_shards: Path, next_day: Path, live_shards: Path, yesterday: Path, tmp_path: Path
) -> None:
    def refused(message: str, shards: Path = next_day, warm: Path = yesterday, **sections: Any) -> None:
        given = {"checkpoint": {"folder": str(tmp_path / "job"), "warm_from": str(warm)}, **sections}
        with pytest.raises(InputError, match=message) as caught:
            train(parse_settings(job(shards, tmp_path / "job", **given), "test"))
        assert "\n" not in str(caught.value)

    refused(
        "model.backbone='mean', this one has 'din'; a job goes on from one of the same model",
        model={"backbone": "din"},
    )
    refused("tables.user.optimizer='adagrad', this one has 'sgd'", tables={"user": {"optimizer": "sgd"}})
    other = Path(shutil.copytree(next_day, tmp_path / "other"))
    described = json.loads((other / "shards.json").read_text())
    described["graph"]["normalisation"] = "symmetric"
    (other / "shards.json").write_text(json.dumps(described))
    refused("its job read a graph with normalisation='row', .*other has 'symmetric'", shards=other)
    refused("no checkpoint of this plugin", warm=tmp_path)
    older = Path(shutil.copytree(yesterday, tmp_path / "older"))
    path = checkpoint.latest(older)
    state = json.loads((path / "state.json").read_text())
    (path / "state.json").write_text(json.dumps({**state, "weights_only": True}))
    refused("saved without optimizer state", warm=older)
    (path / "state.json").write_text(json.dumps({**state, "data": {**state["data"], "dataset": "0" * 64}}))
    refused("was trained on other shards", warm=older)
    gone = {
        **state,
        "settings": {**state["settings"], "data": {**state["settings"]["data"], "shards": "gone"}},
    }
    (path / "state.json").write_text(json.dumps(gone))
    refused("gone: no shards folder", warm=older)


def test_graphcl_starts_from_vectors_by_token(next_day: Path, sample_shards: Path, tmp_path: Path) -> None:
    """As in one process: known nodes from the file, the others as drawn."""
    shards = Path(shutil.copytree(next_day, tmp_path / "shards"))
    before, now = ShardStore(sample_shards), ShardStore(shards, (), ("u2a2u", "a2u2a"))
    rng = np.random.default_rng(0)
    vectors = tuple(
        rng.normal(size=(count, 16)).astype(np.float32) for count in (before.n_users, before.n_authors)
    )
    write_vectors(tmp_path / "nodes.npz", before.user_tokens(), before.author_tokens(), vectors)
    chosen = {"epochs": 1, "batch_size": 512, "start": str(tmp_path / "nodes.npz")}
    train_nodes(parse_settings(job(shards, tmp_path, graphcl=chosen, train={"seed": 3}), "test"))
    start = []
    for old, new, table in zip(
        (before.user_tokens(), before.author_tokens()),
        (now.user_tokens(), now.author_tokens()),
        vectors,
        strict=True,
    ):
        place = {token: row for row, token in enumerate(old)}
        start.append(
            np.stack([table[place[token]] if token in place else np.full(16, np.nan) for token in new])
        )
    no_gifts = csr_matrix((now.n_users, now.n_authors))
    lists = now.lists("u2a2u"), now.lists("a2u2a")
    settings = GraphCLSettings(width=16, epochs=1, batch_size=512)
    expected = train_graphcl(no_gifts, *lists, settings, 3, start=(start[0], start[1]))
    for table, other in zip(ShardStore(shards).nodes(), expected, strict=True):
        np.testing.assert_allclose(table, other, atol=2e-5)
    chosen["start"] = str(tmp_path / "missing.npz")
    with pytest.raises(InputError, match=r"missing\.npz: not a file of node vectors"):
        train_nodes(parse_settings(job(shards, tmp_path, graphcl=chosen), "test"))
