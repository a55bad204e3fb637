"""`mmbee table kuailive`: the tasks of a log, on files made here with KuaiLive's columns and statistics."""

from __future__ import annotations

import csv
import json
import os

import numpy as np
import polars as pl
import pytest

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.formats import convert_log
from mmbee_plugin.logs.samples import write_samples
from mmbee_plugin.logs.settings import SampleSettings
from mmbee_plugin.logs.tasks import PRICE, WATCH, amounts, write_clicks, write_clickthrough
from mmbee_plugin.tables.kuailive import command
from mmbee_plugin.tables.kuailive.amounts import measure
from mmbee_plugin.tables.ranking.rows import table_rows
from mmbee_plugin.tables.ranking.run import ranking_jobs
from mmbee_plugin.tables.run import labelled_cell

START, DAY, DAYS = 1_746_374_400_000, 86_400_000, 8  # 2025-05-05 00:00 in China
USERS, AUTHORS, ROOMS, VISITS, SHOWN = 250, 120, 900, 16_000, 9_000
SMALL = {
    "epochs": 1,
    "embedding_size": 8,
    "mlp_hidden_size": [8, 4],
    "MAX_ITEM_LIST_LENGTH": 5,
    "show_progress": False,
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Files of eight days: a gift in 1.48 % of clicks, prices and lengths of visits as published."""
    folder, rng = tmp_path_factory.mktemp("kuailive"), np.random.default_rng(0)
    author = rng.integers(AUTHORS, size=ROOMS)
    opened = START + (np.arange(ROOMS) % DAYS) * DAY + rng.integers(0, DAY - 7_200_000, ROOMS)
    closed = opened + rng.integers(600_000, 7_200_000, ROOMS)

    def write(name, **columns):
        pl.DataFrame(columns).write_csv(folder / f"{name}.csv")

    day = pl.Series(opened + 8 * 3_600_000).cast(pl.Datetime("ms")).dt.strftime("%Y%m%d")
    spans = {"live_type": 1, "start_timestamp": opened, "end_timestamp": closed}
    titles = {"live_content_category": "chat", "live_name_id": np.arange(ROOMS)}
    write("room", p_date=day, live_id=np.arange(ROOMS), streamer_id=author, **spans, **titles)
    np.save(folder / "title_embeddings.npy", rng.normal(size=(ROOMS, 128)).astype(np.float32))
    write("user", user_id=np.arange(USERS), age="18-23", gender="M", country="China", fans_num="0-10")
    write("streamer", streamer_id=np.arange(AUTHORS), gender="F", age="24-30", live_operation_tag="Talk")

    def place(count):
        room, user = rng.integers(ROOMS, size=count), rng.integers(USERS, size=count)
        at = opened[room] + (rng.random(count) * (closed - opened)[room]).astype(np.int64)
        return {"user_id": user, "live_id": room, "streamer_id": author[room], "timestamp": at}

    clicks = place(VISITS)
    watched = np.exp(np.log(4_900) + 4.17 * rng.normal(size=VISITS)).clip(0, 5e6).astype(np.int64)
    write("click", **clicks, watch_live_time=watched)
    given = np.flatnonzero(rng.random(VISITS) < 0.0148)
    common = rng.choice([1, 2, 10, 5, 0], size=len(given), p=[0.439, 0.108, 0.064, 0.05, 0.339])
    price = np.where(common, common, np.exp(4 + 1.2 * rng.normal(size=len(given))).astype(int) + 1)
    write("gift", **{name: column[given] for name, column in clicks.items()}, gift_price=price)
    for kind, count in (("comment", VISITS // 25), ("like", VISITS // 28), ("negative", SHOWN)):
        write(kind, **place(count))
    return folder


@pytest.fixture(scope="module")
def log(source, tmp_path_factory) -> LogFolder:
    folder = tmp_path_factory.mktemp("logs") / "kuailive"
    convert_log("kuailive", source, folder)
    return LogFolder(folder)


def test_the_files_have_kuailives_statistics(log):
    visits, gifts = log.scan("visits").collect(), log.scan("gifts").collect()
    assert len(visits) == VISITS and len(gifts) / len(visits) == pytest.approx(0.0148, abs=0.003)
    length = (visits["exit"] - visits["enter"]).to_numpy() / 1000
    assert np.median(length) == pytest.approx(4.9, rel=0.2)
    assert np.quantile(length, 0.9) == pytest.approx(1_026, rel=0.25)
    assert gifts["amount"].median() == 2 and 40 < np.quantile(gifts["amount"], 0.9) < 200


def test_clicks_leave_each_users_last_author_out(log, tmp_path):
    write_clicks(log, tmp_path / "kuailive-clicks")
    folder = DatasetFolder(tmp_path / "kuailive-clicks")
    found = {
        split: [
            (folder.user_tokens[u], folder.item_tokens[i])
            for u, i in zip(rows.users, rows.items, strict=True)
        ]
        for split in ("train", "valid", "test")
        for rows in (folder.interactions(split),)
    }
    first: dict[tuple[str, str], int] = {}
    for row in log.scan("visits").collect().iter_rows(named=True):
        key = row["user_id"], row["author_id"]
        first[key] = min(row["enter"], first.get(key, row["enter"]))
    for user in {user for user, _ in first}:
        own = [
            author
            for (who, author), _ in sorted(first.items(), key=lambda each: (each[1], each[0][1]))
            if who == user
        ]
        assert (user, own[-1]) in found["test"] and (user, own[-2]) in found["valid"]
        assert all((user, author) in found["train"] for author in own[:-2])
    assert sum(map(len, found.values())) == len(first) and folder.kind == "real"


def test_impressions_are_the_zeros_of_clicks(log, tmp_path):
    write_clickthrough(log, tmp_path / "kuailive-ctr")
    folder = DatasetFolder(tmp_path / "kuailive-ctr")
    rows = [folder.interactions(split) for split in ("train", "valid", "test")]
    assert sum((part.ratings == 1).sum() for part in rows) == VISITS
    assert sum((part.ratings == 0).sum() for part in rows) == SHOWN
    last = (START + (DAYS - 1) * DAY) / 1000
    assert (
        rows[2].timestamps.min()
        >= last
        > rows[1].timestamps.max()
        >= rows[1].timestamps.min()
        >= last - 86_400
    )
    assert rows[0].timestamps.max() < last - 86_400


def test_a_log_without_impressions_or_days_is_refused(logs_of, tmp_path):
    with pytest.raises(InputError, match="no feedback of the kind 'negative'"):
        write_clickthrough(logs_of(4), tmp_path / "ctr")
    with pytest.raises(InputError, match="2 days; training, validation and test need three"):
        amounts(logs_of(2), WATCH)


@pytest.fixture
def logs_of(tmp_path):
    from mmbee_plugin.logs.schema import TABLES
    from mmbee_plugin.logs.writer import LogInfo, writing

    def make(days: int) -> LogFolder:
        place = {"user_id": "u", "author_id": "a", "room_id": "r"}
        times = [START + day * DAY for day in range(days)]
        visits = [{**place, "enter": time, "exit": time + 1} for time in times]
        gifts = [{**place, "time": times[0], "amount": 1.0}]
        with writing(tmp_path / f"log{days}", LogInfo("toy", "sample", "a test", utc_offset=8)) as writer:
            for name, rows in (("visits", visits), ("gifts", gifts)):
                writer.add(name, pl.DataFrame(rows, schema=dict(TABLES[name].columns)))
        return LogFolder(tmp_path / f"log{days}")

    return make


def test_effects_of_users_and_authors_are_found_and_unknown_ones_are_nothing():
    rng = np.random.default_rng(0)
    user, author = rng.integers(60, size=6_000), rng.integers(40, size=6_000)
    level = 2 + rng.normal(size=60)[user] + 0.7 * rng.normal(size=40)[author]
    value = np.expm1((level + 0.1 * rng.normal(size=6_000)).clip(0))
    part = np.repeat([0, 1, 2], 2_000)
    rows = pl.DataFrame({"user_id": user, "author_id": author, "value": value, "part": part})
    rows = rows.with_columns(pl.col("user_id", "author_id").cast(pl.String))
    found = measure(rows, 2)
    both, one = found["effects of the user and the author"], found["effects of the user"]
    assert both.mae.mean < 0.5 * one.mae.mean < 0.5 * found["median"].mae.mean < 0.5 * found["mean"].mae.mean
    assert both.mae.low < both.mae.mean < both.mae.high and both.rmse.mean >= both.mae.mean
    constant = np.abs(value[part == 2] - np.median(value[part == 0])).mean()
    assert found["median"].mae.mean == pytest.approx(constant)
    strangers = rows.with_columns(
        pl.when(pl.col("part") == 2).then(pl.lit("new")).otherwise("user_id").alias("user_id")
    )
    expected = np.expm1(np.log1p(value[part == 0]).mean())
    assert measure(strangers, 2)["effects of the user"].mae.mean == pytest.approx(
        np.abs(value[part == 2] - expected).mean()
    )
    with pytest.raises(InputError, match="has no amounts"):
        measure(rows.filter(pl.col("part") < 2), 2)


def test_the_command_cuts_each_task_once_and_runs_it(log, tmp_path, monkeypatch, run_table):
    monkeypatch.chdir(tmp_path)
    ran = []
    for name in ("run_table", "run_table_3"):
        monkeypatch.setattr(
            command,
            name,
            lambda asked, arguments, name=name: ran.append((name, asked, list(arguments))) or [name],
        )
    code, out, err = run_table("kuailive", str(log.path), "--split=test", "--epochs=1", "--seeds=2")
    assert code == 0, err
    assert [(name, asked.number, asked.dataset, asked.seeds) for name, asked, _ in ran] == [
        ("run_table", 2, "kuailive", 2),
        ("run_table_3", 3, "kuailive-clicks", 2),
        ("run_table", 2, "kuailive-ctr", 2),
    ]
    assert all(arguments == ["--epochs=1"] for *_, arguments in ran)
    assert "Watch time of a visit, seconds: test split" in out and "Price of a gift: test split" in out
    lines = list(csv.DictReader((tmp_path / "results" / "table-kuailive-kuailive-test-price.csv").open()))
    content = json.loads((tmp_path / "results" / "table-kuailive-kuailive-test-price.json").read_text())
    assert float(lines[0]["value"]) == pytest.approx(content["rows"]["mean"]["mae"]["mean"])
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "datasets").glob("*/dataset.json")}
    assert len(made) == 3
    assert run_table("kuailive", str(log.path), "--only=ctr", "--only=watch")[0] == 0
    assert len(ran) == 4 and made == {path: path.stat().st_mtime_ns for path in made}  # not cut again
    os.utime(log.path / "logs.json")
    for arguments, message in (
        (("kuailive", str(log.path), "--only=ctr"), "kuailive-ctr: is older than"),
        (("kuailive",), "a log folder is needed"),
        (("kuailive", str(log.path), "--only=love"), "has no task 'love'"),
        (("kuailive", str(log.path), "--dataset=tiktok"), "cuts its datasets from the log"),
        (("kuailive", "nowhere"), "no such log folder"),
        (("two", "--dataset=tiktok"), "table two is not one of"),
        (("2",), "--dataset=NAME is needed"),
    ):
        code, out, err = run_table(*arguments)
        assert (code, out, err.count("\n")) == (2, "", 1) and message in err


def test_gifts_are_cut_as_the_table_says(log, tmp_path, run_table, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_samples(log, tmp_path / "datasets" / "kuailive", SampleSettings(train_negatives=0.5, visits=True))
    code, _, err = run_table("kuailive", str(log.path), "--only=gifting", "--data-path=datasets")
    assert code == 2 and "was cut with train_negatives 0.5, this table takes the defaults" in err
    assert command._cut_otherwise(tmp_path / "datasets" / "kuailive" / "dataset.json") == [
        "train_negatives 0.5"
    ]


def test_a_row_of_each_trained_task_trains(log, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["pytest"])
    for task, name in command.FOLDERS.items():
        command._folder(log, tmp_path / "datasets" / name, task)
    clicks = DatasetFolder(tmp_path / "datasets" / "kuailive-clicks")
    rows = {row.name: row for row in table_rows()}
    assert set(command.RANKED) <= set(rows)
    (job,) = ranking_jobs(rows["MMBee"], clicks, SMALL, [1])
    assert len(job.work(*job.arguments).arrays["test ranks"]) == len(clicks.interactions("test"))
    for name, interest in (("kuailive-ctr", "gie"), ("kuailive", "none")):
        given = {**SMALL, "backbone": "sim", "content": "none", "interest": interest}
        cell = labelled_cell("MMBee", tmp_path / "datasets" / name, given, seed=1)
        assert 0 < cell.arrays["test labels"].mean() < 1 and np.isfinite(cell.arrays["test scores"]).all()
    assert len(amounts(log, PRICE)) == log.scan("gifts").collect().height
