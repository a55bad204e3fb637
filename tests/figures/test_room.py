"""A room's timeline: gifts where the rows have them, the model's own numbers, highlights where planted."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch
from typer.testing import CliRunner

from mmbee_plugin.cli import app
from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.scoring import open_trained
from mmbee_plugin.figures.room import read_timeline
from mmbee_plugin.figures.timeline import room_figure
from mmbee_plugin.modules.objective import Objective

SMALL = {"interest": "none", "segments": 3}
AUTHOR, ROOM = "a0", "a0r7"


def name_rooms(folder):
    """Gives the segments the rooms that they were made of, 12 segments each: `a0r7` for the last room of a0."""
    file = folder / "tinylive.segment"
    table = pl.read_csv(file, separator="\t")
    number = table.select(pl.int_range(pl.len()).over("author_id:token") // 12).to_series().cast(str)
    table.with_columns((table["author_id:token"] + "r" + number).alias("room_id:token")).write_csv(
        file, separator="\t"
    )


def plant(folder, room, highlights):
    (folder / "planted" / "segments").mkdir(parents=True)
    rows = {
        "room_id": [room] * 12,
        "window": list(range(12)),
        "highlight": [w in highlights for w in range(12)],
    }
    pl.DataFrame(rows).sample(fraction=1, shuffle=True, seed=1).write_parquet(
        folder / "planted" / "segments" / "0.parquet"
    )


def test_a_room_has_its_gifts_and_the_models_own_numbers(live_checkpoint, live_path, check_answer):
    name_rooms(live_path)
    plant(live_path, ROOM, {2, 3, 9})
    trained = open_trained(live_checkpoint(**SMALL))
    network, train, folder = trained.network, trained.train, trained.folder
    line = read_timeline(network, train, ROOM)
    item = folder.item_tokens.index(AUTHOR)
    rows = np.flatnonzero(folder.segments.authors == item)[-12:]
    np.testing.assert_array_equal(line.starts, folder.segments.starts[rows])
    np.testing.assert_array_equal(np.flatnonzero(line.highlight), [2, 3, 9])
    live = folder.rows("test")
    given = [live.amounts[live.labels & (live.segments == row)] for row in rows]
    assert line.gifts.tolist() == [len(one) for one in given] and line.gifts.sum() > 0
    np.testing.assert_allclose(line.amounts, [one.sum() for one in given])

    ids = torch.full((12,), train.token2id("item_id", AUTHOR))
    side = network.author_side(ids, segments=torch.from_numpy(rows))
    with torch.no_grad():
        fused = network.gtr.content(side)
        np.testing.assert_allclose(line.attention, network.gtr.content.attention(side))
        users = np.unique(folder.interactions("test").users[np.isin(live.segments, rows)])
        batch = train.inter_feat[np.repeat(0, 12 * len(users))]
        batch["user_id"] = torch.from_numpy(np.repeat(np.flatnonzero(np.isin(train.user_rows, users)), 12))
        batch["item_id"] = ids.repeat(len(users))
        batch["segment_row"] = torch.from_numpy(np.tile(rows, len(users)))
        batch["timestamp"] = torch.full((12 * len(users),), network.end_of_training)
        network.objective = Objective("bpr")  # so that it predicts logits
        logits = network.predict(train.add_whole_history(batch)).view(-1, 12)
    np.testing.assert_allclose(line.change[1:], (fused[1:] - fused[:-1]).norm(dim=1), rtol=1e-4)
    assert np.isnan(line.change[0]) and line.attention.shape == (12, 4, 3, 3)
    np.testing.assert_allclose(line.logit, logits.mean(dim=0), rtol=1e-4)

    said, sheet, plot = room_figure(line)
    check_answer(said, sheet, plot)
    found = dict(zip(sheet.headings, zip(*sheet.rows, strict=True), strict=True))
    assert found["segments"] == ("all", "with gifts", "without", "planted highlight", "no highlight")
    assert found["number"][0] == "12" and found["number"][3:] == ("3", "9")
    assert found["gifts"][0] == found["gifts"][1] == str(line.gifts.sum())
    assert sum(float(found[name][0]) for name in ("visual", "speech", "comment")) == pytest.approx(
        1, abs=0.002
    )
    assert (
        plot.figure.layout.shapes[0].x0 == 1 and plot.figure.layout.shapes[0].x1 == 2
    )  # minutes: segments 2 and 3


def test_the_default_room_has_the_most_gifts_of_the_test_part(live_checkpoint, live_path):
    name_rooms(live_path)
    trained = open_trained(live_checkpoint(**SMALL))
    live, authors = trained.folder.rows("test"), trained.folder.segments.authors
    gifts = np.bincount(authors[live.segments[live.labels & (live.segments >= 0)]])
    line = read_timeline(trained.network, trained.train)
    assert line.room == f"{line.author}r7" and line.gifts.sum() == gifts.max()
    assert line.highlight is None and not any("trained on rows" in note for note in line.notes)
    assert any(
        "trained on rows" in note for note in read_timeline(trained.network, trained.train, "a0r2").notes
    )


def test_a_room_with_a_hole_says_so(live_checkpoint, live_path):
    name_rooms(live_path)
    file = live_path / "tinylive.segment"
    table = pl.read_csv(file, separator="\t")
    late = pl.col("room_id:token") == ROOM
    later = pl.when(late & (pl.int_range(12).over("room_id:token") >= 5)).then(60).otherwise(0)
    table.with_columns(pl.col("start:float") + later).write_csv(file, separator="\t")
    plant(live_path, ROOM, set(range(12)))
    rows = [line.split("\t") for line in (live_path / "tinylive.test.inter").read_text().splitlines()]
    for row in rows[1:]:
        row[2] = str(float(row[2]) + 60)  # no row before its segment
    (live_path / "tinylive.test.inter").write_text("\n".join("\t".join(row) for row in rows) + "\n")
    trained = open_trained(live_checkpoint(**SMALL))
    line = read_timeline(trained.network, trained.train, ROOM)
    assert np.flatnonzero(np.isnan(line.change)).tolist() == [0, 5]
    assert any("In 1 places segments are missing" in note for note in line.notes)


def test_what_has_no_timeline_is_refused(live_checkpoint, live_path, tmp_path):
    trained = open_trained(live_checkpoint(**SMALL))
    with pytest.raises(InputError, match=r"tinylive\.segment, line 1: no column 'room_id:token'"):
        read_timeline(trained.network, trained.train)
    name_rooms(live_path)
    trained = open_trained(live_checkpoint(**SMALL, content="concat"))
    with pytest.raises(InputError, match="no queries"):
        read_timeline(trained.network, trained.train)
    path, out = live_checkpoint(**SMALL), tmp_path / "room.html"
    result = CliRunner().invoke(app, ["figure", "room", str(path), "--room", "a9r1", "--out", str(out)])
    assert isinstance(result.exception, InputError) and "room 'a9r1': no such room" in str(result.exception)
    result = CliRunner().invoke(app, ["figure", "room", str(path), "--out", str(out)], catch_exceptions=False)
    assert "Timeline of room" in result.output and "SIMULATED" in result.output and out.is_file()
