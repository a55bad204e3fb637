"""Rows for the unseen: who reads which, in training and after, on any shards and through an export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.torchrec.batches.inputs import Inputs, open_store
from mmbee_plugin.torchrec.batches.maker import BatchMaker
from mmbee_plugin.torchrec.batches.reader import GlobalRows
from mmbee_plugin.torchrec.checkpoints import checkpoint
from mmbee_plugin.torchrec.checkpoints.checkpoint import StepState
from mmbee_plugin.torchrec.checkpoints.export import export_checkpoint, import_exchange
from mmbee_plugin.torchrec.settings import Settings, parse_settings
from mmbee_plugin.torchrec.sharded.model import TrainModel
from mmbee_plugin.torchrec.shards.ids import TableIds, token_keys
from mmbee_plugin.torchrec.shards.write import write_shards
from mmbee_plugin.torchrec.training.loop import train

HASHED = 7
SIZE = 30
"""users and items of the data below; the last ten of both are met in no training row."""


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Shards of the same interactions, tokens in one order and in the opposite one."""
    random = np.random.default_rng(0)
    found = {}
    pairs = {"train": [(user, item) for user in range(20) for item in random.permutation(20)[:6]]}
    pairs |= {name: [(user, 29 - user) for user in range(SIZE)] for name in ("valid", "test")}
    for name, order in (("ahead", range(SIZE)), ("back", reversed(range(SIZE)))):
        folder = tmp_path_factory.mktemp("datasets") / name
        folder.mkdir()
        tokens = list(order)
        for part, rows in pairs.items():
            lines = [f"u{user}\ti{item}" for user, item in rows]
            header = "user_id:token\titem_id:token"
            (folder / f"{name}.{part}.inter").write_text("\n".join([header, *lines]) + "\n")
        for suffix, column, letter in (("user", "user_id", "u"), ("item", "item_id", "i")):
            lines = [f"{column}:token", *(f"{letter}{token}" for token in tokens)]
            (folder / f"{name}.{suffix}").write_text("\n".join(lines) + "\n")
        found[name] = folder.parent / f"{name}-shards"
        write_shards(DatasetFolder(folder), found[name], graph=None)
    return found


def job(shards: Path, rate: float = 0.5, hashed: int = HASHED, **sections: Any) -> Settings:
    model = {"width": 8, "content": "none", "interest": "none", "unseen_rows": hashed, "unseen_rate": rate}
    return parse_settings({"data": {"shards": str(shards)}, "model": model, **sections}, "test")


def by_token(store: Any, ids: TableIds) -> dict[str, int]:
    """The hashed row of each unseen token, -1 for the others."""
    users, authors = ids.users(np.arange(store.n_users)), ids.authors(np.arange(store.n_authors))
    read = dict(zip(store.user_tokens(), users - store.n_users - 1, strict=True))
    read |= dict(zip(store.author_tokens(), authors - store.n_authors - 1, strict=True))
    return {token: max(-1, int(row)) for token, row in read.items()}


def test_a_token_reads_one_row_on_any_shards(shards: dict[str, Path]) -> None:
    found = []
    for folder in shards.values():
        settings = job(folder)
        store = open_store(settings)
        found.append(by_token(store, TableIds(store, settings.model)))
    assert found[0] == found[1]
    unseen = {token: row for token, row in found[0].items() if int(token[1:]) >= 20}
    assert len(unseen) == 20 and {-1} == {found[0][token] for token in found[0].keys() - unseen.keys()}
    assert len(set(unseen.values())) > 4 and all(0 <= row < HASHED for row in unseen.values())
    # The hash itself, which files depend on.
    assert token_keys(["u1", "élan"]).tolist() == [15378189911849802130, 10841085047674288120]


def test_the_default_is_one_row_for_all(shards: dict[str, Path]) -> None:
    settings = job(shards["ahead"], rate=0.0, hashed=0)
    store = open_store(settings)
    ids = TableIds(store, settings.model).users(np.arange(SIZE), place=(0, 0, 0))
    np.testing.assert_array_equal(ids, [*range(1, 21), *[0] * 10])


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.2, 0.8])
def test_the_rate_is_the_share_of_known_ones_that_stand_in(shards: dict[str, Path], rate: float) -> None:
    settings = job(shards["ahead"], rate=rate, hashed=HASHED if rate else 0)
    store = open_store(settings)
    ids, known = TableIds(store, settings.model), np.arange(20)
    places = [(0, epoch, batch) for epoch in range(10) for batch in range(50)]
    for side in (ids.users, ids.authors):
        stand_ins = np.array([side(known, place) > SIZE for place in places])
        # 10,000 draws: three of their standard deviations; and every one of the twenty is drawn alike.
        assert abs(stand_ins.mean() - rate) <= 3 * (rate * (1 - rate) / stand_ins.size) ** 0.5
        assert np.abs(stand_ins.mean(axis=0) - rate).max() <= 4.5 * (rate * (1 - rate) / len(places)) ** 0.5


