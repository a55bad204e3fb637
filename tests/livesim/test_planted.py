"""The planted parts of a dataset's rows, against the tables beside it and the stored chances."""

from __future__ import annotations

import json
import shutil

import numpy as np
import polars as pl
import pytest
from scipy.special import logit

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.livesim import dataset
from mmbee_plugin.livesim.planted import MONEY, planted_parts, read_settings
from mmbee_plugin.livesim.settings import SEGMENT_MS
from mmbee_plugin.livesim.worlds import WORLDS

SMALL = {"users": 300, "authors": 40, "density": 4.0}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Datasets of a small world of each kind, by number."""
    place = tmp_path_factory.mktemp("planted")
    for number, settings in WORLDS.items():
        dataset.write(place / f"world{number}", settings(**SMALL))
    return {number: DatasetFolder(place / f"world{number}") for number in WORLDS}


def test_parts_are_what_the_tables_say(folders):
    folder = folders[1]
    parts = planted_parts(folder, "test")
    rows = folder.interactions("test")
    users = pl.read_parquet(folder.path / "planted" / "users.parquet")
    authors = pl.read_parquet(folder.path / "planted" / "authors.parquet")
    user = users.with_row_index("row").filter(pl.col("user_id").is_in(folder.user_tokens))
    assert len(user) == len(folder.user_tokens)
    of_user = {one["user_id"]: one for one in users.to_dicts()}
    of_author = {one["author_id"]: one for one in authors.to_dicts()}
    settings = read_settings(folder.path / "planted" / "settings.json")
    assert settings == WORLDS[1](**SMALL)
    for place in range(0, len(rows), 7):
        one = of_user[folder.user_tokens[rows.users[place]]]
        author = of_author[folder.item_tokens[rows.items[place]]]
        assert parts["generosity"][place] == pytest.approx(one["generosity"], rel=1e-5)
        assert parts["taste"][place] == pytest.approx(
            settings.taste * one["tastes"][author["type"]], abs=1e-5
        )
        assert (parts["circle"][place] > 0) == (one["circle"] == author["circle"])
        assert (parts["loyalty"][place] > 0) == (author["author_id"] in one["favourites"])
        assert parts["appeal"][place] == pytest.approx(author["appeal"], rel=1e-5)


def test_highlights_are_those_of_the_segments(folders):
    folder = folders[1]
    rows, parts = folder.interactions("valid"), planted_parts(folder, "valid")["highlight"]
    planted = pl.read_parquet(folder.path / "planted" / "segments" / "*.parquet")
    table = pl.read_csv(folder.path / "world1.segment", separator="\t")
    newest = folder.rows("valid").segments
    room = table["room_id:token"].to_numpy()[newest]
    shown = planted.group_by("room_id").agg("highlight")
    of_room = dict(zip(shown["room_id"].to_list(), shown["highlight"].to_list(), strict=True))
    # a row's window begins at a multiple of its length after the room's first segment
    first = table.group_by("room_id:token").agg(pl.col("start:float").min())
    start = dict(zip(*first.get_columns(), strict=True))
    some = 0
    for place in range(0, len(rows), 5):
        window = int((rows.timestamps[place] - start[room[place]]) * 1_000 // SEGMENT_MS)
        if (
            len(of_room[room[place]]) == (table["room_id:token"] == room[place]).sum()
        ):  # no segment was left out
            assert (parts[place] > 0) <= of_room[room[place]][window]
            some += of_room[room[place]][window]
    assert some > 5


def test_the_second_world_s_rest_is_money(folders):
    folder = folders[2]
    parts = planted_parts(folder, "test")
    base = json.loads((folder.path / "planted" / "report.json").read_text())["bases"]["gift"]
    truth = np.load(folder.path / "truth" / "test.npy").astype(np.float64)
    np.testing.assert_allclose(base + sum(parts.values()), logit(truth), atol=1e-6)
    rest = parts[MONEY]
    assert np.abs(rest[(rest > -20) & (rest < -1e-3)]).max() > 0.05  # a price
    assert rest.max() > 0.3  # gifts that followed gifts


def test_other_truth_is_refused(folders, tmp_path):
    folder = DatasetFolder(shutil.copytree(folders[1].path, tmp_path / "world1"))
    file = folder.path / "planted" / "settings.json"
    stated = json.loads(file.read_text())
    for change, message in (
        ({"circle": 1.0}, "chances that livesim 1 with .* does not draw"),
        ({"version": "livesim 0"}, "version 'livesim 0', known are livesim 1, livesim 2"),
    ):
        file.write_text(json.dumps(stated | change))
        with pytest.raises(InputError, match=message):
            planted_parts(folder, "valid")
    file.unlink()
    with pytest.raises(InputError, match="no planted truth; --dataset=livesim"):
        planted_parts(folder, "valid")
