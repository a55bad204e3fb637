"""Schema of a log folder: its Parquet tables, their columns and types.

A log folder holds `logs.json` (see `writer.LogInfo`) and each table as `<table>.parquet` or `<table>/*.parquet`. Ids
are strings, times int64 milliseconds since 1970 (UTC), amounts float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from mmbee_plugin.errors import InputError

ID, TEXT, TIME, AMOUNT = pl.String(), pl.String(), pl.Int64(), pl.Float64()


@dataclass(frozen=True)
class Table:
    """One table of the schema.

    Args:
        columns: required columns with their types.
        ids: those that may be neither null nor empty.
        times: times that may not be null.
        optional: optional columns with their types; may be null.
        required: whether a log folder must have the table.
        further: other columns: "none" refuses them, "attributes" allows any type, "modalities" lists or arrays of
            float32.
    """

    columns: Mapping[str, pl.DataType]
    ids: tuple[str, ...]
    times: tuple[str, ...] = ()
    optional: Mapping[str, pl.DataType] | None = None
    required: bool = False
    further: str = "none"


_PLACE = {"user_id": ID, "author_id": ID, "room_id": ID}
_SPAN = {"start": TIME, "end": TIME}

TABLES: dict[str, Table] = {
    # A user's stay in a room, from `enter` to `exit`.
    "visits": Table({**_PLACE, "enter": TIME, "exit": TIME}, tuple(_PLACE), ("enter", "exit"), required=True),
    "gifts": Table({**_PLACE, "time": TIME, "amount": AMOUNT}, tuple(_PLACE), ("time",), required=True),
    # `kind`: comment, like, follow, negative, …
    "feedback": Table({**_PLACE, "time": TIME, "kind": TEXT}, (*_PLACE, "kind"), ("time",)),
    # Content streamed from `start` to `end`, known from `end` on. Each further column is a modality, null if missing; F
    # frames of width D are concatenated, and `logs.json` has F under "frames".
    "segments": Table(
        {"room_id": ID, "author_id": ID, **_SPAN},
        ("room_id", "author_id"),
        ("start", "end"),
        further="modalities",
    ),
    # `end` is null if the log ended before the room.
    "rooms": Table(
        {"room_id": ID, "author_id": ID, **_SPAN},
        ("room_id", "author_id"),
        ("start",),
        optional={"category": TEXT},
        further="attributes",
    ),
    # Without `time` an id has one row, valid at all times; with it a row is valid from then on.
    "users": Table({"user_id": ID}, ("user_id",), optional={"time": TIME}, further="attributes"),
    "authors": Table({"author_id": ID}, ("author_id",), optional={"time": TIME}, further="attributes"),
    # Simulated logs: planted probability `p` of a gift by the user in a window of 30 s, counted from 0 at the room's
    # start.
    "truth": Table(
        {"room_id": ID, "window": pl.Int32(), "user_id": ID, "p": pl.Float32()}, ("room_id", "user_id")
    ),
}


def is_modality(kind: pl.DataType) -> bool:
    """Whether the type is that of a modality: a list or array of float32."""
    return isinstance(kind, (pl.List, pl.Array)) and kind.inner == pl.Float32


def modalities(schema: Mapping[str, pl.DataType]) -> tuple[str, ...]:
    """Modality columns of a checked `segments` schema, in its order."""
    return tuple(name for name in schema if name not in TABLES["segments"].columns)


def check_columns(name: str, schema: Mapping[str, pl.DataType], where: object) -> None:
    """Raises InputError for a missing column, a column of another type, or one that the table may not have.

    Args:
        name: the table.
        schema: the columns found, with their types.
        where: file or folder named in the error.
    """
    table = TABLES[name]
    for column in table.columns:
        if column not in schema:
            raise InputError(
                f"{where}: no column {column!r}; {name} needs {', '.join(table.columns)}, "
                f"found {', '.join(schema) or 'none'}"
            )
    for column, found in schema.items():
        wanted = {**table.columns, **(table.optional or {})}.get(column)
        if wanted is not None and found != wanted:
            raise InputError(f"{where}, column {column}: type {found}; {wanted} is needed{_hint(wanted)}")
        if wanted is None and table.further == "none":
            raise InputError(f"{where}: column {column!r} is none of {name}: {', '.join(table.columns)}")
        if wanted is None and table.further == "modalities" and not is_modality(found):
            raise InputError(
                f"{where}, column {column}: type {found}; a modality is a list or array of Float32"
            )


def _hint(wanted: pl.DataType) -> str:
    return ", milliseconds since 1970" if wanted == TIME else ""