@pytest.mark.parametrize("backbone", ["mean", "din"])
def test_stand_ins_are_those_of_the_batch_on_any_number_of_processes(
    shards: dict[str, Path], backbone: str
) -> None:
    settings = job(shards["ahead"])
    settings = settings.model_copy(update={"model": settings.model.model_copy(update={"backbone": backbone})})
    store = open_store(settings)
    rows = GlobalRows(np.arange(19), np.arange(19), np.zeros(19, dtype=np.int64), None, None, 3)

    def looked_up(world_size: int, epoch: int = 0) -> tuple[np.ndarray, dict[int, int]]:
        """Ids of the users by row, and of each candidate by author."""
        users = np.empty((-(-19 // world_size), world_size), dtype=np.int64)
        authors: dict[int, int] = {}
        for rank in range(world_size):
            batch = BatchMaker(store, settings, rank, world_size).train(rows, epoch)
            users[:, rank] = batch.bags["user"].values()
            found = batch.sequences["author"].values()
            authors |= dict(zip(batch.authors.ids.tolist(), found.tolist(), strict=True))
        return users.ravel()[:19], authors

    users, authors = looked_up(1)
    for world_size in (2, 3):
        also = looked_up(world_size)
        np.testing.assert_array_equal(also[0], users)
        assert also[1] == authors
    hashed = users > SIZE
    assert 3 < hashed.sum() < 16  # every second one stands in
    np.testing.assert_array_equal(users[~hashed], 1 + np.flatnonzero(~hashed))
    ids = TableIds(store, settings.model)
    np.testing.assert_array_equal(users[hashed], ids.unseen("users", np.flatnonzero(hashed)))
    assert any(found > SIZE for author, found in authors.items() if author < 20)
    assert (looked_up(1, epoch=1)[0] != users).any()
    whole = BatchMaker(store, settings).users(np.arange(20)).bags["user"].values()
    np.testing.assert_array_equal(whole, np.arange(1, 21))  # nobody stands in where users are ranked for


def test_stand_ins_train_the_rows_of_the_unseen(shards: dict[str, Path], tmp_path: Path) -> None:
    """Users' too, of whom no unseen one is ever in a training batch; what is saved holds them."""
    brief = {"epochs": 1, "batch_size": 32, "eval_every": 0}
    for rate, hashed in ((0.5, HASHED), (0.0, 0)):
        folder = tmp_path / str(hashed)
        settings = job(shards["ahead"], rate, hashed, train=brief, checkpoint={"folder": str(folder)})
        train(settings)
        model = TrainModel(Inputs.of(settings.model, open_store(settings)), device="cpu")
        path = checkpoint.latest(folder)
        assert path is not None
        checkpoint.load(path, model)
        tables = {name.split(".")[-2]: table for name, table in model.tables.state_dict().items()}
        users, authors = tables["user"], tables["author"]
        assert not users[0].any() and authors[0].any() == (hashed == 0)  # drawn as a negative
        for table in (users, authors):
            assert (table[SIZE + 1 :] != 0).any(dim=1).sum() >= min(hashed, 5)


def test_rows_go_through_an_export_and_back(shards: dict[str, Path], tmp_path: Path) -> None:
    settings = job(shards["ahead"], checkpoint={"folder": str(tmp_path / "job")})
    store = open_store(settings)
    torch.manual_seed(0)
    model = TrainModel(Inputs.of(settings.model, store), device="cpu")
    for value in model.state_dict().values():
        value.copy_(torch.randn_like(value))
    tables = {name.split(".")[-2]: table for name, table in model.tables.state_dict().items()}
    assert len(tables["user"]) == SIZE + 1 + HASHED
    state = StepState(1, 0, 9, settings.model_dump(mode="json"), 1, data=store.identity)
    saved = checkpoint.save(tmp_path / "job", state, model, None)
    exchange = export_checkpoint(saved, tmp_path / "weights.pt")
    ids = TableIds(store, settings.model)
    torch.testing.assert_close(exchange.tables["user"][1:], tables["user"][ids.users(np.arange(SIZE))])

    other = job(shards["back"], checkpoint={"folder": str(tmp_path / "other")})
    again = TrainModel(Inputs.of(other.model, open_store(other)), device="cpu")
    checkpoint.load(import_exchange(tmp_path / "weights.pt", other), again)
    found = {name.split(".")[-2]: table for name, table in again.tables.state_dict().items()}
    used = {int(ids.unseen("users", np.array([row]))[0]) for row in range(20, SIZE)}
    for row in range(SIZE + 1, SIZE + 1 + HASHED):
        expected = tables["user"][row] if row in used else tables["user"][-HASHED:].mean(dim=0)
        torch.testing.assert_close(found["user"][row], expected)
    torch.testing.assert_close(found["user"][1 : SIZE + 1].flip(0)[:20], tables["user"][1:21])
    with pytest.raises(InputError, match=r"was trained on other shards than .*back-shards: dataset"):
        export_checkpoint(saved, tmp_path / "none.pt", shards["back"])


def test_rows_that_nobody_trains_and_shards_without_hashes_are_refused(
    shards: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="unseen_rows 7 are trained by stand-ins; set unseen_rate"):
        job(shards["ahead"], rate=0.0)
    settings = job(shards["ahead"])
    store = open_store(settings)
    store.path = tmp_path  # as shards of an earlier version, which have no such file
    with pytest.raises(InputError, match=r"keys\.npy: .*write the shards again"):
        TableIds(store, settings.model)
