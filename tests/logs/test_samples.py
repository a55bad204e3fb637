"""The dataset folder that samples are written to, and that nothing from the future gets into training."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.segments import windows
from mmbee_plugin.errors import InputError
from mmbee_plugin.logs.samples import write_samples

START = 1_746_403_200_000  # 2025-05-05 00:00 UTC
DAY = 86_400_000
TRAIN_END = START + 2 * DAY
FUTURE = "FUTURE"
FRAMES = {"visual": 3}


@pytest.fixture
def make(logs):
    def samples(folder, tables, **info):
        log = logs.write(folder / "log", tables, frames=FRAMES if "segments" in tables else {}, **info)
        write_samples(log, folder / "tiny", logs.SMALL)
        opened = DatasetFolder(folder / "tiny")
        opened.validate_interactions()
        return opened

    return samples


def test_zeros_are_missing_in_data_as_online(tmp_path, tables, make):
    """Vectors that are zero, and those that are zero as float16, on both ways."""
    pytest.importorskip("msgspec", reason="the serve extra is not installed")
    from mmbee_plugin.serving.bundle.source import LiveContent, LiveModality
    from mmbee_plugin.serving.intake.segments import segment_of

    number = pl.int_range(pl.len())
    with_zeros = {}
    for name in ("visual", "comment"):
        zeros = pl.when(number % 5 == 2).then(1e-9).when(number % 5 == 3).then(0.0).otherwise(1.0)
        with_zeros[name] = pl.col(name) * zeros
    tables["segments"] = tables["segments"].with_columns(**with_zeros)
    segments = make(tmp_path, tables).segments
    log = pl.read_csv(tmp_path / "tiny" / "tiny.segment", separator="\t").select(id="segment_id:token")
    given = tables["segments"].with_columns(id=pl.format("{}@{}", "room_id", "start"))
    given = log.join(given, on="id", how="left", maintain_order="left")
    kinds = {}
    for name in ("visual", "comment"):
        values, one = segments.values(name), np.ones(segments.values(name).shape[2], np.float32)
        kinds[name] = LiveModality(values.shape[1], values.shape[2], str(values.dtype), one, one)
    live = LiveContent(30.0, 4, kinds)
    online = {name: [] for name in kinds}
    for row in given.iter_rows(named=True):
        features = {name: row[name] for name in kinds if row[name] is not None}
        received = segment_of(row["start"] / 1000, row["end"] / 1000, features, live)
        for name in kinds:
            online[name].append(name in received.values)
    for name in kinds:
        there = segments.present(name)
        assert there.tolist() == online[name] and 0.5 < there.mean() < 0.7
        file = tmp_path / "tiny" / f"{name}.present.npy"
        assert np.array_equal(np.load(file), there)
        assert segments.modalities[name]["missing"] == (~there).sum()
        np.save(file, np.ones(len(there), bool))  # as folders of before, or by hand
    again = DatasetFolder(tmp_path / "tiny").segments
    assert all(again.present(name).tolist() == online[name] for name in kinds)


def test_the_folder_is_read_as_live_data(tmp_path, tables, make):
    tables["truth"] = (
        tables["visits"]
        .select("room_id", "user_id")
        .unique()
        .with_columns(window=pl.lit(0, pl.Int32), p=pl.lit(0.5, pl.Float32))
    )
    folder = make(tmp_path, tables, notes=["made by hand"])
    assert folder.live.per_sample == 4
    assert folder.tasks == ("comment", "like", "long_watch")
    assert folder.kind == "sample"
    assert folder.notes == ["made by hand"]
    for split in folder.splits:
        rows = folder.rows(split)
        assert 0 < rows.labels.sum() < len(rows)
        assert (rows.tasks[:, 2] == 1).any()
        assert np.load(folder.path / "truth" / f"{split}.npy").shape == (len(rows),)
    header, first = (folder.path / "tiny.item").read_text().splitlines()[:2]
    assert (header, first) == ("item_id:token\tgender:token\tcategory:token", "a0\tF\tc0")

    # Features stand in the order of `.segment`, and what is null in the log is not present.
    segments = pl.read_csv(folder.path / "tiny.segment", separator="\t")
    log = tables["segments"].with_columns(id=pl.format("{}@{}", "room_id", "start"))
    log = segments.select(id="segment_id:token").join(log, on="id", how="left", maintain_order="left")
    assert len(log) < len(tables["segments"])  # what only validation or test could see, and does not
    assert folder.segments.values("visual").shape == (len(log), 3, 2)
    expected = np.array(log["visual"].to_list(), np.float16).reshape(-1, 3, 2)
    np.testing.assert_array_equal(folder.segments.values("visual"), expected)
    there = log["comment"].is_not_null().to_numpy()
    np.testing.assert_array_equal(folder.segments.present("comment"), there)
    assert 0 < folder.modalities["comment"]["missing"] == (~there).sum()
    values = np.array(log["comment"].drop_nulls().to_list(), np.float16)
    np.testing.assert_array_equal(folder.segments.values("comment")[there, 0], values)

    description = json.loads((folder.path / "dataset.json").read_text())
    assert description["log"]["counts"]["visits"] == len(tables["visits"])
    assert description["log"]["settings"]["segments"] == 4


def test_what_was_planted_comes_along(tmp_path, tables, logs):
    """Figure 5 and the timeline of a room read it beside the samples of a log of one's own, as of `livesim`."""
    log = logs.write(tmp_path / "log", tables, frames=FRAMES)
    (log.path / "planted" / "segments").mkdir(parents=True)
    (log.path / "planted" / "segments" / "day-000.parquet").write_bytes(b"events")
    (log.path / "planted" / "authors.parquet").write_bytes(b"types")
    write_samples(log, tmp_path / "tiny", logs.SMALL)
    copied = {
        path.relative_to(tmp_path / "tiny").as_posix(): path.read_bytes()
        for path in (tmp_path / "tiny" / "planted").rglob("*.parquet")
    }
    assert copied == {"planted/segments/day-000.parquet": b"events", "planted/authors.parquet": b"types"}
    before = DatasetFolder(tmp_path / "tiny").hash
    plain = logs.write(tmp_path / "plain", tables, frames=FRAMES)
    write_samples(plain, tmp_path / "other" / "tiny", logs.SMALL)
    assert not (tmp_path / "other" / "tiny" / "planted").exists()
    assert DatasetFolder(tmp_path / "other" / "tiny").hash == before  # no model sees it


