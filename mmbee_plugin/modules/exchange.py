"""Exchange files: a trained model's tables and weights, written and read by both adapters.

An exchange file is a torch file of tensors and plain values, read with ``weights_only=True``. A table of users or
authors has one row more than there are tokens: row r + 1 belongs to token r, row 0 to unknown tokens.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from mmbee_plugin.errors import InputError, one_line
from mmbee_plugin.files import replaced
from mmbee_plugin.modules.gtr import GTRModel
from mmbee_plugin.modules.named import module_name
from mmbee_plugin.modules.parts import BACKBONES, CONTENTS, GTRSettings
from mmbee_plugin.modules.shapes import ContentSettings, SIMSettings

FORMAT = "mmbee_plugin exchange 2"
USER_TABLES = ("user", "nodes_user")
AUTHOR_TABLES = ("author", "query", "nodes_author")
WORD_TABLES = "words_"
"""Prefix of the tables of bag modalities, whose rows are words; see `word_table`."""
IN_TRAINING_ONLY = ("dropout", "history_dropout", "modality_dropout", "default_query_rate", "reach_weight")
"""Settings that do not change a score."""
SEARCH = "sim"
"""Section of a file's settings for backbones that search histories."""
GRAPH = "graph"
"""Section of a file's settings for models that read a graph."""
IN_FILES: dict[str, dict[str, str]] = {
    "gtr": {},
    "content": {"content_dropout": "dropout"},
    SEARCH: {"search_heads": "heads", "short_length": "short"},
}
"""By section, settings that have another name in a file: own name -> name there."""


@dataclass
class Exchange:
    """A trained model, independent of the adapter."""

    tables: dict[str, torch.Tensor]
    """Tables (rows, width) by name: ``USER_TABLES``, ``AUTHOR_TABLES`` or a name of `word_table`."""
    dense: dict[str, torch.Tensor]
    """State of the :class:`~mmbee_plugin.modules.gtr.GTRModel`."""
    users: list[str]
    """Tokens of the users."""
    authors: list[str]
    """Tokens of the authors."""
    settings: dict[str, Any]
    """Settings of the model, as `model_settings` returns them."""
    optimizer: dict[str, dict[str, torch.Tensor]] = field(default_factory=dict)
    """Optimizer state by table or dense weight, to train on from here; state with a row for each row of a table is in
    the table's order. Empty for a model to score with."""

    def __post_init__(self) -> None:
        for kind, tokens in (("user", self.users), ("author", self.authors)):
            if len(set(tokens)) != len(tokens):
                raise InputError(f"a {kind} token appears twice")
        for name, table in self.tables.items():
            if name.startswith(WORD_TABLES):
                continue
            if name not in USER_TABLES + AUTHOR_TABLES:
                raise InputError(f"unknown table {name!r}")
            rows = 1 + len(self.tokens(name))
            if table.ndim != 2 or len(table) != rows:
                raise InputError(f"table {name!r} has the shape {tuple(table.shape)}, expected {rows} rows")
        for name, values in {**self.tables, **self.dense}.items():
            if values.is_floating_point() and not values.isfinite().all():
                raise InputError(f"{name!r} holds values that are not finite")

    def tokens(self, table: str) -> list[str]:
        """Of the rows from 1 on of a table of users or authors."""
        return self.users if side_of(table) == "users" else self.authors

    def rows_of(self, table: str, tokens: list[str]) -> torch.Tensor:
        """Rows (len(tokens), width) of a table of users or authors, row 0 for unknown tokens."""
        return self.tables[table][self.places(table, tokens)]

    def places(self, table: str, tokens: list[str]) -> torch.Tensor:
        """(len(tokens),) int64 rows of tokens in a table of users or authors, 0 for unknown ones."""
        place = {token: row for row, token in enumerate(self.tokens(table), start=1)}
        return torch.tensor([place.get(token, 0) for token in tokens], dtype=torch.long)


def side_of(table: str) -> str:
    """``users`` or ``authors``: whose rows a table has that is none of words."""
    return "users" if table in USER_TABLES else "authors"


def word_table(modality: str) -> str:
    """Name of a bag modality's table, and of the feature that is looked up in it.

    Example:
        >>> word_table("text")
        'words_text'
    """
    return WORD_TABLES + module_name(modality)


