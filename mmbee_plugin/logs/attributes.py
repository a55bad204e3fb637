"""Columns of `.user` and `.item` from the log's attributes, as known at the end of training."""

from __future__ import annotations

import polars as pl

from mmbee_plugin.errors import InputError
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.schema import TABLES

CATEGORY = "category"


def attributes(log: LogFolder, table: str, ids: list[str], train_end: int) -> dict[str, pl.Series]:
    """Tokens from the columns of `users` or `authors` that hold text, whole numbers or booleans.

    Args:
        table: "users" or "authors".
        ids: the ids in row order.
        train_end: ms; in a table with `time` the newest earlier row of an id counts.

    Returns:
        one text per id for each attribute, "" for unknown.

    Raises:
        InputError: an id with two rows, in a table with `time` two of the same time.
    """
    key = TABLES[table].ids[0]
    found = log.columns(table)
    names = [name for name, kind in found.items() if name not in (key, "time") and _is_token(kind)]
    rows = pl.DataFrame({key: ids}).with_row_index("row")
    known = log.scan(table).join(rows.lazy(), on=key, how="inner")
    order = ["row"]
    if "time" in found:
        known, order = known.filter(pl.col("time") < train_end), ["row", "time"]
    frame = known.select(*order, key, *names).sort(order).collect(engine="streaming")
    twice = frame.filter(pl.struct(order).is_duplicated())
    if len(twice):
        raise InputError(
            f"{log.path}, {table}: {key} {twice[key][0]!r} has two rows; one is needed at any time"
        )
    newest = frame.unique("row", keep="last")
    return _tokens(rows.join(newest, on="row", how="left").sort("row"), names)


def categories(log: LogFolder, authors: list[str], train_end: int) -> dict[str, pl.Series]:
    """Category of each author's newest room before `train_end`, or of the first room if none is earlier.

    Samples of an author are no older than the first room, so no category is from after them. {} without categories.
    """
    if CATEGORY not in log.columns("rooms"):
        return {}
    rows = pl.DataFrame({"author_id": authors}).with_row_index("row")
    rooms = log.scan("rooms").filter(pl.col(CATEGORY).is_not_null()).join(rows.lazy(), on="author_id")
    late = pl.col("start") >= train_end
    # Early rooms come first, newest first, then late rooms, oldest first.
    age = pl.when(late).then(pl.col("start")).otherwise(-pl.col("start"))
    ranked = rooms.select("row", late.alias("late"), age.alias("age"), "room_id", CATEGORY)
    chosen = (
        ranked.collect(engine="streaming").sort("row", "late", "age", "room_id").unique("row", keep="first")
    )
    return _tokens(rows.join(chosen.select("row", CATEGORY), on="row", how="left").sort("row"), [CATEGORY])


def _is_token(kind: pl.DataType) -> bool:
    return kind.is_integer() or isinstance(kind, (pl.String, pl.Boolean, pl.Categorical, pl.Enum))


def _tokens(frame: pl.DataFrame, names: list[str]) -> dict[str, pl.Series]:
    """Columns as text, with blanks for tabs, line ends and quotation marks, which are special in atomic files."""
    texts = frame.select(pl.col(names).cast(pl.String).str.replace_all(r'[\t\r\n"]', " ").fill_null(""))
    return {name: texts[name] for name in names}
