"""Converts a log folder into a dataset folder: rows, tasks, segments, features, attributes of users and authors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mmbee_plugin.data.hashing import content_hash
from mmbee_plugin.data.live import ENDED
from mmbee_plugin.data.recbole_files import MISSING_TOKENS
from mmbee_plugin.data.visits import VISIT, VISITS
from mmbee_plugin.data.writer import check_replaceable
from mmbee_plugin.errors import InputError
from mmbee_plugin.files import published
from mmbee_plugin.logs.attributes import attributes, categories
from mmbee_plugin.logs.checks import check_tables
from mmbee_plugin.logs.counts import Counts
from mmbee_plugin.logs.each import Each, in_turn
from mmbee_plugin.logs.features import write_features
from mmbee_plugin.logs.folder import PLANTED, LogFolder
from mmbee_plugin.logs.labels import PLANTED_COLUMN, known_kinds, labelled_rows
from mmbee_plugin.logs.negatives import check_impressions
from mmbee_plugin.logs.period import Period
from mmbee_plugin.logs.segments import newest_known, reachable, read_keys
from mmbee_plugin.logs.settings import TASKS, SampleSettings

RowsOf = Callable[[LogFolder, Period, SampleSettings, Counts, Collection[str]], pl.DataFrame]
"""as :func:`~mmbee_plugin.logs.labels.labelled_rows`"""


def write_samples(
    log: LogFolder,
    folder: Path,
    settings: SampleSettings,
    *,
    period: Period | None = None,
    force: bool = False,
    progress: Callable[[str], None] = lambda stage: None,
    rows_of: RowsOf = labelled_rows,
    each: Each = in_turn,
) -> list[str]:
    """Cuts a log into samples and writes the dataset folder `folder`, whose last part is the dataset's name.

    Copies the subfolder `planted` of a simulated log. Replaces a generated sample, and other data with `force`; on an
    error the destination stays unchanged.

    Args:
        period: of the samples, and the origin of their days; by default the days in `settings`, from the log's first.
        rows_of: makes the rows; another engine's has the same arguments and the same rows.
        each: runs the tasks of the checks and of the features, one for each file.

    Returns:
        lines on what was found and left out; `dataset.json` has the counts under `log`.

    Raises:
        InputError: an impossible value in the log, too few days, a part without gifts or negatives, two segments of an
            author with the same start, features of another width, a destination that may not be replaced.
    """
    check_replaceable(folder, force)
    if folder.name in ("", ".", ".."):
        raise InputError(f"{folder}: the last part of the path names the dataset")
    counts = Counts()
    progress("checking the log")
    check_tables(log, each=each)
    if period is None:
        period = Period.of(log, settings.train_days, settings.valid_days, settings.test_days)
    progress("visits, gifts and tasks")
    rows = rows_of(log, period, settings, counts, known_kinds(log, period))
    check_impressions(log, settings, counts)
    _check_labels(log, rows, period)
    users, authors = (_ids(log, rows, column) for column in ("user_id", "author_id"))
    progress("segments")
    keys = read_keys(log, authors, period, counts)
    of_author = pl.Series(authors)
    row_of = pl.DataFrame({"author_id": of_author, "row": np.arange(len(authors))})
    author_rows = rows.select("author_id").join(row_of, on="author_id", how="left", maintain_order="left")[
        "row"
    ]
    ended_by = rows["time" if settings.segments_known == ENDED else "window_end"]
    newest = newest_known(keys, author_rows.to_numpy(), rows["time"].to_numpy(), ended_by.to_numpy())
    kept = reachable(keys, newest, settings.segments, period.ends[0])
    counts.add("segments of these authors within the period", len(keys))
    counts.add("of them kept: some row sees them, or the training part does", int(kept.sum()))
    counts.add("rows without any segment", int((newest < 0).sum()))
    number = np.cumsum(kept) - 1
    segment = np.where(newest >= 0, number[newest], -1) if len(keys) else newest
    with published(folder) as beside:
        _write_rows(beside, folder.name, rows, segment, period)
        _write_attributes(beside, folder.name, log, users, authors, period.ends[0])
        if settings.visits:
            _write_visits(beside, log, users, authors, period)
        progress("features")
        places = keys.places[kept]
        varying = bool(((keys.ends - keys.starts)[kept] != settings.window * 1000).any())
        _write_segments(beside, folder.name, log, places)
        modalities = write_features(beside, log, places, each) if len(places) else {}
        if PLANTED_COLUMN in rows.columns:
            _write_truth(beside, rows, period)
        if (log.path / PLANTED).is_dir():
            shutil.copytree(log.path / PLANTED, beside / PLANTED)
        sizes = {name: rows.filter(pl.col("part") == part).height for part, name in enumerate(period.parts)}
        description = {
            "name": folder.name,
            "kind": log.info.kind,
            "source": log.info.source,
            "ordered": True,
            "splits": list(period.parts),
            **({"origin": period.start / 1000} if period.window else {}),
            "counts": {"users": len(users), "items": len(authors), "interactions": len(rows), **sizes},
            "modalities": modalities,
            **_live(len(places), varying, settings),
            "notes": [*log.info.notes, *(f"the log has no table {name}" for name in log.absent)],
            "hash": content_hash(beside),
            "get_real": None,
            "log": {
                "version": log.info.version,
                "days": period.describe(),
                "settings": asdict(settings),
                "counts": counts.values,
            },
        }
        (beside / "dataset.json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    return [f"{period.describe()}; windows of {settings.window} s", *counts.lines()]


def _live(segments: int, varying: bool, settings: SampleSettings) -> dict[str, Any]:
    """The entries `segments` and `tasks` of `dataset.json`."""
    entry: dict[str, Any] = {"count": segments, "seconds": settings.window, "per_sample": settings.segments}
    entry |= {"known": settings.segments_known} | ({"varying": True} if varying else {})
    return {"segments": entry, "tasks": list(TASKS)}


def _check_labels(log: LogFolder, rows: pl.DataFrame, period: Period) -> None:
    for part, name in enumerate(period.parts):
        gifts = rows.filter(pl.col("part") == part)["amount"] > 0
        if not len(gifts) or gifts.all() or not gifts.any():
            what = "gift" if not len(gifts) or not gifts.any() else "visit without a gift"
            raise InputError(
                f"{log.path}: {name} has no {what} in {len(gifts):,} rows; both labels are needed"
            )


def _ids(log: LogFolder, rows: pl.DataFrame, column: str) -> list[str]:
    """Sorted ids of the rows; raises InputError for one that atomic files cannot hold or RecBole reads as missing."""
    ids = rows[column].unique().sort().to_list()
    for each in ids:
        if each in MISSING_TOKENS or each.startswith('"') or any(mark in each for mark in "\t\r\n\0"):
            raise InputError(
                f"{log.path}, visits, column {column}: {each[:80]!r} cannot be an id of an atomic file"
            )
    return ids


def _write_rows(folder: Path, name: str, rows: pl.DataFrame, segment: np.ndarray, period: Period) -> None:
    table = rows.select(
        pl.col("user_id").alias("user_id:token"),
        pl.col("author_id").alias("item_id:token"),
        _seconds("time").alias("timestamp:float"),
        (pl.col("amount") > 0).cast(pl.Int8).alias("label:float"),
        pl.col("amount").alias("amount:float"),
        *(pl.col(task).alias(f"{task}:float") for task in TASKS),
        pl.Series("segment:float", segment),
        "part",
    )
    for part, split in enumerate(period.parts):
        _write(table.filter(pl.col("part") == part).drop("part"), folder / f"{name}.{split}.inter")


def _write_attributes(
    folder: Path, name: str, log: LogFolder, users: list[str], authors: list[str], train_end: int
) -> None:
    of_users = attributes(log, "users", users, train_end)
    of_authors = attributes(log, "authors", authors, train_end) | categories(log, authors, train_end)
    for suffix, key, ids, columns in (
        ("user", "user_id", users, of_users),
        ("item", "item_id", authors, of_authors),
    ):
        table = {f"{key}:token": pl.Series(ids)}
        _write(
            pl.DataFrame(table | {f"{column}:token": values for column, values in columns.items()}),
            folder / f"{name}.{suffix}",
        )


def _write_visits(folder: Path, log: LogFolder, users: list[str], authors: list[str], period: Period) -> None:
    """Writes `visits.npy`: visits of users and authors of the folder that ended within the training part."""
    start, end = period.start if period.window else -(2**62), period.ends[0]
    visits = log.scan("visits").filter((pl.col("exit") >= start) & (pl.col("exit") < end))
    ids = {"user": ("user_id", users), "author": ("author_id", authors)}
    for name, (column, tokens) in ids.items():
        rows = pl.LazyFrame({column: tokens}).with_row_index(name)
        visits = visits.join(rows, on=column)
    found = visits.select("user", "author", _seconds("exit").cast(pl.Float64).alias("end"))
    table = found.collect(engine="streaming").sort("end", "user", "author")
    array = np.empty(len(table), VISIT)
    for name in VISIT.names or ():
        array[name] = table[name].to_numpy()
    np.save(folder / VISITS, array)


def _write_segments(folder: Path, name: str, log: LogFolder, places: np.ndarray) -> None:
    """Writes `<name>.segment`: id (room and start), author, room, start and end in seconds."""
    segments = log.scan("segments").select("room_id", "author_id", "start", "end")
    found = segments.select(pl.all().gather(pl.Series(places))).collect(engine="streaming")
    table = found.select(
        pl.format("{}@{}", "room_id", "start").alias("segment_id:token"),
        pl.col("author_id").alias("author_id:token"),
        pl.col("room_id").alias("room_id:token"),
        _seconds("start").alias("start:float"),
        _seconds("end").alias("end:float"),
    )
    _write(table, folder / f"{name}.segment")


def _write_truth(folder: Path, rows: pl.DataFrame, period: Period) -> None:
    (folder / "truth").mkdir()
    for part, split in enumerate(period.parts):
        of_part = rows.filter(pl.col("part") == part)
        np.save(folder / "truth" / f"{split}.npy", of_part[PLANTED_COLUMN].to_numpy())


def _seconds(column: str) -> pl.Expr:
    """Milliseconds as seconds, exact in decimal: such as 1746403200.050."""
    return pl.col(column).cast(pl.Decimal(20, 3)) / pl.lit(1000).cast(pl.Decimal(4, 0))


def _write(table: pl.DataFrame, path: Path) -> None:
    table.write_csv(path, separator="\t", quote_style="never")
