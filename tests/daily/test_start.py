"""Training goes on from an exchange file: weights and optimizer state by token, fresh rows for who is new."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from recbole.data import data_preparation
from recbole.utils import init_seed

from mmbee_plugin.daily.adapter import NODES
from mmbee_plugin.daily.recbole import START
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.modules.exchange import AUTHOR_TABLES, USER_TABLES, read_exchange
from mmbee_plugin.offline.node_vectors import read_vectors
from mmbee_plugin.recbole.exchange import continue_exchange, exchange_of, optimizer_of
from mmbee_plugin.recbole.models.mmbee import MMBee
from mmbee_plugin.recbole.run import build_config, seeded_dataset
from mmbee_plugin.recbole.training.trainer import MMBeeTrainer


def _fresh(folder: Path, given: dict, place: Path):
    config = build_config("MMBee", DatasetFolder(folder), {**given, "checkpoint_dir": str(place)})
    loader = data_preparation(config, seeded_dataset(config))[0]
    init_seed(5, True)
    model = MMBee(config, loader.dataset)
    return loader.dataset, model, MMBeeTrainer(config, model)


@pytest.mark.parametrize("tables", [{}, {"table_optimizer": "rowwise_adagrad"}])
def test_known_tokens_go_on_and_new_ones_start_fresh(run, small, tmp_path: Path, tables: dict) -> None:
    given = {**small, **tables}
    first, second = run(2, given=given), run(3, given=given)
    work = tmp_path / "bundles" / ".daily"
    start = next(work.glob(f"{first.day}/train-*")) / START
    file = read_exchange(start)
    samples = work / second.day / "samples" / "livesim"
    dataset, model, trainer = _fresh(samples, given, tmp_path)
    before = {name: table.weight.detach().clone() for name, table in model.tables().items()}
    continue_exchange(model, dataset, trainer, start)

    known = {"users": set(), "authors": set()}
    for name, table in model.tables().items():
        side = "users" if name in USER_TABLES else "authors"
        assert name in USER_TABLES + AUTHOR_TABLES
        field = dataset.uid_field if side == "users" else dataset.iid_field
        old = {token: row + 1 for row, token in enumerate(getattr(file, side))}
        optimizer = trainer.table_optimizer or trainer.optimizer
        state = optimizer.state[table.weight]
        assert any(entry.ndim for entry in state.values())
        for row, token in enumerate(dataset.field2id_token[field][1:], start=1):
            place = old.get(token)
            wanted = before[name][row] if place is None else file.tables[name][place]
            assert torch.equal(table.weight[row], wanted)
            for entry, values in state.items():
                kept = file.optimizer[name][entry]
                if kept.ndim:
                    assert torch.equal(
                        values[row], torch.zeros_like(values[row]) if place is None else kept[place]
                    )
                else:
                    assert torch.equal(values, kept)
            known[side].add(place is not None)
    assert known == {"users": {True, False}, "authors": {True, False}}, "the days have new users and authors"
    for name, weight in model.gtr.named_parameters():
        assert torch.equal(weight, file.dense[name])
        for entry, kept in file.optimizer[name].items():
            assert torch.equal(trainer.optimizer.state[weight][entry], kept)

    # There and back: a model that trains on from a file is the file's again.
    again = exchange_of(model, dataset)
    state = optimizer_of(model, dataset, trainer)
    for name in file.tables:
        side = "users" if name in USER_TABLES else "authors"
        both = [token for token in getattr(file, side) if token in set(getattr(again, side))]
        assert torch.equal(again.rows_of(name, both), file.rows_of(name, both))
        for entry, kept in file.optimizer[name].items():
            if kept.ndim:
                assert torch.equal(
                    state[name][entry][again.places(name, both)], kept[file.places(name, both)]
                )


def test_a_file_to_score_with_is_none_to_train_on(run, small, tmp_path: Path) -> None:
    outcome = run(2)
    work = tmp_path / "bundles" / ".daily" / outcome.day
    dataset, model, trainer = _fresh(work / "samples" / "livesim", small, tmp_path)
    from mmbee_plugin.recbole.exchange import save_exchange

    save_exchange(model, dataset, tmp_path / "scores.pt")
    with pytest.raises(InputError, match="no optimizer state"):
        continue_exchange(model, dataset, trainer, tmp_path / "scores.pt")
    # Its node vectors are kept by token: NaN for who had none.
    vectors = next(work.glob("train-*")) / NODES
    users, authors = read_vectors(vectors, ["nobody", dataset.folder.user_tokens[0]], ["nobody"], 8)
    assert torch.from_numpy(users).isnan().all(dim=1).tolist() == [True, False] and authors.shape == (1, 8)
    with pytest.raises(InputError, match="expected"):
        read_vectors(vectors, [], [], 16)
