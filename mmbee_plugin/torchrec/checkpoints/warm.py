"""Starts a job from the checkpoint of another day's job: weights and optimizer state, table rows matched by token.

Rows of users and authors who are new, or whom the other job did not train, stay fresh; those of who is gone are left
behind. Every process reads the stored parts one after the other, and takes the rows of its own shards, so the numbers
of processes of both jobs do not matter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.distributed._shard.sharded_tensor import ShardedTensor
from torchrec.optim.keyed import KeyedOptimizer

from mmbee_plugin.errors import InputError
from mmbee_plugin.modules.exchange import WORD_TABLES, side_of
from mmbee_plugin.torchrec.batches.inputs import Inputs, graph_read, open_store
from mmbee_plugin.torchrec.checkpoints.checkpoint import (
    STATE_FILE,
    latest,
    read_into,
    read_state,
    started_state,
    stored_parts,
    stored_state,
    tensors_of,
)
from mmbee_plugin.torchrec.checkpoints.resume import check_same_data, flat
from mmbee_plugin.torchrec.settings import JobModelSettings, Settings, parse_settings
from mmbee_plugin.torchrec.sharded.initial import local_parts
from mmbee_plugin.torchrec.shards.layout import NODES
from mmbee_plugin.torchrec.shards.store import ShardStore

ALIKE = ("model.", "data.history_length", "tables.", "train.weight_decay")
NOT_ALIKE = ("sharding", "learning_rate")
"""settings, by their beginning, that both jobs must share, and the ends of those that may differ"""


def warm_start(
    path: Path, settings: Settings, store: ShardStore, model: Any, optimizer: KeyedOptimizer
) -> None:
    """Fills a fresh model and its optimizer from a checkpoint of another job.

    Args:
        path: a checkpoint, or the folder of a job's checkpoints, whose newest is taken; its shards must be there.
        settings, store: of the job that begins.
        model: sharded or not, with its initial rows.
        optimizer: of the tables and the dense part combined.

    Raises:
        InputError: no such checkpoint, one without optimizer state, a model of other parts, shapes or optimizers, other
            shards than it was trained on, neighbours from a graph of other settings, no token in common.
    """
    if not (path / STATE_FILE).exists():
        path = latest(path) or path
    state = read_state(path)
    if state.weights_only:
        raise InputError(f"{path}: saved without optimizer state; name a checkpoint step-… of that job")
    before = parse_settings(state.settings, str(path / STATE_FILE))
    _check_alike(before, settings, path)
    old = open_store(before)
    check_same_data(state, old, path)
    _check_same_graph(old, store, settings.model, path)
    places = _Places(old, store, settings.model.unseen_rows, path)
    content = {"model": model.state_dict(), "optimizer": started_state(optimizer)}
    dense: dict[str, Any] = {"model": {}, "optimizer": {"state": {}}}
    for name, value in content["model"].items():
        if name.startswith("tables."):
            _fill(path, f"model.{name}", value, places.of(name.split(".")[-2]))
        else:
            dense["model"][name] = value
    for name, entries in content["optimizer"]["state"].items():
        if name.startswith("tables."):
            for entry, value in entries.items():
                _fill(path, f"optimizer.state.{name}.{entry}", value, places.of(name.split(".")[-2]))
        else:
            dense["optimizer"]["state"][name] = entries
    dense["optimizer"]["state"] = stored_state(path, dense["optimizer"]["state"])
    read_into(path, dense)
    model.load_state_dict(content["model"])
    optimizer.load_state_dict(content["optimizer"])


class _Places:
    """By row of a table, the row of the other job's table that it goes on from; -1 for none."""

    def __init__(self, old: ShardStore, new: ShardStore, unseen: int, path: Path) -> None:
        self._places: dict[str, NDArray[np.int64]] = {}
        for side, before, now, trained in (
            ("users", old.user_tokens(), new.user_tokens(), old.user_ids(np.arange(old.n_users)) > 0),
            (
                "authors",
                old.author_tokens(),
                new.author_tokens(),
                old.author_ids(np.arange(old.n_authors)) > 0,
            ),
        ):
            row_of = {token: row for row, token in enumerate(before)}
            rows = np.fromiter((row_of.get(token, -1) for token in now), dtype=np.int64, count=len(now))
            if (rows < 0).all():
                raise InputError(
                    f"{path}: its job knows none of {new.path}'s {side}; it comes from other data"
                )
            # Row r of the shards is id r + 1; id 0, and the ids behind the last, are of the unseen.
            known = np.where(rows >= 0, rows + 1, -1)
            learned = np.where((rows >= 0) & trained[rows], rows + 1, -1)
            shared = np.arange(unseen) + len(before) + 1
            self._places[f"nodes {side}"] = np.concatenate([[0], known])
            self._places[f"queries {side}"] = np.concatenate([[0], learned])
            self._places[f"ids {side}"] = np.concatenate([[0], learned, shared])

    def of(self, table: str) -> NDArray[np.int64] | None:
        """(rows,) of a table; None for a table of words, whose rows are the same in both jobs."""
        if table.startswith(WORD_TABLES):
            return None
        kind = "nodes" if table in NODES.values() else "queries" if table == "query" else "ids"
        return self._places[f"{kind} {side_of(table)}"]


