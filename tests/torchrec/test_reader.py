"""Global batches: every row once an epoch, in an order that (seed, epoch) gives; bad files are named."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.torchrec.batches.reader import EvalReader, TrainReader
from mmbee_plugin.torchrec.settings import DataSettings
from mmbee_plugin.torchrec.shards.store import ShardStore


def reader(store, batch_size=64, seed=0, window=2, **options):
    return TrainReader(
        store, DataSettings(shards=str(store.path), window=window), batch_size, seed, **options
    )


def rows_of(batches):
    return [
        (user, author, position, batch.fold)
        for batch in batches
        for user, author, position in zip(batch.users, batch.authors, batch.positions, strict=True)
    ]


def rewrite(shards, split, **columns):
    """Puts other columns into a split's file, its size in the description too; None takes a column out."""
    file = shards / f"{split}.parquet"
    table = pq.read_table(file)
    for name, values in columns.items():
        place = table.column_names.index(name) if name in table.column_names else table.num_columns
        if place < table.num_columns:
            table = table.remove_column(place)
        if values is not None:
            table = table.add_column(place, name, pa.array(values))
    pq.write_table(table, file, row_group_size=200)
    description = json.loads((shards / "shards.json").read_text())
    description["files"][file.name] = file.stat().st_size
    description["labelled"] |= "label" in columns
    (shards / "shards.json").write_text(json.dumps(description))
    return ShardStore(shards)


@pytest.fixture
def shards(sample_shards, tmp_path):
    """A copy of the sample's shards, to be damaged."""
    return shutil.copytree(sample_shards, tmp_path / "shards")


@pytest.mark.parametrize("window", [1, 2, 100])
def test_an_epoch_is_every_row_once_in_batches_of_one_fold(sample_shards, window):
    store = ShardStore(sample_shards)
    read = reader(store, window=window)
    batches = list(read.batches(epoch=3))
    table = pq.read_table(sample_shards / "train.parquet").to_pydict()
    assert sorted(rows_of(batches)) == sorted(zip(*table.values(), strict=True))
    assert len(batches) == read.steps(3)
    assert [batch.index for batch in batches] == list(range(len(batches)))
    for fold in range(store.folds):
        sizes = sorted(len(batch.users) for batch in batches if batch.fold == fold)
        assert sizes[1:] == [64] * (len(sizes) - 1) and sum(sizes) == store.description.rows[fold]
    assert [batch.fold for batch in batches] != sorted(batch.fold for batch in batches)


def test_the_order_is_a_function_of_seed_and_epoch(sample_shards):
    store = ShardStore(sample_shards)
    once = rows_of(reader(store).batches(1))
    assert once == rows_of(reader(store).batches(1))
    assert once != rows_of(reader(store).batches(2))
    assert once != rows_of(reader(store, seed=1).batches(1))


@pytest.mark.parametrize("start", [0, 1, 13, 29, 30])
def test_it_goes_on_at_any_batch(sample_shards, start):
    store = ShardStore(sample_shards)
    rest = list(reader(store).batches(1, start))
    assert len(rest) == 30 - start and all(batch.index >= start for batch in rest)
    assert rows_of(rest) == rows_of(list(reader(store).batches(1))[start:])


def test_rows_of_label_0_are_left_out_where_negatives_are_drawn(shards):
    labels = np.arange(1800) % 3 > 0
    store = rewrite(shards, "train", label=labels.astype(np.int8))
    folds = pq.read_table(shards / "train.parquet")["fold"].to_numpy()[labels]
    description = json.loads((shards / "shards.json").read_text())
    description["positives"] = np.bincount(folds).tolist()
    (shards / "shards.json").write_text(json.dumps(description))
    store = ShardStore(shards)
    assert sum(len(batch.users) for batch in reader(store).batches(0)) == 1800
    drawn = list(reader(store, positives_only=True).batches(0))
    assert len(drawn) == reader(store, positives_only=True).steps(0) < reader(store).steps(0)
    assert sum(len(batch.users) for batch in drawn) == labels.sum()
    assert all(batch.labels.all() for batch in drawn)


def changed(name, row, value):
    def columns(table):
        values = table[name].to_pylist()
        values[row] = value
        return {name: values if value is None else np.array(values, dtype=type(value))}

    return columns


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (changed("user", 407, 600), "row group 2, row 7: user 600 is outside 0..599"),
        (changed("author", 1602, -1), "row group 8, row 2: author -1 is outside 0..1695"),
        (changed("fold", 0, 3), "row group 0, row 0: fold 3 is outside 0..2"),
        (changed("position", 3, 99), r"row group 0, row 3: position 99 is outside 0..\d+"),
        (changed("author", 5, None), "row group 0: column author has 1 empty cells"),
        (
            lambda table: {"position": None},
            "no column 'position' of whole numbers; found: user int32, author",
        ),
        (
            lambda table: {"fold": np.zeros(1800, dtype=np.int16)},
            "batches, where its rows were counted to 30",
        ),
    ],
)
def test_bad_rows_are_named(shards, columns, message):
    store = rewrite(shards, "train", **columns(pq.read_table(shards / "train.parquet")))
    with pytest.raises(InputError, match=rf"train\.parquet.*{message}"):
        list(reader(store).batches(0))


