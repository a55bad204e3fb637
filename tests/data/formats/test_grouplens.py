"""MovieLens in GroupLens' files, on a small folder of their schema."""

from __future__ import annotations

import numpy as np
import pytest

from mmbee_plugin.data.formats import convert
from mmbee_plugin.errors import InputError

RATINGS = "7::20::5::978300760\n2::41::1::978300275\n"


def test_reads_ratings_in_order_of_time_with_words_of_titles_and_genres(movielens, tmp_path):
    folder = convert("movielens", movielens, tmp_path / "out" / "ml-1m")
    folder.validate_interactions()
    assert (folder.kind, folder.ordered, folder.splits) == ("real", True, None)
    assert folder.source == "movielens files of the folder ml-1m"
    assert folder.user_tokens == ["2", "7"] and folder.item_tokens == ["3", "20", "41"]
    rows = folder.interactions()
    assert rows.users.tolist() == [0, 0, 1, 1] and rows.items.tolist() == [1, 2, 1, 0]
    assert rows.ratings.tolist() == [4.5, 1, 5, 3]
    assert rows.timestamps.tolist() == [978300100, 978300275, 978300760, 978302109]
    bag = folder.features("text")
    assert np.diff(bag.indptr).tolist() == [5, 2, 3]  # grumpier old men comedy romance; été drama; …
    items = (folder.path / "ml-1m.item").read_text().splitlines()
    assert items[:2] == [
        "item_id:token\tmovie_title:token_seq\tclass:token_seq",
        "3\tGrumpier: Old::Men (1995)\tComedy Romance",
    ]
    assert "Été" in items[2]
    assert (folder.path / "ml-1m.user").read_text().splitlines()[1] == "2\tM\t56\t16\t70072"
    assert any("1 films that nobody rated" in note for note in folder.notes)


def test_users_may_be_absent_and_utf_8_is_read_too(movielens, tmp_path):
    (movielens / "users.dat").unlink()
    films = movielens / "movies.dat"
    films.write_text(films.read_text(encoding="latin-1").replace("\n", "\r\n"), encoding="utf-8")
    folder = convert("movielens", movielens, tmp_path / "out" / "ml-1m")
    assert folder.user_tokens == ["2", "7"]
    assert "Été" in (folder.path / "ml-1m.item").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("ratings.dat", RATINGS + "7::20::5\n", r"ratings\.dat, line 3, column time: ''; a finite number"),
        ("ratings.dat", "7::x::5::1\n", r"ratings\.dat, line 1, column movie: 'x'; a whole number"),
        ("ratings.dat", RATINGS + "7::20::5::1::9\n", r"ratings\.dat: not a readable table: .*line 3"),
        ("ratings.dat", RATINGS + "7::99::5::1\n", r"movies\.dat: no line of 99, which ratings\.dat has"),
        (
            "movies.dat",
            "3::Grumpier\n",
            r"movies\.dat, line 1: '3::Grumpier'; an id, title, genres are needed",
        ),
        ("movies.dat", "3::One::War\n3::Again::War\n", r"movies\.dat, line 2: 3 appears a second time"),
        ("users.dat", "2::M::56::16::70072\n", r"users\.dat: no line of 7"),
        ("users.dat", "2::M::56\n", r"users\.dat, line 1: .*gender, age, occupation, zip_code are needed"),
        ("ratings.dat", "", "no interaction; the data is too small"),
    ],
)
def test_damaged_files_are_one_line(movielens, tmp_path, name, text, message):
    (movielens / name).write_text(text)
    with pytest.raises(InputError, match=message) as error:
        convert("movielens", movielens, tmp_path / "out" / "ml-1m")
    assert "\n" not in str(error.value) and not (tmp_path / "out" / "ml-1m").exists()


@pytest.mark.parametrize("name", ["ratings.dat", "movies.dat"])
def test_a_missing_file_is_named(movielens, tmp_path, name):
    (movielens / name).unlink()
    with pytest.raises(InputError, match=rf"{name}: cannot be read"):
        convert("movielens", movielens, tmp_path / "out" / "ml-1m")