def seen_in_training(folder):
    """Everything a model can take from the training part: rows with the segments they see, attributes."""
    lines = (folder.path / "tiny.train.inter").read_text().splitlines()
    rows = [line.rsplit("\t", 1)[0] for line in lines]
    newest = torch.from_numpy(folder.rows("train").segments)
    window = windows(folder.segments.first, newest, folder.live.per_sample).numpy()
    names = pl.read_csv(folder.path / "tiny.segment", separator="\t")["segment_id:token"].to_list()
    names = np.array([*names, "none"])
    seen = {"rows": rows, "segments": names[window]}
    for modality in folder.modalities:
        values = folder.segments.values(modality)[window] * (window >= 0)[..., None, None]
        seen[modality] = values.astype(np.float32)
        means = folder.segments.author_means(modality, TRAIN_END / 1000)
        seen[f"{modality} of authors"] = {
            author: means.values[row].tolist() for row, author in enumerate(folder.item_tokens)
        }
    for kind in ("user", "item"):
        lines = (folder.path / f"tiny.{kind}").read_text().splitlines()
        seen[kind] = {line.split("\t")[0]: line for line in lines}
    return seen


@pytest.fixture
def past_and_planted(logs):
    """Tables as they are, and with something of the future added to every one of them."""
    tables = logs.random_tables(seed=7)
    versions = [{"time": START, "age": "20"}, {"time": START + DAY, "age": "21"}]
    tables["users"] = logs.table(
        "users", [{"user_id": f"u{user}", **row} for user in range(30) for row in versions]
    )
    tables["authors"] = logs.table(
        "authors", [{"author_id": f"a{author}", "time": START, "gender": "F"} for author in range(6)]
    )
    visit = tables["visits"].filter(pl.col("enter") > TRAIN_END).head(1).to_dicts()[0]
    place = {"user_id": visit["user_id"], "author_id": visit["author_id"], "room_id": visit["room_id"]}
    trained = tables["visits"].filter(pl.col("exit") < TRAIN_END)
    # Likes are something that the log learns of only later.
    tables["feedback"] = tables["feedback"].filter(pl.col("kind") != "like")
    new = trained.head(40).with_columns(pl.col("enter", "exit") + 2 * DAY)
    soon = TRAIN_END + 1
    loud = [9999.0] * 6
    segment = {
        "room_id": "r0-9",
        "author_id": "a0",
        "start": soon,
        "end": soon + 30_000,
        "visual": loud,
        "comment": loud[:4],
    }
    # It begins in the training part, where rows see the segments around it, and its content is complete only later.
    middle = tables["segments"].filter(pl.col("room_id") == "r0-1")["start"][60]
    long = {**segment, "start": middle + 1, "end": soon}
    planted = {
        "visits": pl.concat([new, new.with_columns(user_id=pl.lit("new"), author_id=pl.lit("a new one"))]),
        "gifts": logs.table(
            "gifts",
            [
                *({**place, "time": visit["enter"] + ms, "amount": 9999.0} for ms in (0, 1)),
                *new.select(
                    "user_id", "author_id", "room_id", time="enter", amount=pl.lit(9999.0)
                ).to_dicts(),
            ],
        ),
        "feedback": new.with_columns(time="enter", kind=pl.lit("like")).drop("enter", "exit"),
        "segments": logs.table("segments", [segment, long]).cast(
            {"visual": pl.Array(pl.Float32, 6), "comment": pl.List(pl.Float32)}
        ),
        "rooms": logs.table(
            "rooms",
            [
                {
                    "room_id": f"x{author}",
                    "author_id": f"a{author}",
                    "start": START + 4 * DAY,
                    "end": START + 5 * DAY,
                    "category": FUTURE,
                }
                for author in range(6)
            ],
        ),
        "users": logs.table(
            "users", [{"user_id": f"u{user}", "time": soon, "age": FUTURE} for user in range(30)]
        ),
        "authors": logs.table(
            "authors", [{"author_id": f"a{author}", "time": soon, "gender": FUTURE} for author in range(6)]
        ),
    }
    return tables, planted