def model_settings(
    gtr: GTRSettings,
    content: ContentSettings,
    sim: SIMSettings,
    history_length: int,
    segments: int,
    graph: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Settings that have to be equal for two models to score alike, as plain values: parts in use and their shapes, and
    the graph that they read.

    Args:
        history_length: behaviours of a user that are read.
        segments: segments of a sample, L; 0 and 1 both for static items.
        graph: settings that decide the graph's lists (:func:`~mmbee_plugin.graph.deciding.of_lists`); None for a model
            that reads none, or where they are not known.
    """
    parts: dict[str, Any] = {"gtr": gtr.model_dump(), "history_length": history_length}
    backbone = BACKBONES[gtr.backbone]
    del parts["gtr"]["experts" if backbone.head is None else "head"]
    if CONTENTS[gtr.content].reads_modalities:
        parts["content"] = {IN_FILES["content"].get(name, name): value for name, value in content}
        parts["segments"] = max(1, segments)
    if backbone.searches:
        parts[SEARCH] = {IN_FILES[SEARCH].get(name, name): value for name, value in sim}
    if graph is not None:
        parts[GRAPH] = graph
    return _plain(parts)


def model_of(settings: Mapping[str, Any]) -> GTRModel:
    """A model from settings of `model_settings`, with fresh weights, in evaluation mode.

    Raises:
        InputError: settings of another version.
    """
    kinds = {"gtr": GTRSettings, "content": ContentSettings, SEARCH: SIMSettings}
    parts: dict[str, Any] = {"content": {"widths": {}}, SEARCH: {}} | dict(settings)
    here = {part: {of_file: own for own, of_file in names.items()} for part, names in IN_FILES.items()}
    try:
        made: dict[str, Any] = {
            name: kind(
                **{
                    here[name].get(key, key): tuple(value) if isinstance(value, list) else value
                    for key, value in parts[name].items()
                }
            )
            for name, kind in kinds.items()
        }
        return GTRModel(made["gtr"], made["content"], made[SEARCH]).eval()
    except (KeyError, InputError) as error:
        raise InputError(f"settings of another version: {error}") from None


def fill_unknown_queries(
    tables: Mapping[str, torch.Tensor], dense: Mapping[str, torch.Tensor], settings: Mapping[str, Any]
) -> None:
    """Writes row 0 of the query table, if any: the queries of authors that are not in the file.

    These are zeros (no offset) with shared queries, else the default queries.

    Args:
        tables, dense, settings: as in :class:`Exchange`.
    """
    if "query" in tables:
        shared = settings["content"]["shared_queries"]
        tables["query"][0] = 0 if shared else dense["content.default_queries"].flatten()


def write_exchange(path: Path, exchange: Exchange) -> None:
    """Writes an exchange file atomically. Raises InputError if it cannot be written."""
    content = {
        "format": FORMAT,
        "tables": exchange.tables,
        "dense": exchange.dense,
        "tokens": {"users": exchange.users, "authors": exchange.authors},
        "settings": exchange.settings,
        **({"optimizer": exchange.optimizer} if exchange.optimizer else {}),
    }
    try:
        with replaced(path, "wb") as file:
            torch.save(content, file)
    except (OSError, RuntimeError) as error:  # torch's writer raises RuntimeError on a full disk
        raise InputError(f"{path}: cannot be written ({one_line(error)})") from None


def read_exchange(path: Path) -> Exchange:
    """Reads a file of `write_exchange`.

    Raises:
        InputError: a file that is missing, cut short or of another kind, or tables of a wrong shape.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError):
        content = None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{path}: not a readable exchange file (its format should be {FORMAT!r})")
    tokens = content["tokens"]
    try:
        return Exchange(
            content["tables"],
            content["dense"],
            tokens["users"],
            tokens["authors"],
            content["settings"],
            content.get("optimizer", {}),
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def check_same_model(exchange: Exchange, own: Mapping[str, Any], source: Path) -> None:
    """Raises InputError with the first setting in which the file's model differs from ``own`` (`model_settings`).

    Settings of the graph are compared where both have them: files and shards from before had none.
    """
    known = GRAPH in exchange.settings and GRAPH in own
    before, now = _flat(exchange.settings), _flat(own)
    for path in sorted(before.keys() | now.keys()):
        if path[0] == GRAPH and not known:
            continue
        in_training_only = path[-1] in IN_TRAINING_ONLY and "widths" not in path  # widths are by modality
        if not in_training_only and before.get(path) != now.get(path):
            name = ".".join(path)
            raise InputError(
                f"{source}: its model has {name}={before.get(path)!r}, this one has {name}={now.get(path)!r}"
            )


def _flat(settings: Mapping[str, Any], outer: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Values of nested mappings by their paths of keys."""
    flat: dict[tuple[str, ...], Any] = {}
    for name, value in settings.items():
        path = (*outer, name)
        flat |= _flat(value, path) if isinstance(value, Mapping) else {path: value}
    return flat


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
