"""Reader of MovieLens as GroupLens publishes it with `::` between fields (ml-1m, ml-10m): timed ratings, word bags.

`ratings.dat`: `UserID::MovieID::Rating::Timestamp`, seconds. `movies.dat`: `MovieID::Title::Genres`, genres with `|`
between. `users.dat`: `UserID::Gender::Age::Occupation::Zip-code`; ml-10m has none. Files are Latin-1, or UTF-8.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mmbee_plugin.data.formats.columns import IDS, read_numbers
from mmbee_plugin.data.formats.discovery import unread_note
from mmbee_plugin.data.formats.movielens import title_and_genre_bags
from mmbee_plugin.data.formats.numbered import source_line
from mmbee_plugin.data.pickles import read_bytes
from mmbee_plugin.data.writer import DatasetContent, Interactions
from mmbee_plugin.errors import InputError

RATINGS, MOVIES, USERS = "ratings.dat", "movies.dat", "users.dat"
FILM = ("title", "genres")
PERSON = ("gender", "age", "occupation", "zip_code")


def read(source: Path) -> DatasetContent:
    """Reads the folder, in order of time; raises InputError naming the bad file, line and value."""
    rated, films, people = (source / name for name in (RATINGS, MOVIES, USERS))
    columns = _read_ratings(rated)
    order = np.argsort(columns["time"], kind="stable")
    of_film = _read_rows(films, FILM)
    persons = _read_rows(people, PERSON) if people.exists() else None
    movies, movie_rows = _numbered(columns["movie"][order], of_film, films)
    users, user_rows = _numbered(columns["user"][order], persons, people)
    titles, genres = ([of_film[movie][place] for movie in movies] for place in range(2))
    notes = [f"text: words of {MOVIES}' titles, without years, and genres"]
    if unrated := len(of_film) - len(movies):
        notes.append(f"{unrated:,} films that nobody rated were left out")
    read_files = [rated, films, *([] if persons is None else [people])]
    return DatasetContent(
        source=source_line("movielens", source),
        kind="real",
        users=[str(user) for user in users],
        items=[str(movie) for movie in movies],
        interactions={
            "": Interactions(user_rows, movie_rows, columns["rating"][order], columns["time"][order])
        },
        features={"text": title_and_genre_bags(titles, [kinds.replace("|", " ") for kinds in genres])},
        user_columns={}
        if persons is None
        else {f"{name}:token": [persons[user][place] for user in users] for place, name in enumerate(PERSON)},
        item_columns={
            "movie_title:token_seq": titles,
            "class:token_seq": [g.replace("|", " ") for g in genres],
        },
        notes=[*notes, *unread_note(source, read_files)],
    )


def _read_ratings(path: Path) -> dict[str, np.ndarray]:
    """Columns user, movie, rating and time, (n,) float64 each."""
    # Between two colons lies an empty column.
    header = ("user", "1", "movie", "3", "rating", "5", "time")
    wanted = {"user": IDS, "movie": IDS, "rating": None, "time": None}
    return read_numbers(path, ":", header, wanted, titled=False)


def _read_rows(path: Path, names: tuple[str, ...]) -> dict[int, tuple[str, ...]]:
    """Fields after the id, by id. A title may hold `::`: it takes what the other fields leave."""
    content = read_bytes(path)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    rows: dict[int, tuple[str, ...]] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        key, _, rest = line.rstrip("\r").partition("::")
        first, *others = rest.rsplit("::", len(names) - 1)
        if not (key.isascii() and key.isdigit() and len(key) < 11) or len(others) < len(names) - 1:
            raise InputError(
                f"{path}, line {number}: {line[:80]!r}; an id, {', '.join(names)} are needed, with :: between"
            )
        if int(key) in rows:
            raise InputError(f"{path}, line {number}: {key} appears a second time; one line an id")
        rows[int(key)] = (_field(first), *map(_field, others))
    return rows


def _field(text: str) -> str:
    """A field of an atomic file: without tabs."""
    return " ".join(text.split())


def _numbered(
    ids: np.ndarray, known: Mapping[int, object] | None, path: Path
) -> tuple[list[int], np.ndarray]:
    """The ids that occur, ascending, and the place among them of each of `ids` (n,) float64; all must be `known`."""
    found, rows = np.unique(ids.astype(np.int64), return_inverse=True)
    tokens = found.tolist()
    for token in tokens:
        if known is not None and token not in known:
            raise InputError(f"{path}: no line of {token}, which {RATINGS} has")
    return tokens, rows.reshape(-1)