def test_nothing_from_the_future_reaches_training(tmp_path, make, past_and_planted):
    tables, planted = past_and_planted
    assert set(planted) == set(tables)
    before = seen_in_training(make(tmp_path / "before", tables))
    mixed = {name: pl.concat([planted[name], frame], how="diagonal") for name, frame in tables.items()}
    folder = make(tmp_path / "after", mixed)
    after = seen_in_training(folder)
    for what, values in before.items():
        if isinstance(values, dict):
            # Those who come later have rows of their own; the others' are unchanged.
            assert {key: after[what][key] for key in values} == values, what
        else:
            np.testing.assert_array_equal(after[what], values, err_msg=what)
    assert FUTURE not in "".join((folder.path / f"tiny.{kind}").read_text() for kind in ("user", "item"))
    # It was there to be seen: the test part has it.
    assert folder.rows("valid").amounts.max() > 9998
    assert "new" in folder.user_tokens
    assert any(after["item"][author].split("\t")[1] == "F" for author in ("a0", "a1"))


@pytest.mark.parametrize("name", ["visits", "gifts", "feedback", "segments", "rooms", "users", "authors"])
def test_the_future_of_each_table_alone_reaches_no_training_row(tmp_path, name, make, past_and_planted):
    tables, planted = past_and_planted
    before = seen_in_training(make(tmp_path / "before", tables))
    mixed = tables | {name: pl.concat([planted[name], tables[name]], how="diagonal")}
    after = seen_in_training(make(tmp_path / "after", mixed))
    assert after["rows"] == before["rows"]
    np.testing.assert_array_equal(after["segments"], before["segments"])


