"""VTuber 1B: public chats and superchats of YouTube live streams, by month (sigvt, Kaggle and Hugging Face)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from mmbee_plugin.errors import InputError
from mmbee_plugin.logs.counts import Counts
from mmbee_plugin.logs.formats.source import SourceFolder, SourceTable, Spellings, missing, number, sound
from mmbee_plugin.logs.writer import LogWriter

GAP = 600_000
"""ms without a message of the viewer that end a visit"""
TIERS = 7
INFO: dict[str, Any] = {
    "name": "VTuber 1B",
    "kind": "real",
    "source": "VTuber 1B, superchats and chats of YouTube live streams",
    "utc_offset": 9,
    "notes": [
        "a visit is derived: a viewer's messages in a stream, chats and superchats, with at most "
        f"{GAP // 60_000} minutes between two, from the first to the last; who writes nothing is not there",
        "a visit across the end of a month is two, as the files are by month",
        "the text of messages is not read, so there is no content",
    ],
}
FILES = (("superchats",), ("chats",), ("channels",), ("rates",))
PLACE: Spellings = {
    "user_id": ("channelId",),
    "author_id": ("originChannelId",),
    "room_id": ("originVideoId",),
}
TIME: Spellings = {"time": ("timestamp",)}
MESSAGE = (*PLACE, "time")
ATTRIBUTES = ("affiliation", "group")
IN_TIERS = f"amounts are YouTube's tiers of superchats (significance), 1 to {TIERS}, no money"


def write(source: SourceFolder, log: LogWriter, counts: Counts, progress: Callable[[str], None]) -> None:
    """Writes the tables of the log, month by month.

    A superchat is a gift. Its amount is its tier, or, with a table `rates` of `currency`, `rate` and `date` beside the
    files, the amount times the currency's rate. A chat is a visit's sign and feedback of the kind "comment".

    Raises InputError for a missing file or column, rates that are no positive numbers of one date, or as `sound`.
    """
    superchats, chats = source.table("superchats").needed(), source.table("chats").needed()
    rates = _read_rates(source.table("rates"), counts)
    of_chats, of_superchats = _by_month(chats), _by_month(superchats)
    for month in sorted(of_chats | of_superchats):
        progress(f"superchats and chats {month}".strip())
        messages = []
        if parts := [_gifts(superchats, file, rates, counts) for file in of_superchats.get(month, [])]:
            gifts = pl.concat(parts)
            once = gifts.unique("id", keep="first", maintain_order=True).drop("id")
            counts.add("superchats there twice, by id; the first counts", len(gifts) - len(once))
            log.add("gifts", once)
            messages.append(once.select(MESSAGE))
        for file in of_chats.get(month, []):
            messages.append(_chats(chats, file, counts))
            log.add("feedback", messages[-1].with_columns(pl.lit("comment").alias("kind")))
        visits = visits_of(pl.concat(messages).lazy())
        counts.add("visits derived from messages", len(visits))
        log.add("visits", visits)
    progress("channels")
    _write_channels(log, source.table("channels"), counts)


def visits_of(messages: pl.LazyFrame, gap: int = GAP) -> pl.DataFrame:
    """Visits from messages: user_id, author_id, room_id, enter and exit (ms), the first and the last message.

    Args:
        messages: columns of :data:`MESSAGE`, in any order.
        gap: most ms between two messages of one visit.
    """
    ordered = messages.sort("user_id", "room_id", "time")
    another = pl.any_horizontal(pl.col(name) != pl.col(name).shift(1) for name in ("user_id", "room_id"))
    begins = (another | (pl.col("time").diff() > gap)).fill_null(True)
    return (
        ordered.group_by(begins.cum_sum().alias("visit"), maintain_order=True)
        .agg(
            *(pl.col(name).first() for name in PLACE),
            enter=pl.col("time").first(),
            exit=pl.col("time").last(),
        )
        .drop("visit")
        .collect()
    )


def _gifts(files: SourceTable, file: Path, rates: pl.DataFrame | None, counts: Counts) -> pl.DataFrame:
    """Place, time, amount and id of a file's superchats."""
    money = {"amount": ("amount",), "currency": ("currency",)}
    others: Spellings = money if rates is not None else {"amount": ("significance",)}
    frame = files.scan(file, ids={**PLACE, "id": ("id",)}, times=TIME, others=others)
    frame = frame.with_columns(number("amount"))
    faults = missing(*MESSAGE, "id")
    if rates is None:
        faults[f"a significance other than 1 to {TIERS}"] = ~(
            pl.col("amount").is_between(1, TIERS) & (pl.col("amount") % 1 == 0)
        )
    else:
        frame = frame.with_columns(pl.col("currency").cast(pl.String).str.strip_chars())
        frame = frame.join(rates.lazy(), on="currency", how="left", maintain_order="left")
        faults["a currency without a rate"] = pl.col("rate").is_null()
        faults["an amount of 0 or less"] = ~(pl.col("amount") > 0)
        frame = frame.with_columns(pl.col("amount") * pl.col("rate"))
    faults |= missing("amount")
    rows = sound(frame, faults, "superchats", counts, file=file)
    return rows.select(*MESSAGE, "amount", "id").collect(engine="streaming")


def _chats(files: SourceTable, file: Path, counts: Counts) -> pl.DataFrame:
    """Place and time of a file's chats."""
    frame = files.scan(file, ids=PLACE, times=TIME)
    rows = sound(frame, missing(*MESSAGE), "chats", counts, file=file)
    return rows.select(MESSAGE).collect(engine="streaming")


def _read_rates(files: SourceTable, counts: Counts) -> pl.DataFrame | None:
    """currency and rate, or None without the table; says which amounts a log has."""
    if not files:
        counts.say(IN_TIERS)
        return None
    file = files.files[0]
    frame = files.scan(
        file, ids={"currency": ("currency",), "date": ("date",)}, times={}, others={"rate": ("rate",)}
    )
    rates = frame.with_columns(number("rate")).collect()
    days = rates["date"].unique().to_list()
    if len(days) != 1 or days[0] is None:
        raise InputError(f"{file}: {len(days)} dates; one date has to hold for all rates")
    if not (rates["rate"].is_finite() & (rates["rate"] > 0)).fill_null(False).all():
        raise InputError(f"{file}: a rate that is no number above 0")
    if rates["currency"].is_duplicated().any() or rates["currency"].null_count():
        raise InputError(f"{file}: a currency that is missing or there twice")
    counts.say(f"amounts are in the unit of {file.name}, {len(rates)} currencies at the rates of {days[0]}")
    return rates.select("currency", "rate")


def _by_month(files: SourceTable) -> dict[str, list[Path]]:
    """Month of the file's name, "2021-03" or "" for none -> files."""
    found: dict[str, list[Path]] = {}
    for file in files.files:
        month = re.search(r"\d{4}-\d{2}", file.name)
        found.setdefault(month[0] if month else "", []).append(file)
    return found


def _write_channels(log: LogWriter, files: SourceTable, counts: Counts) -> None:
    """Writes `authors`, one row a channel, without counters of subscribers and videos, which have no date."""
    for file in files.files:
        frame = files.scan(
            file,
            ids={"author_id": ("channelId",)},
            times={},
            optional={name: (name,) for name in ATTRIBUTES},
        )
        rows = sound(frame, missing("author_id"), "channels", counts, file=file).collect()
        once = rows.unique("author_id", keep="first", maintain_order=True)
        counts.add("channels there twice; the first row counts", len(rows) - len(once))
        log.add("authors", once.with_columns(pl.exclude("author_id").cast(pl.String)))
