"""Content of data whose users and items are numbered from 0 and whose item i is row i of every feature file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from mmbee_plugin.data.arrays import read_array
from mmbee_plugin.data.features import BagFeatures
from mmbee_plugin.data.formats.discovery import Found, pairing_note, unread_note
from mmbee_plugin.data.writer import DatasetContent, Interactions, SourceFeatures
from mmbee_plugin.errors import InputError


def source_line(form: str, source: Path) -> str:
    """The `source` entry of a converted dataset: format and folder name, without the machine's path."""
    return f"{form} files of the folder {source.absolute().name}"


def open_source(path: Path) -> SourceFeatures:
    """Opens a dense feature file memory-mapped: (rows, D) floats."""
    return SourceFeatures(read_array(path, dimensions=2, kinds="f"), path)


def number_tokens(count: int) -> list[str]:
    """Tokens "0", "1", … of numbered users or items."""
    return [str(number) for number in range(count)]


def numbered_content(
    form: str,
    source: Path,
    counts: tuple[int, int],
    interactions: dict[str, Interactions],
    features: Mapping[str, SourceFeatures | BagFeatures],
    found: Found,
    read: Iterable[Path],
) -> DatasetContent:
    """Content of a real dataset with numbers as tokens, with notes on its files.

    Args:
        counts: number of users and of items.
        found: the feature files.
        read: the other files that were read.
    """
    n_users, n_items = counts
    notes = [
        found.note(),
        *pairing_note(found, n_items),
        *unread_note(source, [*read, *found.files.values()]),
    ]
    return DatasetContent(
        source=source_line(form, source),
        kind="real",
        users=number_tokens(n_users),
        items=number_tokens(n_items),
        interactions=interactions,
        features=dict(features),
        notes=notes,
    )


def count_of_ids(largest: int, n_pairs: int, path: Path) -> int:
    """`largest` + 1; raises InputError if that is implausible for `n_pairs` interactions."""
    if largest >= max(1_000_000, 100 * n_pairs):
        raise InputError(
            f"{path}: ids run up to {largest:,} with {n_pairs:,} interactions; they count from 0 without gaps"
        )
    return largest + 1


def item_count(n_items: int, features: Mapping[str, SourceFeatures], *, exact: bool) -> int:
    """Number of items: rows of the dense features, or `n_items` without any.

    Args:
        n_items: number of items according to the interactions.
        exact: whether `n_items` is exact; otherwise it is a lower bound.

    Raises:
        InputError: a feature file whose number of rows contradicts `n_items` or another file.
    """
    for entry in features.values():
        rows = len(entry.values)
        if rows < n_items or (exact and rows != n_items):
            raise InputError(
                f"{entry.source}: {rows:,} rows, the interactions need {n_items:,} items; one row an item"
            )
        n_items, exact = rows, True
    return n_items