def must_be_alike(name: str) -> bool:
    """Whether a job has to share a setting, ``section.name``, with the one that it goes on from."""
    return name.startswith(ALIKE) and not name.endswith(NOT_ALIKE)


def _check_alike(before: Settings, now: Settings, path: Path) -> None:
    """Raises InputError for the first setting by which tables, weights or optimizers of the two jobs differ."""
    sides = [flat(settings.model_dump(mode="json")) for settings in (before, now)]
    for name in sorted(sides[0].keys() | sides[1].keys()):
        old, new = (side.get(name) for side in sides)
        if must_be_alike(name) and old != new:
            raise InputError(
                f"{path}: its job had {name}={old!r}, this one has {new!r}; a job goes on from one of the same model"
            )


def _check_same_graph(old: ShardStore, new: ShardStore, model: JobModelSettings, path: Path) -> None:
    """Raises InputError for the first setting by which the graphs differ that the two jobs read."""
    before, now = (graph_read(Inputs.of(model, store), store) or {} for store in (old, new))
    for name in sorted(before.keys() & now.keys()):
        if before[name] != now[name]:
            raise InputError(
                f"{path}: its job read a graph with {name}={before[name]!r}, {new.path} has {now[name]!r}"
            )


@torch.no_grad()
def _fill(
    path: Path, name: str, target: torch.Tensor | ShardedTensor, places: NDArray[np.int64] | None
) -> None:
    """Fills this process's shards of a table, or of its optimizer's state, from a stored tensor.

    Args:
        name: of the stored tensor.
        places: (rows,) of the whole target: the row of the stored tensor to take, -1 for none; None takes each row's
            own.

    Raises:
        InputError: a stored tensor that is missing, or has other rows or columns.
    """
    section, _, own = name.partition(".")
    stored = tensors_of(path, section).get(own)
    rows = target.size(0)
    wanted = [rows if places is None else None, *target.size()[1:]]
    if (
        stored is None
        or len(wanted) != len(stored.size)
        or any(want not in (None, have) for want, have in zip(wanted, stored.size, strict=True))
    ):
        shape = "missing" if stored is None else f"of shape {tuple(stored.size)}"
        raise InputError(f"{path}: {own} is {shape}, which does not fit {tuple(target.size())} here")
    for offsets, part in stored_parts(path, name):
        for tensor, begins in local_parts(target):
            end = begins[0] + len(tensor)
            source = np.arange(begins[0], end) if places is None else places[begins[0] : end]
            inside = np.flatnonzero((source >= offsets[0]) & (source < offsets[0] + len(part)))
            taken = part[torch.from_numpy(source[inside] - offsets[0])]
            if tensor.dim() == 1:
                tensor[torch.from_numpy(inside)] = taken.to(tensor)
                continue
            low = max(begins[1], offsets[1])
            high = min(begins[1] + tensor.shape[1], offsets[1] + part.shape[1])
            if low < high:
                columns = taken[:, low - offsets[1] : high - offsets[1]].to(tensor)
                tensor[torch.from_numpy(inside), low - begins[1] : high - begins[1]] = columns
