"""Cells of a ranking table: the rank of every held-out item by one model, and the cost."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from recbole.data import data_preparation

from mmbee_plugin.command.memory import PeakMemory
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.cells import Cell, Job, seed_jobs
from mmbee_plugin.experiments.cost import CPUClock
from mmbee_plugin.experiments.rows import over
from mmbee_plugin.experiments.training import (
    EVALUATED,
    cost_facts,
    data_of_the_key,
    prepared,
    ran_away,
    settings_of_the_key,
    state_of_the_code,
)
from mmbee_plugin.recbole.config.files import RUN_DEFAULTS, dataset_settings
from mmbee_plugin.recbole.config.layers import default_settings
from mmbee_plugin.recbole.config.metrics import chosen_valid_metric
from mmbee_plugin.recbole.config.sources import merged, of_model
from mmbee_plugin.recbole.data.dataset import MMBeeDataset
from mmbee_plugin.recbole.run import build_config, seeded_dataset
from mmbee_plugin.recbole.training.logs import run_log
from mmbee_plugin.recbole.training.ranking import positive_ranks
from mmbee_plugin.recbole.untrained import Score
from mmbee_plugin.tables.ranking.rows import RankedRow

KIND = "ranking 3"
"""version of the cells' content, part of their key"""
COUNTED = "Pop"
"""model whose settings and data rows without a model use; it has no settings of its own"""
RANKING = "mmbee_plugin.recbole.training.ranking"
FAILED = "failed"
"""fact of a cell whose training ended in a NaN loss"""
PROTOCOL: dict[str, Any] = {"eval_args": {"mode": "full"}, "valid_metric": "Recall@20"}
"""defaults of all rows below the dataset's file; RecBole's own defaults differ between models"""


def with_protocol(model: str, folder: DatasetFolder, given: Mapping[str, Any]) -> dict[str, Any]:
    """Given settings over those of :data:`PROTOCOL` and of the dataset's file under the same keys."""
    of_dataset = dataset_settings(folder, model)
    shared = merged(PROTOCOL, {key: of_dataset[key] for key in PROTOCOL if key in of_dataset})
    settings = merged(shared, given)
    effective = {**default_settings(model), **RUN_DEFAULTS, **of_dataset, **of_model(settings, model)}
    return settings | {"valid_metric": chosen_valid_metric(effective, of_model(given, model))}


def ranking_jobs(
    row: RankedRow, folder: DatasetFolder, given: Mapping[str, Any], seeds: Sequence[int]
) -> list[Job]:
    """Jobs of one row's cells, one a seed; a single job for a row whose outcome no seed changes.

    Args:
        given: settings over the dataset's, including tuned ones.

    Raises:
        InputError: settings invalid for the model or the data, or an evaluation that is not a full ranking.
    """
    name = row.model or COUNTED
    settings = with_protocol(name, folder, over(of_model(given, name), row.settings))
    config = build_config(name, folder, settings)
    if set(config["eval_args"]["mode"].values()) != {"full"}:
        raise InputError(
            f"{folder.name}: table 3 ranks all items, this dataset is evaluated on other samples; it needs "
            "eval_args.mode full"
        )
    key = {"kind": KIND, "data": data_of_the_key(folder), "settings": settings_of_the_key(config)}
    if row.count is None:
        code = state_of_the_code(name, RANKING)
        arguments = name, folder.path, settings
        return seed_jobs(
            row.name, {**key, **code}, ranking_cell, arguments, seeds[: 1 if row.solved else None]
        )
    work = row.count.func
    code = state_of_the_code(COUNTED, RANKING, work.__module__)
    counted = [work.__qualname__, dict(row.count.keywords)]
    return [
        Job(row.name, {**key, **code, "count": counted}, counted_cell, (row.count, folder.path, settings))
    ]


def check_finite(cells: Mapping[Any, Sequence[Cell]]) -> None:
    """Raises InputError naming a row with a cell that :data:`FAILED`."""
    for name, of_row in cells.items():
        if any(FAILED in cell.facts for cell in of_row):
            raise InputError(f"{name}: with its settings the loss of a seed is no number; give it others")


def ranking_cell(model: str, path: Path, given: Mapping[str, Any], seed: int) -> Cell:
    """Trains a model and ranks the validation and test items with the weights of its best epoch.

    Returns:
        arrays: those of :func:`ranked`. facts: those of :meth:`Training.facts`, and rank_cpu_ms a user.
        After a NaN loss, no arrays, and the fact :data:`FAILED`.
    """
    with prepared(model, path, given, seed) as training:
        try:
            training.fit()
        except ValueError as error:
            if not ran_away(error):
                raise
            return Cell({}, {**training.facts(), "valid": {}, FAILED: str(error)})

        arrays, milliseconds = _ranked_splits(
            training.trainer.scores, training.evaluated, training.train.dataset
        )
        return Cell(arrays, {**training.facts(), "rank_cpu_ms": milliseconds})


def counted_cell(count: Callable[[MMBeeDataset], Score], path: Path, given: Mapping[str, Any]) -> Cell:
    """Ranks the validation and test items by a score without training; arrays as :func:`ranking_cell`.

    It has no parameters; counting is its training.
    """
    begun, memory, clock = time.perf_counter(), PeakMemory(), CPUClock()
    folder = DatasetFolder(path)
    config = build_config(COUNTED, folder, {**given, "show_progress": False})
    with run_log(config, quiet=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        train, *evaluated = data_preparation(config, seeded_dataset(config))
        with clock.running():
            score = count(train.dataset)
        arrays, milliseconds = _ranked_splits(score, evaluated, train.dataset)
    costs = {
        "parameters": 0,
        "embedding_parameters": 0,
        "train_cpu_seconds": clock.per(1),
        "rank_cpu_ms": milliseconds,
    }
    return Cell(arrays, {**cost_facts(folder, begun, memory), **costs})


def _ranked_splits(
    score: Score, loaders: Sequence[Any], train: MMBeeDataset
) -> tuple[dict[str, NDArray], float]:
    """Arrays of :func:`ranked` of both splits, and the CPU milliseconds a user: scoring all items, masks and ranks."""
    arrays: dict[str, NDArray] = {}
    clock, users = CPUClock(), 0
    for split, loader in zip(EVALUATED, loaders, strict=True):
        with clock.running():
            arrays |= ranked(score, loader, train, split)
        users += len(np.unique(arrays[f"{split} users"]))
    return arrays, clock.per(users, 1e-3)


def ranked(score: Score, loader: Any, train: MMBeeDataset, split: str) -> dict[str, NDArray]:
    """Ranks a loader's positives.

    Returns:
        (n,) int32 each, sorted by user and item: ``<split> users`` and ``items`` (rows of the folder), ``ranks`` (items
        before it), ``user degrees`` and ``item degrees`` (distinct training interactions).
    """
    found = positive_ranks(score, loader)
    pairs = train.positive_keys()
    of_users = np.bincount(pairs // train.item_num, minlength=train.user_num)
    of_items = np.bincount(pairs % train.item_num, minlength=train.item_num)
    users, items = train.user_rows[found.users], train.item_rows[found.items]
    columns = {
        "users": users,
        "items": items,
        "ranks": found.ranks,
        "user degrees": of_users[found.users],
        "item degrees": of_items[found.items],
    }
    order = np.lexsort((items, users))
    return {f"{split} {name}": values[order].astype(np.int32) for name, values in columns.items()}
