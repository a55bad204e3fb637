"""Times a log's way to samples against DuckDB doing the same joins, in one run, and compares the rows.

    POLARS_MAX_THREADS=2 python benchmarks/samples.py --visits 1000000
    POLARS_MAX_THREADS=2 python benchmarks/samples.py                     # 10,000,000 visits, some 10 GB of disk

A generated log of eight days: 1.48 % of visits with a gift, as in KuaiLive, comments and likes, rooms with segments of
30 s. Both sides are processes of their own: `mmbee data samples` as it is, with its checks of all tables, ids and the
content hash of what it writes; and DuckDB, which assigns gifts to visits, draws no negatives away, cuts windows, labels
tasks, finds the newest segment of each row and writes the rows. Printed are processor seconds of all threads, peak
memory, and whether the rows are the same.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.period import Period
from mmbee_plugin.logs.samples import write_samples
from mmbee_plugin.logs.settings import SampleSettings
from mmbee_plugin.logs.writer import LogInfo, writing

START, DAY, WINDOW = 1_746_403_200_000, 86_400_000, 30_000
DAYS, CHUNK = 8, 1_000_000
SETTINGS = SampleSettings()
COLUMNS = ("user_id", "item_id", "timestamp", "label", "amount", "comment", "like", "long_watch")

ROWS = """
create macro part_of(t) as
  case when t < {start} or t >= {test} then null when t < {train} then 0 when t < {valid} then 1 else 2 end;
create view visits as from '{log}/visits/*.parquet';
create table g as select row_number() over () as gift, user_id, room_id, time, amount, part_of(time) as part
  from '{log}/gifts/*.parquet' where part_of(time) is not null;
create table found as
  select v.*, g.gift, g.time, g.amount, g.part, greatest(v.enter - g.time, g.time - v.exit, 0) as apart
  from visits v join g using (user_id, room_id)
  where greatest(v.enter - g.time, g.time - v.exit, 0) <= {window};
create table given as
  select * from found qualify row_number() over (partition by gift order by apart, enter desc, exit desc) = 1;
delete from given where apart > 0;
create table settled as
  with others as (select f.*, coalesce(part_of(f.exit) < f.part, false) as earlier, part_of(f.exit) as exit_part
                  from found f anti join given on f.gift = given.gift and f.enter = given.enter)
  select user_id, room_id, enter from others where not earlier and apart = 0
  union select user_id, room_id, enter from others anti join given using (gift)
    where not earlier and exit_part = part
  union select user_id, room_id, enter from given where not coalesce(part_of(exit) < part, false);
create table rows as
  with origins as (
    select room_id, coalesce(r.start, v.enter) as origin
    from (select room_id, min(enter) as enter from visits group by room_id) v
    left join (select room_id, min(start) as start from '{log}/rooms/*.parquet' group by room_id) r using (room_id)),
  quiet as (
    select any_value(author_id) as author_id, user_id, room_id, enter, min(exit) as exit
    from visits anti join settled using (user_id, room_id, enter)
    where part_of(exit) is not null group by user_id, room_id, enter),
  both_kinds as (
    select user_id, author_id, room_id, enter, exit, time, amount, part from given
    union all
    select user_id, author_id, room_id, enter, exit, exit, 0.0, part_of(exit) from quiet)
  select user_id, room_id, enter, part, (time - origin) // {window} as slot, any_value(author_id) as author_id,
    any_value(exit) as exit, min(time) as time, sum(amount) as amount,
    any_value(origin) + (slot + 1) * {window} as window_end
  from both_kinds join origins using (room_id) group by user_id, room_id, enter, part, slot;
create table done as
  select distinct r.user_id, r.room_id, r.enter, r.part, f.kind
  from '{log}/feedback/*.parquet' f join rows r using (user_id, room_id)
  where f.time between r.enter and r.exit and f.kind in ('comment', 'like')
    and f.time < case r.part when 0 then {train} when 1 then {valid} else {test} end;
create table labelled as
  select r.*, case r.part when 0 then {train} when 1 then {valid} else {test} end as until,
    c.kind is not null as commented, l.kind is not null as liked
  from rows r
  left join (from done where kind = 'comment') c using (user_id, room_id, enter, part)
  left join (from done where kind = 'like') l using (user_id, room_id, enter, part);
