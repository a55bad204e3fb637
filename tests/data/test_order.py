"""What orders a folder's rows: times, a declaration, or nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.formats import convert
from mmbee_plugin.data.order import Order, chosen_row_order, drawn_order, order_lines
from mmbee_plugin.data.splits import check_split, chosen_split, split_words
from mmbee_plugin.errors import InputError

IDS = "user_id:token\titem_id:token"
TIMES = f"{IDS}\ttimestamp:float"
TIME, ROWS, NONE = Order("time", "with time"), Order("rows", "declared"), Order(None, "without time")


def write(tmp_path, header=TIMES, description=None, **times):
    """A folder `d` of a file each with these times, or of one file for `all`; rows without one for None."""
    folder = tmp_path / "d"
    folder.mkdir()
    for part, values in times.items():
        name = "d.inter" if part == "all" else f"d.{part}.inter"
        lines = [
            f"u{row % 2}\ti{row}" + ("" if time is None else f"\t{time}") for row, time in enumerate(values)
        ]
        columns = header if values[0] is not None else IDS
        (folder / name).write_text("\n".join([columns, *lines]) + "\n")
    if description is not None:
        (folder / "dataset.json").write_text(json.dumps(description))
    return folder


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ({"all": [3, 1, 2]}, None),
        ({"all": [0, 0, 0]}, "without time (timestamp:float is 0 in every row of d.inter)"),
        ({"all": ["7", "7.0", "7e0"]}, "without time (timestamp:float is 7 in every row of d.inter)"),
        ({"all": [None] * 3}, "without time"),
        ({"train": [1, 2], "valid": [3], "test": [4]}, None),
        (
            {"train": [1, 1], "valid": [2, 3], "test": [3, 4]},
            "without time (timestamp:float is 1 in every row of d.train.inter)",
        ),
        (
            {"train": [1, 2], "valid": [3], "test": [None]},
            "without time (d.test.inter has no timestamp:float)",
        ),
    ],
)
def test_times_count_where_they_differ(tmp_path, times, words):
    folder = DatasetFolder(write(tmp_path, **times))
    folder.validate_interactions()
    assert folder.order == Order("time", "with time") if words is None else Order(None, words)
    assert folder.ordered == (words is None) and f"; {folder.order.words}; " in folder.provenance()
    assert (folder.interactions().timestamps is None) == (words is not None)


def test_a_time_that_differs_late_is_found(tmp_path):
    assert not DatasetFolder(write(tmp_path, all=[5] * 70_000)).ordered
    (tmp_path / "d" / "d.inter").open("a").write("u\ti\t6\n")
    assert DatasetFolder(tmp_path / "d").ordered


@pytest.mark.parametrize("kind", [":token", ":token_seq", ":float_seq", ""])
def test_a_timestamp_of_another_type_is_refused(tmp_path, kind):
    folder = write(tmp_path, header=f"{IDS}\ttimestamp{kind}", all=[3, 1, 2])
    with pytest.raises(
        InputError, match=rf"d\.inter, line 1: column 'timestamp{kind}' cannot be read as times"
    ):
        DatasetFolder(folder)


@pytest.mark.parametrize("unit", [1e3, 1e6, 1e9])
def test_times_that_are_not_in_seconds_are_refused(tmp_path, unit):
    folder = DatasetFolder(write(tmp_path, all=[1_600_000_000, 5, int(1_600_000_001 * unit)]))
    with pytest.raises(
        InputError, match=r"d\.inter, line 4, column timestamp:float: '1.*' counts milliseconds or less"
    ):
        folder.validate_interactions()


@pytest.mark.parametrize("value", ["", "nan", "inf"])
def test_a_missing_time_is_refused(tmp_path, value):
    folder = DatasetFolder(write(tmp_path, all=[value, value, value]))
    with pytest.raises(
        InputError, match=r"d\.inter, line 2, column timestamp:float: .* is not a finite number"
    ):
        folder.validate_interactions()


def test_an_order_may_be_declared(tmp_path):
    folder = DatasetFolder(write(tmp_path, description={"ordered": True}, all=[None] * 3))
    assert folder.order.by == "rows" and not folder.ordered
    assert "; ordered by row (declared); " in folder.provenance()


def test_a_declaration_does_not_save_idle_times(tmp_path):
    folder = DatasetFolder(write(tmp_path, description={"ordered": True}, all=[0, 0, 0]))
    assert folder.order.by is None
    (folder.path / "dataset.json").write_text(json.dumps({"ordered": "yes"}))
    with pytest.raises(InputError, match="ordered: a bool is needed, found str"):
        DatasetFolder(folder.path)


def test_lists_in_time_order_are_declared_by_convert(tmp_path):
    source = tmp_path / "microlens"
    source.mkdir()
    (source / "pairs.tsv").write_text("7\t3 1 2 4\n5\t2 9 1 3\n")
    assert convert("microlens", source, tmp_path / "plain").order == NONE
    assert convert("microlens", source, tmp_path / "ordered", ordered=True).order.by == "rows"
    (source / "pairs.tsv").unlink()
    (source / "pairs.csv").write_text("user,item,timestamp\n1,2,5\n1,3,6\n1,4,7\n1,5,8\n")
    with pytest.raises(InputError, match="has times, which order its rows"):
        convert("microlens", source, tmp_path / "timed", ordered=True)


def test_idle_times_are_left_out_by_convert(tmp_path):
    source = tmp_path / "mmrec"
    source.mkdir()
    rows = "".join(f"{row % 2}\t{row}\t0\t{row % 3}\n" for row in range(9))
    (source / "a.inter").write_text("userID\titemID\ttimestamp\tx_label\n" + rows)
    folder = convert("mmrec", source, tmp_path / "d")
    assert folder.order == NONE
    assert "the times of the files are left out: they are 0 in every row" in folder.notes
    assert convert("mmrec", source, tmp_path / "d", force=True, ordered=True).order.by == "rows"


def test_which_row_order_is_taken():
    assert [chosen_row_order(order, None, "d") for order in (TIME, ROWS, NONE)] == ["file", "file", "random"]
    assert chosen_row_order(ROWS, "random", "d") == "random" and chosen_row_order(NONE, "file", "d") == "file"
    with pytest.raises(InputError, match="row_order random: d has time"):
        chosen_row_order(TIME, "random", "d")
    with pytest.raises(InputError, match="row_order 'rows': known are file, random"):
        chosen_row_order(NONE, "rows", "d")
    assert sorted(drawn_order(5, 1)) == [0, 1, 2, 3, 4] and not np.array_equal(
        drawn_order(50, 1), drawn_order(50, 2)
    )


def test_who_reads_the_files_order_is_said():
    reading = {"history": "prefix", "graph": {"folds": 3, "fold_by": "order"}, "train_newest": 3}
    assert order_lines(TIME, "file", reading) == order_lines(ROWS, "file", reading) == []
    (line,) = order_lines(NONE, "file", reading)
    assert line.startswith(
        "warning: row_order file takes the file's row order for time (so do history prefix, "
    )
    assert "graph.fold_by order, train_newest 3): see docs/decisions.md" in line
    (line,) = order_lines(NONE, "random", {"history": "others", "graph": {"folds": 0, "fold_by": "order"}})
    assert line == "Order: none in the data; rows are in one drawn from the seed"
    assert order_lines(NONE, "random", {"train_newest": 3}) == [f"{line}; train_newest 3 go by it"]


@pytest.mark.parametrize(
    ("order", "given", "words"),
    [
        (TIME, {}, "Split: 80/10/10 of each user's rows, by time, the newest held out"),
        (
            ROWS,
            {},
            "Split: 80/10/10 of each user's rows, by the order of rows (declared), the newest held out",
        ),
        (NONE, {}, "Split: 80/10/10 of each user's rows, at random"),
        (NONE, {"group_by": None, "split": {"RS": [6, 2, 2]}}, "Split: 60/20/20 of all rows, at random"),
        (
            TIME,
            {"order": "RO"},
            "warning: Split: 80/10/10 of each user's rows, at random, though the",
        ),
        (
            NONE,
            {"order": "TO"},
            "warning: Split: 80/10/10 of each user's rows, by the file's order of rows",
        ),
        (
            TIME,
            {"split": {"LS": "valid_and_test"}},
            "Split: leave one out, the newest row of each user is test, ",
        ),
        (
            TIME,
            {"split": {"LS": "test_only"}, "order": "RO"},
            "warning: Split: leave one out, the last drawn row ",
        ),
        (
            TIME,
            {"split": {"TS": [0.8, 0.1, 0.1]}},
            "Split: the newest 10 % of all rows are test, of the others each user's newest 11",
        ),
    ],
)
def test_a_split_in_words(order, given, words):
    eval_args = chosen_split(order, given)
    check_split(order, "file", eval_args, "d")
    assert split_words(order, None, eval_args).startswith(words)
    assert split_words(order, ["a", "b"], eval_args) == "Split: given, 2 files (a, b)"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"order": "TO"},
            "order TO: d is without time; order RO splits at random, row_order file by the file's rows",
        ),
        ({"split": {"TS": [0.8, 0.1, 0.1]}}, "split TS: d is without time"),
        ({"split": {"TS": [0.8, 0.1, 0.1]}, "order": "RO"}, "split TS: d is without time"),
        ({"split": {"RS": [0.8, 0.2]}}, r"split RS \[0.8, 0.2\]: three shares"),
        ({"split": {"RS": [0, 0.5, 0.5]}}, "split RS .*: three shares"),
    ],
)
def test_splits_that_cannot_be(given, message):
    with pytest.raises(InputError, match=f"eval_args.{message}"):
        check_split(NONE, "random", chosen_split(NONE, given), "d")