def test_without_segments_there_is_no_content_and_the_rest_stays(tmp_path, tables, make):
    del tables["rooms"], tables["users"]
    with_segments = make(tmp_path / "with", tables).rows("train")
    del tables["segments"]
    folder = make(tmp_path / "without", tables)
    assert (folder.live.count, folder.modalities, len(folder.segments.starts)) == (0, {}, 0)
    assert (folder.segments.newest(TRAIN_END / 1000) == -1).all()
    rows = folder.rows("train")
    assert (rows.segments == -1).all() and folder.tasks
    np.testing.assert_array_equal(rows.amounts, with_segments.amounts)
    np.testing.assert_array_equal(rows.tasks, with_segments.tasks)
    assert "the log has no table segments" in folder.notes


def test_other_data_is_replaced_only_by_force_and_bad_input_leaves_it_as_it_was(tmp_path, tables, logs):
    log = logs.write(tmp_path / "log", tables)
    log.info.kind = "real"
    write_samples(log, tmp_path / "tiny", logs.SMALL)
    before = (tmp_path / "tiny" / "dataset.json").read_text()
    with pytest.raises(InputError, match="--force replaces it"):
        write_samples(log, tmp_path / "tiny", logs.SMALL)
    wrong = tables["segments"].with_columns(
        comment=pl.col("comment").list.head(pl.int_range(pl.len()) % 2 + 3)
    )
    log = logs.write(tmp_path / "log", tables | {"segments": wrong})
    with pytest.raises(
        InputError, match=r"column comment, row [\d,]+: 4 values, others have 3|3 values, others have 4"
    ):
        write_samples(log, tmp_path / "tiny", logs.SMALL, force=True)
    assert (tmp_path / "tiny" / "dataset.json").read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["log", "tiny"] or len(list(tmp_path.iterdir())) == 2


