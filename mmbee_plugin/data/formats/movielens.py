"""Makes MovieLens-100k from the files in RecBole's wheel: timed ratings, word bags of titles and genres."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np

from mmbee_plugin.command.extras import missing
from mmbee_plugin.data.features import BagFeatures, bag_from_pairs
from mmbee_plugin.data.recbole_files import ITEM, USER, first_bad_row, read_header, read_interaction_table
from mmbee_plugin.data.writer import DatasetContent, Interactions, write_folder
from mmbee_plugin.errors import InputError

TITLE, GENRES = "movie_title:token_seq", "class:token_seq"
WORD = re.compile(r"\w+(?:['’]\w+)*")


def write(folder: Path, *, force: bool = False) -> None:
    """Writes MovieLens-100k as the dataset folder `folder`, in order of time.

    Raises InputError if RecBole is not installed or lacks the files, or as `write_folder`.
    """
    source = _example_folder()
    table = read_interaction_table(source / "ml-100k.inter")
    if table.ratings is None or table.timestamps is None:
        raise InputError(f"{table.path}: rating:float and timestamp:float are needed")
    user_columns = _read_columns(source / "ml-100k.user")
    item_columns = _read_columns(source / "ml-100k.item")
    users, items = user_columns.pop(USER), item_columns.pop(ITEM)
    rows = {}
    for column, codes, tokens in ((USER, table.users, users), (ITEM, table.items, items)):
        row_of = {token: row for row, token in enumerate(tokens)}
        try:
            rows[column] = np.array([row_of[token] for token in codes.categories], dtype=np.int64)[
                codes.codes
            ]
        except KeyError:
            raise first_bad_row(table.path, {column: row_of}) or InputError(
                f"{table.path}: unknown {column}"
            ) from None
    order = np.argsort(table.timestamps, kind="stable")
    content = DatasetContent(
        source="MovieLens-100k as carried by RecBole; text = words of title and genres",
        kind="real",
        users=users,
        items=items,
        interactions={
            "": Interactions(
                rows[USER][order], rows[ITEM][order], table.ratings[order], table.timestamps[order]
            )
        },
        features={"text": title_and_genre_bags(item_columns[TITLE], item_columns[GENRES])},
        user_columns=user_columns,
        item_columns=item_columns,
    )
    write_folder(folder, content, force=force)


def title_and_genre_bags(titles: list[str], genres: list[str]) -> BagFeatures:
    """One bag per film: the words of its title in lower case, without the year, and its genres.

    Ids follow alphabetical order; genres are words such as `genre:drama`, distinct from title words.
    """
    bags = [
        [
            *WORD.findall(re.sub(r"\(\d{4}\)", "", title).lower()),
            *(f"genre:{genre.lower()}" for genre in kinds.split()),
        ]
        for title, kinds in zip(titles, genres, strict=True)
    ]
    number = {word: place for place, word in enumerate(sorted({word for bag in bags for word in bag}))}
    rows = np.repeat(np.arange(len(bags)), [len(bag) for bag in bags])
    words = np.array([number[word] for bag in bags for word in bag], dtype=np.int64)
    return bag_from_pairs(rows, words, len(bags), len(number))


def _example_folder() -> Path:
    # Importing RecBole takes seconds.
    spec = importlib.util.find_spec("recbole")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "dataset_example" / "ml-100k"
        if (folder / "ml-100k.inter").exists():
            return folder
    raise missing("recbole", "ml-100k, whose files come with RecBole,")


def _read_columns(path: Path) -> dict[str, list[str]]:
    """Columns of a `.user` or `.item` file as text, by header name."""
    header = read_header(path)
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise InputError(f"{path}, line {number}: {len(row)} columns, the header has {len(header)}")
    columns = {name: [row[place] for row in rows] for place, name in enumerate(header)}
    for needed in (TITLE, GENRES, ITEM) if path.suffix == ".item" else (USER,):
        if needed not in columns:
            raise InputError(f"{path}, line 1: no column {needed!r}")
    return columns