def test_cut_files_are_named(shards):
    store, file = ShardStore(shards), shards / "train.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[:4] + bytes(3000) + whole[3004:])  # the footer is sound, the first pages are not
    with pytest.raises(InputError, match=r"train\.parquet, row group 0: cannot be read"):
        list(reader(store, window=100).batches(0))
    file.write_bytes(whole[:-100])
    with pytest.raises(InputError, match=r"train\.parquet: cannot be read as Parquet"):
        reader(store)


@pytest.mark.parametrize("batch_size", [1, 7, 300, 1000])
def test_ranked_users_across_row_groups(shards, batch_size):
    random = np.random.default_rng(0)
    users = np.sort(random.integers(0, 40, 600)).astype(np.int32)  # a user spans row groups of 200
    authors = random.integers(0, 400, 600).astype(np.int32)  # some pairs repeat, some are training pairs
    store = rewrite(shards, "valid", user=users, author=authors)
    positives, known = {}, {}
    for user, author in zip(users.tolist(), authors.tolist(), strict=True):
        positives.setdefault(user, set()).add(author)
    for place, author in zip(*store.known(np.arange(40)), strict=True):
        known.setdefault(int(place), set()).add(int(author))
    ranked = list(EvalReader(store, "valid").ranked(batch_size))
    assert [user for batch in ranked for user in batch.users] == sorted(positives)
    assert all(len(batch.users) == batch_size for batch in ranked[:-1])
    for batch in ranked:
        for place, user in enumerate(batch.users.tolist()):
            own = batch.positives[batch.positive_user == place].tolist()
            assert own == sorted(positives[user])
            masked = batch.masked[batch.masked_user == place].tolist()
            assert masked == sorted(known[user] - positives[user])
    assert any(known[user] & positives[user] for user in positives)


@pytest.mark.parametrize("batch_size", [1, 1000])
def test_a_request_is_at_the_users_earliest_positive_of_the_split(live_shards, batch_size):
    rows = pq.read_table(live_shards / "test.parquet").to_pylist()
    times = {}
    for row in rows:
        if row["label"]:
            times[row["user"]] = min(row["time"], times.get(row["user"], row["time"]))
    assert len(times) < sum(row["label"] for row in rows)
    ranked = list(EvalReader(ShardStore(live_shards), "test").ranked(batch_size))
    found = {user: time for part in ranked for user, time in zip(part.users, part.times, strict=True)}
    assert found == times


@pytest.mark.parametrize("time", [float("nan"), float("inf"), -1.0])
def test_a_time_that_is_none_is_named(live_shards, tmp_path, time):
    shards = shutil.copytree(live_shards, tmp_path / "shards")
    columns = changed("time", 3, time)(pq.read_table(shards / "train.parquet"))
    store = rewrite(shards, "train", **columns)
    with pytest.raises(InputError, match=f"row group 0, row 3: time {time} is no finite number from 0"):
        list(reader(store).batches(0))
    store = rewrite(shards, "train", time=np.zeros(600, dtype=np.int64))
    with pytest.raises(InputError, match="no column 'time' of numbers; found"):
        reader(store)


def test_labelled_rows_are_all_there(shards):
    labels = (np.arange(600) % 2).astype(np.int8)
    store = rewrite(shards, "test", label=labels)
    parts = list(EvalReader(store, "test").labelled(90))
    table = pq.read_table(shards / "test.parquet").to_pydict()
    for name, column in (("users", "user"), ("authors", "author"), ("labels", "label")):
        assert np.concatenate([getattr(part, name) for part in parts]).tolist() == table[column]
    with pytest.raises(InputError, match=r"test\.parquet, row group 0: rows are not by ascending user"):
        store = rewrite(shards, "test", user=np.array(table["user"][::-1]))
        list(EvalReader(store, "test").ranked(10))


MEMORY = r"""
import re, sys
from mmbee_plugin.torchrec.batches.reader import TrainReader
from mmbee_plugin.torchrec.settings import DataSettings
from mmbee_plugin.torchrec.shards.store import ShardStore

peaks = []
for folder in sys.argv[1:]:
    reader = TrainReader(ShardStore(folder), DataSettings(shards=folder, window=2), 512, seed=0)
    rows = sum(len(batch.users) for batch in reader.batches(0))
    peaks.append(int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]))
print(rows, peaks[1] - peaks[0])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_flat_over_a_file_ten_times_the_size(sample_shards, tmp_path):
    random = np.random.default_rng(0)
    for name, count in (("small", 100_000), ("large", 1_000_000)):
        shards = shutil.copytree(sample_shards, tmp_path / name)
        columns = {"user": random.integers(0, 600, count, dtype=np.int32)}
        columns["author"] = random.integers(0, 400, count, dtype=np.int32)
        columns["position"] = np.zeros(count, dtype=np.int32)
        columns["fold"] = random.integers(0, 3, count, dtype=np.int16)
        file = shards / "train.parquet"
        pq.write_table(pa.table(columns), file, row_group_size=16_384)
        description = json.loads((shards / "shards.json").read_text())
        description["files"]["train.parquet"] = file.stat().st_size
        description["rows"] = np.bincount(columns["fold"]).tolist()
        (shards / "shards.json").write_text(json.dumps(description))
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "small"), str(tmp_path / "large")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rows, grown = map(int, done.stdout.split())
    assert rows == 1_000_000
    assert grown < 5_000, f"{grown} kB more than for a tenth of the rows, which take {14 * 900} kB themselves"
