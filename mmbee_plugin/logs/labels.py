"""Labels of the other tasks of each row, and the planted gift probability of simulated logs."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import polars as pl

from mmbee_plugin.logs.counts import Counts
from mmbee_plugin.logs.folder import Tables
from mmbee_plugin.logs.period import Period
from mmbee_plugin.logs.rows import sample_rows
from mmbee_plugin.logs.settings import TASKS, SampleSettings

LONG = TASKS[-1]
KINDS = TASKS[:-1]
PLANTED_COLUMN = "p"


def labelled_rows(
    log: Tables, period: Period, settings: SampleSettings, counts: Counts, kinds: Collection[str]
) -> pl.DataFrame:
    """The columns of `sample_rows`, one of `task_labels` for each task and, where the log has it, `planted` as `p`.

    A row depends on nothing outside its room but `kinds`, those of `known_kinds`: rows of a log cut by room, ordered as
    those of `sample_rows`, are the rows of the log.
    """
    rows = sample_rows(log, period, settings, counts)
    columns = task_labels(log, rows, period, settings, kinds).get_columns()
    probabilities = planted(log, rows)
    if probabilities is not None:
        columns.append(pl.Series(PLANTED_COLUMN, probabilities))
    return rows.with_columns(columns)


def known_kinds(log: Tables, period: Period) -> list[str]:
    """Kinds of feedback that the log has before the end of training, of those that are tasks."""
    early = log.scan("feedback").filter((pl.col("time") < period.ends[0]) & pl.col("kind").is_in(KINDS))
    return early.select(pl.col("kind").unique()).collect(engine="streaming")["kind"].to_list()


def task_labels(
    log: Tables, rows: pl.DataFrame, period: Period, settings: SampleSettings, kinds: Collection[str]
) -> pl.DataFrame:
    """One int8 column per task: 1 if it happened in the visit, 0 if not, -1 for unknown.

    Only events before the end of the row's part count. Without one the label is -1 instead of 0 if the visit lasts
    beyond that end, or if the log has no such feedback before the end of training.

    Args:
        rows: as from `sample_rows`.
        kinds: as from `known_kinds`.
    """
    end = pl.col("part").replace_strict([0, 1, 2], list(period.ends), return_dtype=pl.Int64)
    visits = rows.select("user_id", "room_id", "enter", "exit", end.alias("end")).with_row_index("row")
    feedback = log.scan("feedback").filter(pl.col("kind").is_in(KINDS))
    inside = (
        (pl.col("time") >= pl.col("enter"))
        & (pl.col("time") <= pl.col("exit"))
        & (pl.col("time") < pl.col("end"))
    )
    happened = feedback.join(visits.lazy(), on=("user_id", "room_id"), how="inner").filter(inside)
    seen = happened.select("row", "kind").unique().collect(engine="streaming")
    goes_on = (visits["exit"] >= visits["end"]).to_numpy()
    labels = {}
    for kind in KINDS:
        done = np.zeros(len(rows), dtype=bool)
        done[seen.filter(pl.col("kind") == kind)["row"].to_numpy()] = True
        unknown = goes_on if kind in kinds else np.ones(len(rows), dtype=bool)
        labels[kind] = np.where(done, 1, np.where(unknown, -1, 0)).astype(np.int8)
    stayed = visits.select(pl.min_horizontal("exit", "end") - pl.col("enter")).to_series().to_numpy()
    long = stayed >= settings.long_watch * 1000
    labels[LONG] = np.where(long, 1, np.where(goes_on, -1, 0)).astype(np.int8)
    return pl.DataFrame({task: labels[task] for task in TASKS})


def planted(log: Tables, rows: pl.DataFrame) -> np.ndarray | None:
    """(n,) float32, planted probability of a gift in each row's window, NaN for unknown; None for logs without it."""
    if "truth" not in log.tables:
        return None
    key = ("user_id", "room_id", "window")
    wanted = rows.select(key).with_row_index("row")
    truth = log.scan("truth").join(wanted.lazy(), on=key, how="inner").select("row", "p")
    found = truth.collect(engine="streaming")
    values = np.full(len(rows), np.nan, dtype=np.float32)
    values[found["row"].to_numpy()] = found["p"].to_numpy()
    return values
