"""Reads and writes MMBee's weights, and the state of its optimizers, as exchange files; rows are matched by user and
item tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from recbole.data import data_preparation
from recbole.trainer import Trainer

from mmbee_plugin.errors import InputError
from mmbee_plugin.modules import exchange as files
from mmbee_plugin.modules.exchange import Exchange
from mmbee_plugin.recbole.data.split import TrainingSplit
from mmbee_plugin.recbole.models.mmbee import MMBee
from mmbee_plugin.recbole.run import load_mmbee, seeded_dataset
from mmbee_plugin.recbole.training.logs import without_recbole_warnings


def load_exchange(model: MMBee, dataset: TrainingSplit, path: Path) -> None:
    """Loads the weights of a file into a model, which then scores as the one they were taken from.

    Users and items that are not in the file get its default row, RecBole's padding zeros.

    Args:
        model: built for ``dataset``, with the settings of the file's model.
        dataset: an :class:`~mmbee_plugin.recbole.data.dataset.MMBeeDataset`.
        path: the exchange file.

    Raises:
        InputError: no such file, a model with other parts, tables or shapes, or no token in common.
    """
    _load(model, dataset, path, fresh=False)


def continue_exchange(model: MMBee, dataset: TrainingSplit, trainer: Trainer, path: Path) -> None:
    """Loads weights and optimizer state of a file, to train on from there on newer data.

    Users and items that are not in the file keep the model's fresh rows and start without optimizer state; those that
    are no more in the dataset are left behind.

    Args:
        model, dataset, path: as in `load_exchange`.
        trainer: of the model, before training; its optimizers are of the kind of the file's.

    Raises:
        InputError: as `load_exchange`; a file without optimizer state.
    """
    exchange = _load(model, dataset, path, fresh=True)
    if not exchange.optimizer:
        raise InputError(f"{path}: has no optimizer state to go on from")
    tables, tokens = model.tables(), _tokens(dataset)
    for name, weight, optimizer in _optimized(model, trainer):
        state = {}
        for entry, value in exchange.optimizer.get(name, {}).items():
            rows = value
            if name in tables and not name.startswith(files.WORD_TABLES) and value.ndim:
                place = exchange.places(name, tokens[files.side_of(name)])
                rows = torch.cat(
                    [torch.zeros_like(value[:1]), value[place]]
                )  # row 0 of a file's state is zero
            if value.ndim and rows.shape != weight.shape[: rows.ndim]:
                raise InputError(f"{path}: {entry} of {name!r} has the shape {tuple(value.shape)}")
            state[entry] = rows.clone()
        if state:
            optimizer.state[weight] = state


def _load(model: MMBee, dataset: TrainingSplit, path: Path, fresh: bool) -> Exchange:
    """Loads a file's weights; rows of unknown tokens keep their values if ``fresh``, else get the default row."""
    exchange = files.read_exchange(path)
    files.check_same_model(exchange, model.scoring_settings, path)
    # A file has no node table for a side where no metapath ends: the model never reads it.
    tables = {name: table for name, table in model.tables().items() if name in exchange.tables}
    missing = (model.tables().keys() ^ exchange.tables.keys()) - {"nodes_user", "nodes_author"}
    if missing:
        raise InputError(f"{path}: table {min(missing)!r} is in the file or in the model alone")
    tokens = _tokens(dataset)
    for side, known in (("users", exchange.users), ("authors", exchange.authors)):
        if not set(tokens[side]) & set(known):
            raise InputError(f"{path}: knows none of this dataset's {side}; it comes from other data")
    filled = {}
    for name, table in tables.items():
        if name.startswith(files.WORD_TABLES):
            filled[name] = exchange.tables[name]
        else:
            place = exchange.places(name, tokens[files.side_of(name)])
            rows = exchange.tables[name][place]
            filled[name] = torch.cat([torch.zeros_like(rows[:1]), rows])  # padding has id 0
            if fresh and filled[name].shape == table.weight.shape:
                new = 1 + torch.nonzero(place == 0).squeeze(1)
                filled[name][new] = table.weight.detach()[new]
        if filled[name].shape != table.weight.shape:
            raise InputError(
                f"{path}: table {name!r} has the shape {tuple(filled[name].shape)}, "
                f"the model's {tuple(table.weight.shape)}"
            )
    try:
        model.gtr.load_state_dict(exchange.dense)
    except RuntimeError as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from None
    with torch.no_grad():
        for name, table in tables.items():
            table.weight.copy_(filled[name])
    model.train(model.training)  # drops the cached encoded authors
    return exchange


