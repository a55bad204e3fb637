"""Labels of the other tasks of each row, and the planted gift probability of simulated logs."""

from __future__ import annotations

import numpy as np
import polars as pl

from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.period import Period
from mmbee_plugin.logs.settings import TASKS, SampleSettings

LONG = TASKS[-1]
KINDS = TASKS[:-1]


def task_labels(log: LogFolder, rows: pl.DataFrame, period: Period, settings: SampleSettings) -> pl.DataFrame:
    """One int8 column per task: 1 if it happened in the visit, 0 if not, -1 for unknown.

    Only events before the end of the row's part count. Without one the label is -1 instead of 0 if the visit lasts
    beyond that end, or if the log has no such feedback before the end of training.

    Args:
        rows: as from `sample_rows`.
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
    kinds, seen = pl.collect_all(
        [
            feedback.filter(pl.col("time") < period.ends[0]).select(pl.col("kind").unique()),
            happened.select("row", "kind").unique(),
        ],
        engine="streaming",
    )
    goes_on = (visits["exit"] >= visits["end"]).to_numpy()
    labels = {}
    for kind in KINDS:
        done = np.zeros(len(rows), dtype=bool)
        done[seen.filter(pl.col("kind") == kind)["row"].to_numpy()] = True
        unknown = goes_on if kind in kinds["kind"] else np.ones(len(rows), dtype=bool)
        labels[kind] = np.where(done, 1, np.where(unknown, -1, 0)).astype(np.int8)
    stayed = visits.select(pl.min_horizontal("exit", "end") - pl.col("enter")).to_series().to_numpy()
    long = stayed >= settings.long_watch * 1000
    labels[LONG] = np.where(long, 1, np.where(goes_on, -1, 0)).astype(np.int8)
    return pl.DataFrame({task: labels[task] for task in TASKS})


def planted(log: LogFolder, rows: pl.DataFrame) -> np.ndarray | None:
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
