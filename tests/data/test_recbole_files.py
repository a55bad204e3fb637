from __future__ import annotations

import time

import numpy as np
import pytest

from mmbee_plugin.data.recbole_files import first_bad_row, read_interaction_table, read_tokens, write_table
from mmbee_plugin.errors import InputError

HEADER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"


def _write(tmp_path, text):
    path = tmp_path / "d.inter"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_reads_tokens_as_text_and_numbers_as_floats(tmp_path):
    table = read_interaction_table(_write(tmp_path, HEADER + "007\tx\t3\t1e3\n7\tx y\t4.5\t-2\n"))
    assert table.users.tolist() == ["007", "7"]
    assert table.items.tolist() == ["x", "x y"]
    assert table.ratings.tolist() == [3, 4.5] and table.timestamps.tolist() == [1000, -2]


def test_other_columns_and_orders_are_fine(tmp_path):
    table = read_interaction_table(
        _write(tmp_path, "item_id:token\tlabel:float\tuser_id:token\r\na\t\tu\r\n\r\nb\t1\tv")
    )
    assert table.users.tolist() == ["u", "v"] and table.items.tolist() == ["a", "b"]
    assert table.ratings is None and table.timestamps is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: no column 'user_id:token'"),
        (
            "user_id:token\titem_id\n1\t2\n",
            "line 1: no column 'item_id:token', found 'user_id:token, item_id'",
        ),
        ("user_id:token,item_id:token\n1,2\n", "columns are separated by tabs"),
        ("user_id:token\titem_id:token\tuser_id:token\n1\t2\t3\n", "'user_id:token' appears twice"),
        (HEADER + "1\t2\t3\t4\n1\t2\t3\n", "line 3: 3 columns, the header has 4"),
        (HEADER + "1\t2\t3\t4\t5\n", "line 2: 5 columns, the header has 4"),
        (HEADER + "1\t2\t3\t4\n1\t2\t3\t4\t5\n", "line 3: 5 columns, the header has 4"),
        (HEADER + "1\t2\tgood\t4\n", "line 2, column rating:float: 'good' is not a finite number"),
        (HEADER + "1\t2\t3\t4\n1\t2\t3\tinf\n", "line 3, column timestamp:float: 'inf'"),
        (HEADER + "1\t2\tnan\t4\n", "line 2, column rating:float: 'nan'"),
        (HEADER + "1\t\t3\t4\n", "line 2, column item_id:token: '' cannot be a token"),
        (HEADER + "1\t2\t3\t4\n\nNA\t2\t3\t4\n", "line 4, column user_id:token: 'NA' cannot be a token"),
        (HEADER + '"1\t2\t3\t4\n', "cannot be a token"),
        (HEADER.encode() + b"1\t2\t3\t4\n1\t\xff\t3\t4\n", "line 3: not UTF-8"),
        (b"\xff\t2\n", "line 1: the header is not UTF-8"),
    ],
)
def test_names_the_line_and_value_of_bad_input(tmp_path, text, message):
    with pytest.raises(
        InputError, match=rf"d\.inter, {message}" if message.startswith("line") else message
    ) as caught:
        read_interaction_table(_write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_no_such_file(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_interaction_table(tmp_path / "none.inter")


def test_finds_the_first_unknown_token(tmp_path):
    path = _write(tmp_path, HEADER + "u\ta\t1\t1\nu\tb\t1\t1\n")
    error = first_bad_row(path, {"user_id:token": {"u"}, "item_id:token": {"a"}})
    assert "line 3, column item_id:token: 'b' is unknown" in str(error)
    assert first_bad_row(path, {"user_id:token": {"u"}}) is None


def test_tokens_fix_the_row_order(tmp_path):
    path = _write(tmp_path, "genre:token\titem_id:token\nA\t9\nB\t10\n\nB\t1\n")
    assert read_tokens(path, "item_id:token") == ["9", "10", "1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("item_id:token\na\nb\na\n", r"line 4: 'a' appears a second time \(line 2\)"),
        ("item_id:token\na\tb\n", "line 2: 2 columns"),
        ("item_id:token\nnull\n", "line 2, column item_id:token: 'null' cannot be a token"),
        ("id:token\na\n", "line 1: no column 'item_id:token'"),
    ],
)
def test_bad_tokens(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_tokens(_write(tmp_path, text), "item_id:token")


def test_a_million_rows_take_seconds(tmp_path):
    rng = np.random.default_rng(0)
    users, items = rng.integers(50_000, size=1_000_000), rng.integers(20_000, size=1_000_000)
    path = tmp_path / "big.inter"
    write_table(
        path, {"user_id:token": users, "item_id:token": items, "timestamp:float": np.arange(1_000_000)}
    )
    start = time.process_time()
    table = read_interaction_table(path)
    assert time.process_time() - start < 10  # about 1 s on one free core
    assert np.array_equal(table.users.astype(np.int64), users) and np.array_equal(
        table.items.astype(np.int64), items
    )
