"""Categories of items, from a column of the `.item` file."""

from __future__ import annotations

import pytest

from mmbee_plugin.data.categories import read_categories
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError


@pytest.fixture
def item_file(tmp_path):
    file = tmp_path / "x.item"

    def write(header, *rows):
        file.write_text("\n".join(["\t".join(header), *("\t".join(row) for row in rows)]) + "\n")
        return file

    return write


def test_names_become_numbers_and_missing_ones_0(item_file):
    rows = ("a", "07"), ("b", ""), ("c", "7"), ("d", "nan"), ("e", "07")
    assert read_categories(item_file(("item_id:token", "category:token"), *rows), 5).tolist() == [
        1,
        0,
        2,
        0,
        1,
    ]
    assert read_categories(item_file(("item_id:token", "kind:token"), *rows), 5) is None
    assert read_categories(item_file(("item_id:token", "kind:token"), *rows), 5, "kind").tolist() == [
        1,
        0,
        2,
        0,
        1,
    ]


def test_data_without_categories_have_none(item_file, tmp_path):
    assert read_categories(tmp_path / "none.item", 3) is None
    assert read_categories(item_file(("item_id:token",), ("a",)), 1) is None
    assert read_categories(item_file(("item_id:token", "category:token"), ("a", "")), 1) is None
    assert read_categories(item_file(("item_id:token", "category:token_seq"), ("a", "x y")), 1) is None


@pytest.mark.parametrize(
    ("header", "field", "message"),
    [
        (
            "genre:token",
            "kind",
            "category_field kind: no column 'kind:token'; columns of one token an item: genre",
        ),
        ("class:token_seq", "class", "column 'class:token_seq' has no single tokens; .*: none"),
        ("year:float", "year", "column 'year:float' has no single tokens"),
        ("empty:token", "empty", "column empty:token: no item has a value"),
    ],
)
def test_a_column_that_cannot_be_searched_by_is_named(item_file, header, field, message):
    file = item_file(("item_id:token", header), ("a", "" if field == "empty" else "1"))
    with pytest.raises(InputError, match=rf"x\.item, .*{message}"):
        read_categories(file, 1, field)


def test_a_named_column_needs_an_item_file(tmp_path):
    with pytest.raises(InputError, match=r"x\.item, category_field kind: no column 'kind:token'"):
        read_categories(tmp_path / "x.item", 1, "kind")


def test_a_live_folder_has_them(live_path):
    assert sorted(set(DatasetFolder(live_path).categories().tolist())) == [1, 2]