def test_segments_of_any_length_bring_their_ends(tmp_path, tables, make):
    """A long segment is seen, and counts for means and scales, once it has ended."""
    regular = make(tmp_path / "regular", tables)
    assert "segments of 30 s" in regular.provenance() and not regular.live.varying
    np.testing.assert_allclose(regular.segments.ends - regular.segments.starts, 30)
    # Every other segment goes on until the one after it ends, which is no more.
    number = pl.int_range(pl.len()).over("room_id")
    pairs = (
        tables["segments"].with_columns(end=pl.col("end").shift(-1).over("room_id")).filter(number % 2 == 0)
    )
    folder = make(tmp_path / "long", tables | {"segments": pairs})
    segments = folder.segments
    assert "segments of any length" in folder.provenance() and folder.live.varying
    np.testing.assert_allclose(segments.ends - segments.starts, 60)
    ended = [segments.ends[segments.authors == author] for author in range(6)]
    until = float(np.sort(segments.ends)[len(segments.ends) // 2]) - 1
    for author, newest in enumerate(segments.newest(until)):
        before = ended[author][ended[author] <= until]
        assert newest == (
            -1 if not len(before) else np.flatnonzero(segments.authors == author)[len(before) - 1]
        )
    for split in folder.splits:
        rows = folder.rows(split)
        times = pl.read_csv(folder.path / f"tiny.{split}.inter", separator="\t")["timestamp:float"].to_numpy()
        seen = rows.segments >= 0
        # Not later than the end of the moment's window, which is at most 30 s away.
        assert (segments.ends[rows.segments[seen]] < times[seen] + 30).all()
        assert (segments.ends[rows.segments[seen]] > times[seen]).any()


def test_rows_name_the_last_segment_that_had_ended_if_asked_to(tmp_path, tables, logs):
    """Against the log's own table; everything else is as by the window's rule."""
    log = logs.write(tmp_path / "log", tables, frames=FRAMES)
    write_samples(log, tmp_path / "window" / "tiny", logs.SMALL)
    write_samples(log, tmp_path / "ended" / "tiny", replace(logs.SMALL, segments_known="ended"))
    window, ended = (DatasetFolder(tmp_path / name / "tiny") for name in ("window", "ended"))
    assert (window.live.known, ended.live.known) == ("window", "ended") and window.hash != ended.hash
    assert "known once ended" in ended.provenance() and "known once" not in window.provenance()
    ended.validate_interactions()
    names = pl.read_csv(ended.path / "tiny.segment", separator="\t")["segment_id:token"].to_list()
    running = 0
    for split in ended.splits:
        table = pl.read_csv(ended.path / f"tiny.{split}.inter", separator="\t")
        other = pl.read_csv(window.path / f"tiny.{split}.inter", separator="\t")
        assert table.drop("segment:float").equals(other.drop("segment:float"))
        for row in table.to_dicts():
            past = tables["segments"].filter(
                (pl.col("author_id") == row["item_id:token"])
                & (pl.col("end") <= round(1000 * row["timestamp:float"]))
            )
            newest = (
                past.sort("start").select(pl.format("{}@{}", "room_id", "start")).to_series().to_list()[-1:]
            )
            assert [names[int(row["segment:float"])]] == newest if newest else row["segment:float"] == -1
        times, rows = window.interactions(split).timestamps, window.rows(split).segments
        running += (window.segments.ends[rows[rows >= 0]] > times[rows >= 0]).sum()
    assert running > 50, "by the window's rule most segments go on at the row's moment"


def test_a_folder_may_not_know_what_had_not_ended(tmp_path, tables, logs):
    log = logs.write(tmp_path / "log", tables, frames=FRAMES)
    write_samples(log, tmp_path / "tiny", logs.SMALL)
    file = tmp_path / "tiny" / "dataset.json"
    content = json.loads(file.read_text())
    for known, wrong in (
        ("ended", "a segment that ended before the row's timestamp"),
        ("board", "known is 'board'"),
    ):
        content["segments"]["known"] = known
        file.write_text(json.dumps(content))
        with pytest.raises(InputError, match=wrong):
            DatasetFolder(tmp_path / "tiny").validate_interactions()
    with pytest.raises(InputError, match="--segments-known 'board': one of window, ended is needed"):
        replace(logs.SMALL, segments_known="board")


def test_negatives_and_tolerances_are_kept_with_the_samples(tmp_path, tables, logs):
    log = logs.write(tmp_path / "log", tables)
    settings = replace(logs.SMALL, gift_tolerance=5.0)
    lines = write_samples(log, tmp_path / "tiny", settings)
    kept = json.loads((tmp_path / "tiny" / "dataset.json").read_text())["log"]
    assert (kept["settings"]["gift_tolerance"], kept["settings"]["negatives"]) == (5.0, "visits")
    inside = (
        "in one visit of the user to the room",
        "in several visits, which overlap; of the one that began last",
    )
    assert sum(kept["counts"][f"gifts {what}"] for what in inside) == len(tables["gifts"])
    assert "           0 gifts up to 5 s after a visit; of it" in lines


def test_visits_of_the_training_part_are_kept_if_asked_for(tmp_path, tables, logs):
    log = logs.write(tmp_path / "log", tables, frames=FRAMES)
    write_samples(log, tmp_path / "without" / "tiny", logs.SMALL)
    write_samples(log, tmp_path / "with" / "tiny", replace(logs.SMALL, visits=True))
    without, found = (DatasetFolder(tmp_path / name / "tiny") for name in ("without", "with"))
    assert without.visits is None and without.hash != found.hash and not found.unread
    known = pl.col("user_id").is_in(found.user_tokens) & pl.col("author_id").is_in(found.item_tokens)
    expected = tables["visits"].filter((pl.col("exit") < TRAIN_END) & known).sort("exit")
    assert 0 < len(found.visits) == len(expected) < len(tables["visits"])
    np.testing.assert_array_equal(found.visits.ends, expected["exit"].to_numpy() / 1000)
    pairs = zip(found.visits.users, found.visits.authors, expected.iter_rows(named=True), strict=True)
    for user, author, row in pairs:
        if expected.filter(pl.col("exit") == row["exit"]).height == 1:  # ties are by row
            assert found.user_tokens[user] == row["user_id"]
            assert found.item_tokens[author] == row["author_id"]
