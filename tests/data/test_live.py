"""The rows of a live folder, and the one line that a bad one gets."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError


@pytest.fixture
def folder(live_path):
    return DatasetFolder(live_path)


def rewrite(folder, column, line, value):
    """Puts a value into one column of one line of the test rows."""
    path = folder.path / "tinylive.test.inter"
    lines = path.read_text().splitlines()
    fields = lines[line - 1].split("\t")
    fields[lines[0].split("\t").index(column)] = value
    lines[line - 1] = "\t".join(fields)
    path.write_text("\n".join(lines) + "\n")


def test_rows_are_those_of_the_file(folder):
    assert folder.live is not None and folder.tasks == ("comment", "long_watch")
    folder.validate_interactions()
    assert "test 120; 576 segments of 30 s; source" in folder.provenance()
    rows = folder.rows("test")
    lines = (folder.path / "tinylive.test.inter").read_text().splitlines()
    table = np.array([line.split("\t")[3:] for line in lines[1:]], dtype=np.float64)
    assert len(rows) == 120 and rows.labels.any() and not rows.labels.all()
    np.testing.assert_array_equal(rows.labels, table[:, 0] == 1)
    np.testing.assert_allclose(rows.amounts, table[:, 1], rtol=1e-12)
    np.testing.assert_array_equal(rows.tasks, table[:, 2:4])
    np.testing.assert_array_equal(rows.segments, table[:, 4])
    assert (rows.segments == -1).any() and (rows.tasks == -1).any()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("label:float", "2", "line 5, column label:float: 2 is wrong; expected 0 or 1"),
        ("label:float", "nan", "line 5, column label:float: nan is wrong"),
        (
            "amount:float",
            "-3",
            "line 5, column amount:float: -3 is wrong; expected an amount above 0 with label 1",
        ),
        ("comment:float", "0.5", "line 5, column comment:float: 0.5 is wrong; expected 1, 0, or -1"),
        ("segment:float", "576", "line 5, column segment:float: 576 is wrong; expected a row from 0 to 575"),
        ("segment:float", "soon", "line 5, column segment:float: 'soon' is no number"),
        ("timestamp:float", "1700000000", "line 5, column segment:float: .* a segment that starts before"),
    ],
)
def test_bad_rows_are_named(folder, column, value, message):
    segments = folder.rows("test").segments
    assert segments[3] >= 0
    rewrite(folder, column, 5, value)
    with pytest.raises(InputError, match=rf"tinylive\.test\.inter.*{message}"):
        folder.validate_interactions()


def test_a_segment_of_another_author_is_refused(folder):
    other = int(np.flatnonzero(folder.segments.authors != folder.interactions("test").items[3])[0])
    rewrite(folder, "segment:float", 5, str(other))
    with pytest.raises(
        InputError, match=r"line 5, column segment:float: .* expected a segment of the row's own author"
    ):
        folder.validate_interactions()


def test_labels_that_never_change_are_refused(folder):
    path = folder.path / "tinylive.valid.inter"
    header, *lines = path.read_text().splitlines()
    fields = [line.split("\t") for line in lines]
    path.write_text(
        "\n".join([header, *("\t".join([*row[:3], "0", "0", *row[5:]]) for row in fields)]) + "\n"
    )
    with pytest.raises(
        InputError, match=r"valid\.inter, column label:float: all 120 rows have 0; both are needed"
    ):
        folder.validate_interactions()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"segments": {"count": 576}}, "segments: seconds is None, a whole number from 1 is needed"),
        (
            {"segments": {"count": 576, "seconds": 30, "per_sample": 20, "varying": "yes"}},
            "segments: varying is 'yes', true or false is needed",
        ),
        ({"segments": 576}, "segments: count is None"),
        ({"tasks": "like"}, "tasks: a list of names is needed"),
        ({"tasks": ["like", "like"]}, "tasks: 'like' is listed twice"),
        ({"tasks": ["like"]}, "no column 'like:float', which every live file has"),
        ({"modalities": {"visual": {"file": "visual.npy", "kind": "dense", "width": 4, "missing": 0}}}, "of"),
    ],
)
def test_descriptions_that_do_not_fit(folder, change, message):
    path = folder.path / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(InputError, match=message):
        DatasetFolder(folder.path).validate_interactions()


def test_a_log_without_content_is_live_all_the_same(folder):
    """Amounts, tasks and days are there; no row has a segment."""
    path = folder.path / "dataset.json"
    description = json.loads(path.read_text())
    description |= {"modalities": {}, "segments": description["segments"] | {"count": 0}}
    path.write_text(json.dumps(description))
    segments = folder.path / "tinylive.segment"
    segments.write_text(segments.read_text().splitlines()[0] + "\n")
    for split in ("train", "valid", "test"):
        file = folder.path / f"tinylive.{split}.inter"
        header, *lines = file.read_text().splitlines()
        file.write_text("\n".join([header, *(line.rpartition("\t")[0] + "\t-1" for line in lines)]) + "\n")
    found = DatasetFolder(folder.path)
    found.validate_interactions()
    assert (found.rows("train").segments == -1).all() and found.rows("train").amounts.any()
    assert (found.segments.newest(np.inf) == -1).all()


def test_live_data_come_split(live_path):
    (live_path / "tinylive.train.inter").rename(live_path / "tinylive.inter")
    for split in ("valid", "test"):
        (live_path / f"tinylive.{split}.inter").unlink()
    with pytest.raises(InputError, match=r"tinylive\.inter: live data come split by time"):
        DatasetFolder(live_path)
