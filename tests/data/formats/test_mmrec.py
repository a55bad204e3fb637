from __future__ import annotations

import numpy as np
import pytest

from mmbee_plugin.data.formats import convert
from mmbee_plugin.errors import InputError


def test_reads_labels_ratings_and_time(mmrec, tmp_path, pairs):
    folder = convert("mmrec", mmrec, tmp_path / "out")
    folder.validate_interactions()
    for split, rows in pairs.items():
        read = folder.interactions(split)
        assert list(zip(read.users, read.items, strict=True)) == rows
        assert read.ratings.tolist() == [item + 1 for _, item in rows]
        assert read.timestamps.tolist() == [100 + user for user, _ in rows]
    assert folder.ordered and folder.counts["items"] == 5
    assert folder.source == "mmrec files of the folder baby"
    assert list(folder.modalities) == ["visual"]


def test_milliseconds_become_seconds(mmrec, tmp_path):
    text = (mmrec / "baby.inter").read_text().replace("\t100\t", "\t1659500000500\t")
    (mmrec / "baby.inter").write_text(
        text.replace("\t101\t", "\t1659500001000\t").replace("\t102\t", "\t1659500002000\t")
    )
    read = convert("mmrec", mmrec, tmp_path / "out").interactions("train")
    assert read.timestamps.tolist() == [1659500000 + (0.5, 1, 2)[user] for user in read.users]
    (mmrec / "baby.inter").write_text(text)
    with pytest.raises(InputError, match=r"baby\.inter, line 4: time 101 beside 1659500000500; one unit"):
        convert("mmrec", mmrec, tmp_path / "other")


def test_audio_of_the_forks(mmrec, tmp_path):
    np.save(mmrec / "audio_feat.npy", np.ones((5, 4), np.float32))
    assert convert("mmrec", mmrec, tmp_path / "out").modalities["acoustic"]["width"] == 4


def test_without_rating_and_time(mmrec, tmp_path):
    (mmrec / "baby.inter").write_text("x_label\titemID\tuserID\n0\t1\t0\n1\t2\t0\n2\t3\t1\n")
    folder = convert("mmrec", mmrec, tmp_path / "out")
    assert not folder.ordered and folder.interactions("test").items.tolist() == [3]


HEADER = "userID\titemID\ttimestamp\tx_label\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("userID\titemID\n0\t1\n", "line 1: no column 'x_label', found 'userID, itemID'"),
        (HEADER + "0\t1\t5\t0\n0\t1\t5\t3\n", "line 3, column x_label: '3'; 0, 1 or 2 is needed"),
        (HEADER + "0\t1\t5\t0\nann\t1\t5\t0\n", "line 3, column userID: 'ann'; a whole number from 0"),
        (HEADER + "0\t1.5\t5\t0\n", "line 2, column itemID: '1.5'"),
        (HEADER + "0\t-1\t5\t0\n", "line 2, column itemID: '-1'"),
        (HEADER + "0\t1\tsoon\t0\n", "line 2, column timestamp: 'soon'; a finite number"),
        (HEADER + "0\t1\n", "line 2, column x_label: ''"),
        (HEADER + "\n0\t1\t5\t0\n", "line 2, column userID: ''"),
        (HEADER + "0\t1\t5\t0\t9\n", "line 2: more than 4 columns"),
        (HEADER + "0\t1\t5\t0\n0\t1\t5\t0\t9\n", "not a readable table.*line 3"),
        (HEADER + "0\t1\t5\t0\n0\t2\t5\t2\n", "no valid interaction"),
        (HEADER + "0\t5\t5\t0\n0\t2\t5\t2\n", r"image_feat\.npy: 5 rows, the interactions need 6 items"),
    ],
)
def test_bad_tables(mmrec, tmp_path, text, message):
    (mmrec / "baby.inter").write_text(text)
    with pytest.raises(InputError, match=message):
        convert("mmrec", mmrec, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_table_is_needed(mmrec, tmp_path):
    (mmrec / "sports.inter").write_text("")
    with pytest.raises(InputError, match=r"one \.inter file is needed, found: baby\.inter, sports\.inter"):
        convert("mmrec", mmrec, tmp_path / "out")


def test_a_broken_feature_file(mmrec, tmp_path):
    values = np.ones((5, 3), np.float32)
    values[4, 0] = -np.inf
    np.save(mmrec / "text_feat.npy", values)
    with pytest.raises(InputError, match=r"text_feat\.npy, row 4, column 0: -inf"):
        convert("mmrec", mmrec, tmp_path / "out")
    (mmrec / "text_feat.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(InputError, match=r"text_feat\.npy: not a plain \.npy"):
        convert("mmrec", mmrec, tmp_path / "out")
