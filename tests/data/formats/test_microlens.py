from __future__ import annotations

import numpy as np
import pytest

from mmbee_plugin.data.formats import convert
from mmbee_plugin.data.formats.microlens import _read_titles
from mmbee_plugin.errors import InputError

START = 1_659_500_000_000  # milliseconds


@pytest.mark.parametrize("header", ["userID,videoID,timestamp", "user,item,timestamp", "timestamp,item,user"])
def test_reads_pairs_with_time_in_any_order(microlens, tmp_path, header):
    rows = [(30, 5, 2), (4, 17, 0), (30, 4, 1), (30, 5, 3), (4, 9, 1)]  # user, video, second
    lines = []
    for user, video, second in rows:
        named = {"user": user, "video": video, "item": video, "timestamp": START + 1000 * second}
        lines.append(",".join(str(named[name.removesuffix("ID")]) for name in header.split(",")))
    (microlens / "MicroLens-50k_pairs.csv").write_text("\n".join([header, *lines]) + "\n")
    folder = convert("microlens", microlens, tmp_path / "out")
    folder.validate_interactions()
    assert (
        folder.ordered
        and folder.kind == "real"
        and folder.source == "microlens files of the folder microlens"
    )
    assert folder.user_tokens == ["4", "30"] and folder.item_tokens == ["4", "5", "9", "17"]
    read = {
        split: [
            (folder.user_tokens[user], folder.item_tokens[item], time - START // 1000)
            for user, item, time in zip(part.users, part.items, part.timestamps, strict=True)
        ]
        for split, part in ((split, folder.interactions(split)) for split in folder.splits)
    }
    assert read["train"] == [("4", "17", 0.0), ("30", "4", 1.0), ("4", "9", 1.0)]  # user 4 has too few
    assert read["valid"] == [("30", "5", 2.0)] and read["test"] == [("30", "5", 3.0)]
    assert "1 of 1 test pairs" not in " ".join(folder.notes) and "MicroLens-50k_pairs.csv" in folder.notes[0]


def test_reads_lists_without_time(microlens, tmp_path):
    (microlens / "MicroLens-50k_pairs.csv").unlink()
    (microlens / "MicroLens-50k_pairs.tsv").write_text("7\t3 1 2\r\n2\t1 3\n\n5\t2 9 1 3 \n")
    folder = convert("microlens", microlens, tmp_path / "out")
    folder.validate_interactions()
    assert not folder.ordered and folder.user_tokens == ["2", "5", "7"]
    tokens = {
        split: [
            (folder.user_tokens[u], folder.item_tokens[i])
            for u, i in zip(rows.users, rows.items, strict=True)
        ]
        for split, rows in ((split, folder.interactions(split)) for split in folder.splits)
    }
    assert tokens["train"] == [("7", "3"), ("2", "1"), ("2", "3"), ("5", "2"), ("5", "9")]
    assert tokens["valid"] == [("7", "1"), ("5", "1")] and tokens["test"] == [("7", "2"), ("5", "3")]


def test_titles_become_text_of_the_watched_videos(microlens, tmp_path):
    folder = convert("microlens", microlens, tmp_path / "out")
    assert folder.item_tokens == ["1", "2", "3", "9"]
    text = folder.features("text")
    assert text.present.tolist() == [True, True, True, False]  # video 9 has no title
    assert np.array_equal(text.values[0], text.values[1]) and not np.array_equal(
        text.values[0], text.values[2]
    )
    assert any(note.startswith("text: ") and "TF-IDF" in note for note in folder.notes)
    assert "1 titles of videos that nobody watched were left out" in folder.notes


@pytest.mark.parametrize(
    ("lines", "titles"),
    [
        ('item,title\n1,"cats, and ""dogs"""\n2,"\n3,fish\n', ['cats, and "dogs"', '"', "fish"]),
        (
            "\ufeff1,cats, and dogs\r\n2,more cats\nand dogs\n3,\n",
            ["cats, and dogs", "more cats and dogs", ""],
        ),
    ],
)
def test_titles_with_commas_quotes_and_line_breaks(tmp_path, lines, titles):
    path = tmp_path / "titles.csv"
    path.write_text(lines, encoding="utf-8")
    assert _read_titles(path) == dict(enumerate(titles, start=1))


def test_no_titles_are_normal(microlens, tmp_path):
    (microlens / "MicroLens-50k_titles.csv").unlink()
    assert convert("microlens", microlens, tmp_path / "out").modalities == {}


HEADER = "user,item,timestamp\n"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "pairs.csv",
            "user,video\n1,2\n",
            r"pairs\.csv, line 1: 'user,video'; one column 'videoID' or 'item'",
        ),
        (
            "pairs.csv",
            HEADER + "1,2,5\nann,2,5\n",
            r"pairs\.csv, line 3, column user: 'ann'; a whole number from 0",
        ),
        ("pairs.csv", HEADER + "1,2,soon\n", r"line 2, column timestamp: 'soon'; a finite number"),
        ("pairs.csv", HEADER + "1,2,5\n1,2,5,6\n", "not a readable table.*line 3"),
        (
            "pairs.csv",
            HEADER + f"1,2,{START}\n1,3,9\n",
            r"line 3: time 9 beside 1659500000000; one unit",
        ),
        ("pairs.csv", HEADER + "1,2,5\n1,3,6\n", "no valid interaction"),
        ("pairs.csv", b"user,item,timestamp\n1,\xff,3\n", "not a readable table"),
        ("pairs.tsv", "7 3 1 2\n", r"pairs\.tsv, line 1: '7 3 1 2'; a whole number from 0"),
        ("pairs.tsv", "7\t3 1 2\n8\t\n", r"pairs\.tsv, line 2: '8\\t'; a user, a tab and videos"),
        ("pairs.tsv", "7\t3 1 2\n7\t4 5\n", r"pairs\.tsv, line 2: user 7 appears a second time"),
        ("pairs.tsv", "7\t3 1 x\n", r"line 1: 'x'; a whole number"),
        ("pairs.tsv", "7\t3 1 " + "9" * 5000 + "\n", r"line 1: '9{80}'; a whole number"),
        ("titles.csv", "1,cat\nfish\n1,dog\n", r"titles\.csv, line 3: video 1 appears a second time"),
        ("titles.csv", "cat\n1,cat\n", r"titles\.csv, line 1: 'cat'; a video, a comma and its title"),
        ("titles.csv", "item,title\nfish\n", r"titles\.csv, line 2: 'fish'; a video, a comma"),
        ("titles.csv", "1,?\n2,!\n", r"titles\.csv: no title holds a word"),
        ("titles.csv", b"1,\xff\n", r"titles\.csv, byte 2: not UTF-8 text"),
    ],
)
def test_bad_files(microlens, tmp_path, name, text, message):
    if name.endswith("tsv"):
        (microlens / "MicroLens-50k_pairs.csv").unlink()
    (microlens / f"MicroLens-50k_{name}").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message):
        convert("microlens", microlens, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_or_ambiguous_files(microlens, tmp_path):
    (microlens / "MicroLens-100k_pairs.csv").write_text(HEADER)
    with pytest.raises(
        InputError, match=r"50k_pairs\.csv: stands beside MicroLens-100k_pairs\.csv; keep one"
    ):
        convert("microlens", microlens, tmp_path / "out")
    for path in microlens.glob("*pairs*"):
        path.unlink()
    with pytest.raises(
        InputError, match=r"microlens: neither a \*pairs\*\.csv nor a \*pairs\*\.tsv is there"
    ):
        convert("microlens", microlens, tmp_path / "out")