def save_exchange(model: MMBee, dataset: TrainingSplit, path: Path) -> None:
    """Writes a model's `exchange_of`. Raises InputError if the file cannot be written."""
    files.write_exchange(path, exchange_of(model, dataset))


def exchange_of(model: MMBee, dataset: TrainingSplit) -> Exchange:
    """A model's weights, rows in file order; default rows are zeros, except for queries (`fill_unknown_queries`)."""
    tables = {
        name: _in_file_order(dataset, name, table.weight.detach().cpu())
        for name, table in model.tables().items()
    }
    dense = {name: value.detach().cpu().clone() for name, value in model.gtr.state_dict().items()}
    files.fill_unknown_queries(tables, dense, model.scoring_settings)
    users, authors = dataset.folder.user_tokens, dataset.folder.item_tokens
    return Exchange(tables, dense, users, authors, model.scoring_settings)


def optimizer_of(
    model: MMBee, dataset: TrainingSplit, trainer: Trainer
) -> dict[str, dict[str, torch.Tensor]]:
    """The state of a trainer's optimizers, rows in file order, as in `Exchange.optimizer`."""
    tables = model.tables()
    found: dict[str, dict[str, torch.Tensor]] = {}
    for name, weight, optimizer in _optimized(model, trainer):
        found[name] = {}
        for entry, value in optimizer.state.get(weight, {}).items():
            kept = value.detach().cpu()
            by_row = name in tables and kept.ndim
            found[name][entry] = _in_file_order(dataset, name, kept) if by_row else kept.clone()
    return found


def _in_file_order(dataset: TrainingSplit, table: str, values: torch.Tensor) -> torch.Tensor:
    """A copy of values (rows, ...) by RecBole's id, by row of a file; row 0 is zero. Rows of words are in one order."""
    if table.startswith(files.WORD_TABLES):
        return values.clone()
    rows = dataset.user_rows if files.side_of(table) == "users" else dataset.item_rows
    ordered = torch.zeros_like(values).index_copy_(0, torch.from_numpy(rows) + 1, values)
    ordered[0] = 0
    return ordered


def _optimized(
    model: MMBee, trainer: Trainer
) -> Iterator[tuple[str, torch.nn.Parameter, torch.optim.Optimizer]]:
    """Every optimized weight with its name in an exchange file and its optimizer."""
    names = {id(weight): name for name, weight in model.gtr.named_parameters()}
    names |= {id(table.weight): name for name, table in model.tables().items()}
    for optimizer in vars(trainer).values():
        if isinstance(optimizer, torch.optim.Optimizer):
            for weight in (weight for group in optimizer.param_groups for weight in group["params"]):
                if id(weight) in names:
                    yield names[id(weight)], weight, optimizer


def export_run(path: Path, destination: Path) -> None:
    """Writes the weights in a RecBole checkpoint of MMBee (``<name>.pth``). Raises InputError as `open_run`."""
    save_exchange(*open_run(path), destination)


def open_run(path: Path) -> tuple[MMBee, TrainingSplit]:
    """The model of a RecBole checkpoint of MMBee (``<name>.pth``), and its training split, rebuilt from the data.

    Raises:
        InputError: as `load_mmbee`; data that have changed since.
    """
    state = load_mmbee(path)
    config = state["config"]
    with without_recbole_warnings():
        dataset = data_preparation(config, seeded_dataset(config))[0].dataset
        model = MMBee(config, dataset)
    if dataset.folder.hash != config["dataset_hash"]:
        raise InputError(f"{path}: {dataset.folder.path} has changed since that run")
    model.load_state_dict(state["state_dict"])
    return model, dataset


def _tokens(dataset: TrainingSplit) -> dict[str, list[str]]:
    """The tokens of RecBole's ids from 1 on."""
    fields = {"users": dataset.uid_field, "authors": dataset.iid_field}
    return {
        side: [str(token) for token in dataset.field2id_token[field][1:]] for side, field in fields.items()
    }