copy (
  select l.user_id, l.author_id as item_id, l.time / 1000 as timestamp, (l.amount > 0)::int as label, l.amount,
    case when commented then 1 when l.exit >= until then -1 else 0 end as comment,
    case when liked then 1 when l.exit >= until then -1 else 0 end as "like",
    case when least(l.exit, until) - l.enter >= 60000 then 1 when l.exit >= until then -1 else 0 end as long_watch,
    case when s."end" <= l.window_end then s.start end as segment
  from labelled l asof left join '{log}/segments/*.parquet' s on l.author_id = s.author_id and l.time >= s.start
  order by l.part, l.time, l.user_id, l.room_id, l.enter
) to '{out}' (delimiter '\\t', header);
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--visits", type=int, default=10_000_000)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary folder by default")
    parser.add_argument("--side", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side is not None:
        side, log, out = options.side
        {"mmbee": ours, "duckdb": theirs}[side](Path(log), Path(out))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as place:
        folder = Path(place)
        generate(folder / "log", options.visits)
        size = sum(file.stat().st_size for file in (folder / "log").rglob("*.parquet"))
        print(f"{options.visits:,} visits, {size / 1e6:,.0f} MB of Parquet; {pl.thread_pool_size()} threads")
        outs = {"mmbee": folder / "samples", "duckdb": folder / "rows.tsv"}
        costs = {side: measured(side, folder / "log", out) for side, out in outs.items()}
        for side, (cpu, wall, peak) in costs.items():
            print(f"{side:<8}{cpu:>9.1f} CPU s{wall:>9.1f} s{peak:>9,.0f} MB")
        print(f"DuckDB's CPU seconds over ours: {costs['duckdb'][0] / costs['mmbee'][0]:.2f}")
        print(f"rows: {compared(folder)}")


def measured(side: str, log: Path, out: Path) -> tuple[float, float, float]:
    """CPU seconds, wall seconds and peak memory in MB of a process that runs a side."""
    begin = time.perf_counter()
    process = subprocess.Popen([sys.executable, __file__, "--side", side, str(log), str(out)])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{side} failed")
    return usage.ru_utime + usage.ru_stime, time.perf_counter() - begin, usage.ru_maxrss * 1024 / 1e6


def ours(log: Path, out: Path) -> None:
    write_samples(LogFolder(log), out, SETTINGS)


def theirs(log: Path, out: Path) -> None:
    import duckdb

    opened = LogFolder(log)
    period = Period.of(opened, SETTINGS.train_days, SETTINGS.valid_days, SETTINGS.test_days)
    train, valid, test = period.ends
    database = duckdb.connect(str(out.with_suffix(".duckdb")), config={"threads": pl.thread_pool_size()})
    ends = {"start": period.start, "train": train, "valid": valid, "test": test}
    database.execute(ROWS.format(log=log, out=out, window=WINDOW, **ends))


def compared(folder: Path) -> str:
    """Whether the rows of both sides are the same but for the number of the segment."""
    texts = dict.fromkeys(("user_id", "item_id"), pl.String)
    theirs = pl.read_csv(folder / "rows.tsv", separator="\t", schema_overrides={**texts, "segment": pl.Int64})
    parts = [
        pl.read_csv(
            folder / "samples" / f"samples.{split}.inter",
            separator="\t",
            schema_overrides={"user_id:token": pl.String, "item_id:token": pl.String},
        )
        for split in ("train", "valid", "test")
    ]
    ours = pl.concat(parts).rename(lambda name: name.partition(":")[0])
    if len(ours) != len(theirs):
        return f"{len(ours):,} of ours, {len(theirs):,} of DuckDB"
    same = {name: bool((ours[name].cast(theirs[name].dtype) == theirs[name]).all()) for name in COLUMNS}
    same["amount"] = bool(np.allclose(ours["amount"], theirs["amount"], rtol=1e-12))
    same["segment"] = bool(((ours["segment"] >= 0) == theirs["segment"].is_not_null()).all())
    other = [name for name, equal in same.items() if not equal]
    return f"{len(ours):,}, {'all columns equal' if not other else 'different in ' + ', '.join(other)}"


def generate(folder: Path, visits: int) -> None:
    """Writes the log, a part for every million visits."""
    random = np.random.default_rng(0)
    users, authors, rooms = max(visits // 50, 10), max(visits // 500, 10), max(visits // 100, 10)
    author = random.integers(authors, size=rooms)
    # An author's rooms follow one another, as segments of one author may not start together.
    order = np.argsort(author, kind="stable")
    turn = np.empty(rooms, np.int64)
    turn[order] = np.arange(rooms) - np.searchsorted(author[order], author[order])
    counts = np.bincount(author, minlength=authors)
    most = int(counts.max())
    turn = turn * most // counts[author]  # spread over all days
    slot = (DAYS * DAY - 7_200_000) // most
    opened = START + turn * slot + random.integers(1_000, size=rooms)
    length = np.minimum(slot - 2_000, random.integers(600_000, 7_200_000, size=rooms)) // WINDOW * WINDOW
    popular = random.permutation(rooms)
    names = pl.DataFrame({"author_id": author, "room_id": np.arange(rooms)}).select(pl.all().cast(pl.String))
    with writing(folder, LogInfo("generated", "sample", "benchmarks/samples.py")) as log:
        log.add("rooms", names.with_columns(start=pl.Series(opened), end=pl.Series(opened + length)))
        pieces = length // WINDOW
        room = np.repeat(np.arange(rooms), pieces)
        number = np.arange(len(room)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        begins = pl.Series(opened[room] + number * WINDOW)
        log.add("segments", names[room].with_columns(start=begins, end=begins + WINDOW))
        for begin in range(0, visits, CHUNK):
            count = min(CHUNK, visits - begin)
            room = popular[
                (rooms * random.random(count) ** 2).astype(np.int64)
            ]  # a few rooms have most visits
            enter = opened[room] + (random.random(count) * length[room]).astype(np.int64)
            stay = (np.exp(1.59 + 4.17 * random.normal(size=count)).clip(0.1, 5_400) * 1000).astype(np.int64)
            user = pl.Series(random.integers(users, size=count)).cast(pl.String)
            place = pl.DataFrame(
                {"user_id": user, "author_id": names["author_id"][room], "room_id": names["room_id"][room]}
            )
            log.add("visits", place.with_columns(enter=pl.Series(enter), exit=pl.Series(enter + stay)))
            given = random.random(count) < 0.0148
            moment = pl.Series(enter + (random.random(count) * stay).astype(np.int64))
            amount = pl.Series(random.integers(1, 1000, size=count) / 10)
            log.add("gifts", place.with_columns(time=moment, amount=amount).filter(pl.Series(given)))
            for kind, rate in (("comment", 0.040), ("like", 0.036)):
                said = pl.Series(random.random(count) < rate)
                log.add("feedback", place.with_columns(time=moment, kind=pl.lit(kind)).filter(said))


if __name__ == "__main__":
    main()
