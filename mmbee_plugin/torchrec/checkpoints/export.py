"""Converts a sharded run's checkpoints to exchange files and back, in one process without sharding."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mmbee_plugin.errors import InputError, one_line
from mmbee_plugin.modules import exchange as files
from mmbee_plugin.modules.exchange import Exchange
from mmbee_plugin.torchrec.batches.inputs import Inputs, graph_read, open_store
from mmbee_plugin.torchrec.checkpoints import checkpoint
from mmbee_plugin.torchrec.checkpoints.resume import check_same_data
from mmbee_plugin.torchrec.settings import JobModelSettings, Settings, parse_settings
from mmbee_plugin.torchrec.sharded.model import TrainModel
from mmbee_plugin.torchrec.shards.ids import TableIds
from mmbee_plugin.torchrec.shards.store import ShardStore

TABLE = re.compile(r"tables\..+\.(?P<table>[^.]+)\.weight")
DENSE = "scorer.gtr."
BY_TRAINING = ("user", "author", "query")
"""Tables in which users or authors without training rows read a shared row; node tables have a row for each."""


def export_checkpoint(path: Path, destination: Path, shards: Path | None = None) -> Exchange:
    """Writes the exchange file of a checkpoint, see `exchange_of`.

    Args:
        path, shards: as of `read_job`.
        destination: the file to write.

    Raises:
        InputError: as `read_job`; the file cannot be written.
    """
    exchange = exchange_of(read_job(path, shards))
    files.write_exchange(destination, exchange)
    return exchange


@dataclass(frozen=True)
class Job:
    """A checkpoint of the training job: settings, shards, and the unsharded state of its `TrainModel`."""

    settings: Settings
    store: ShardStore
    weights: dict[str, torch.Tensor]


def read_job(path: Path, shards: Path | None = None) -> Job:
    """Reads a checkpoint.

    Args:
        path: a checkpoint of the training job, or the folder of its checkpoints: the best epoch, else the newest.
        shards: the job's shards folder, if it has moved.

    Raises:
        InputError: as `checkpoint.read_state`; a checkpoint of another job; shards other than those trained on.
    """
    if not (path / checkpoint.STATE_FILE).exists():
        path = checkpoint.latest(path, "best") or checkpoint.latest(path) or path
    state = checkpoint.read_state(path)
    settings = parse_settings(state.settings, str(path / checkpoint.STATE_FILE))
    if shards is not None:
        settings = settings.model_copy(
            update={"data": settings.data.model_copy(update={"shards": str(shards)})}
        )
    store = open_store(settings)
    check_same_data(state, store, path)
    stored = checkpoint.tensors_of(path, "model")
    weights = {name: torch.empty(entry.size, dtype=entry.properties.dtype) for name, entry in stored.items()}
    checkpoint.read_into(path, {"model": weights})
    for name in weights:
        if not TABLE.fullmatch(name) and not name.startswith(DENSE):
            raise InputError(f"{path}: holds {name!r}, which the training job does not have")
    return Job(settings, store, weights)


def exchange_of(job: Job) -> Exchange:
    """A job's tables, one row a token, and weights. Users and authors without training rows get the row they read: the
    default one, or the one of ``model.unseen_rows`` that their token hashes to. Row 0 is the default one, or the mean
    of these."""
    settings, store = job.settings, job.store
    tables, dense = {}, {}
    for name, values in job.weights.items():
        if match := TABLE.fullmatch(name):
            tables[match["table"]] = values
        else:
            dense[name.removeprefix(DENSE)] = values
    scoring = _scoring_settings(settings, store)
    files.fill_unknown_queries(tables, dense, scoring)
    for name in BY_TRAINING:
        if name in tables:
            whole = tables[name]
            tables[name] = whole[_table_ids(name, store, settings.model)]
            if settings.model.unseen_rows and name in ("user", "author"):
                # Row 0 is not trained then; the mean stands for tokens whose hashes nobody has.
                tables[name][0] = whole[-settings.model.unseen_rows :].mean(dim=0)
    for name in ("nodes_user", "nodes_author"):
        if name in tables:
            tables[name][0] = 0
    return Exchange(tables, dense, store.user_tokens(), store.author_tokens(), scoring)


def import_exchange(source: Path, settings: Settings) -> Path:
    """Writes the first checkpoint of a job from an exchange file; training resumes from it with fresh optimizers.

    Users and authors are matched by token; those missing in the file start from its default row. A row of
    ``model.unseen_rows`` starts from the mean of the file's rows for the tokens that read it.

    Returns:
        the checkpoint, in ``checkpoint.folder``.

    Raises:
        InputError: as `read_exchange` and `open_store`; a model of other parts or shapes; a folder with checkpoints.
    """
    folder = Path(settings.checkpoint.folder)
    if (found := checkpoint.latest(folder) or checkpoint.latest(folder, "best")) is not None:
        raise InputError(f"{found}: the job has begun already; name another checkpoint.folder")
    exchange = files.read_exchange(source)
    store = open_store(settings)
    files.check_same_model(exchange, _scoring_settings(settings, store), source)
    model = TrainModel(Inputs.of(settings.model, store), device=torch.device("cpu"))
    tokens = {"users": store.user_tokens(), "authors": store.author_tokens()}
    state = {DENSE + name: values for name, values in exchange.dense.items()}
    for name in model.state_dict():
        if match := TABLE.fullmatch(name):
            table = match["table"]
            if table not in exchange.tables:
                raise InputError(f"{source}: has no table {table!r}")
            state[name] = exchange.tables[table]
            if not table.startswith(files.WORD_TABLES):
                rows = exchange.rows_of(table, tokens[files.side_of(table)])
                parts = [
                    exchange.tables[table][:1],
                    rows,
                    _hashed(table, rows, exchange, store, settings.model),
                ]
                state[name] = torch.cat(parts)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(f"{source}: {one_line(error)}") from None
    start = checkpoint.StepState(0, 0, 0, settings.model_dump(mode="json"), 1, weights_only=True)
    return checkpoint.save(folder, start, model, None)


def _scoring_settings(settings: Settings, store: ShardStore) -> dict[str, object]:
    inputs = Inputs.of(settings.model, store)
    length, graph = settings.data.history_length, graph_read(inputs, store)
    return files.model_settings(*inputs.parts, length, inputs.segments, graph)


def _table_ids(table: str, store: ShardStore, model: JobModelSettings) -> torch.Tensor:
    """(n + 1,) 0, then the table row that each token reads: its own, or that of the unseen."""
    ids = TableIds(store, model)
    if table == "user":
        read = ids.users(np.arange(store.n_users))
    elif table == "author":
        read = ids.authors(np.arange(store.n_authors))
    else:
        read = store.author_ids(np.arange(store.n_authors))
    return torch.from_numpy(np.concatenate([[0], read]))


def _hashed(
    table: str, rows: torch.Tensor, exchange: Exchange, store: ShardStore, model: JobModelSettings
) -> torch.Tensor:
    """(unseen_rows, d) rows for the unseen of the user or author table, means over their tokens; (0, d) for others."""
    if table not in ("user", "author"):
        return rows[:0]
    read = _table_ids(table, store, model)[1:] - len(rows) - 1  # below 0 for those with a row of their own
    unseen = read >= 0
    sums = rows.new_zeros(model.unseen_rows, rows.shape[1], dtype=torch.float64)
    sums.index_add_(0, read[unseen], rows[unseen].double())
    counts = torch.bincount(read[unseen], minlength=model.unseen_rows)[:, None]
    return torch.where(counts > 0, (sums / counts.clamp(min=1)).to(rows.dtype), exchange.tables[table][:1])
