"""Reads and writes RecBole's atomic files (tab-separated, header `name:type`); errors name the first bad row."""

from __future__ import annotations

import math
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mmbee_plugin.errors import InputError, one_line

USER, ITEM = "user_id:token", "item_id:token"
RATING, TIMESTAMP = "rating:float", "timestamp:float"
MILLISECONDS = 1e11
"""the year 5138 in seconds, 1973 in milliseconds; times from here on are not in seconds"""
TYPES = ("token", "token_seq", "float", "float_seq")

# "No value" to pandas, and so to RecBole: a user of this token would silently become the padding row.
MISSING_TOKENS = frozenset(
    (
        *("", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null", "#N/A", "#N/A N/A", "#NA"),
        *("-NaN", "-nan", "1.#IND", "1.#QNAN", "-1.#IND", "-1.#QNAN"),
    )
)


@dataclass(frozen=True)
class InteractionTable:
    """The rows of an `.inter` file, in file order.

    Shapes:
        - users, items: (n,) codes into their categories, the tokens
        - ratings, timestamps: (n,) float64, or None without the column
    """

    path: Path
    users: pd.Categorical
    items: pd.Categorical
    ratings: np.ndarray | None
    timestamps: np.ndarray | None

    def __len__(self) -> int:
        return len(self.users)


def read_header(path: Path) -> list[str]:
    """Columns `name:type` of an atomic file. Raises InputError for an unreadable header or a repeated column."""
    try:
        with path.open("rb") as stream:
            line = stream.readline(1 << 20)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({one_line(error)})") from None
    try:
        columns = line.decode("utf-8-sig").rstrip("\r\n").split("\t")
    except UnicodeDecodeError:
        raise InputError(f"{path}, line 1: the header is not UTF-8 text") from None
    for column in columns:
        if columns.count(column) > 1:
            raise InputError(f"{path}, line 1: column {column[:80]!r} appears twice; each may appear once")
    return columns


def read_interaction_table(path: Path) -> InteractionTable:
    """Reads an `.inter` file; a million rows take about a second.

    Raises InputError naming file, line and value: no `user_id:token` or `item_id:token` column, a row of another width
    than the header, an empty token or one that means "missing", a rating or timestamp that is not a finite number, a
    timestamp in milliseconds or a smaller unit.
    """
    columns = read_header(path)
    for needed in (USER, ITEM):
        if needed not in columns:
            found = ", ".join(columns)[:200]
            raise InputError(
                f"{path}, line 1: no column {needed!r}, found {found!r}; columns are separated by tabs"
            )
    frame = _read_frame(path, columns, (RATING, TIMESTAMP))
    numbers = {name: frame[name].to_numpy() for name in (RATING, TIMESTAMP) if name in columns}
    users, items = (frame[name].astype("category").array for name in (USER, ITEM))
    suspect = (
        any(not np.isfinite(values).all() for values in numbers.values())
        or (TIMESTAMP in numbers and (np.abs(numbers[TIMESTAMP]) >= MILLISECONDS).any())
        or any(_bad_token(str(token)) for array in (users, items) for token in array.categories)
    )
    if suspect:
        raise first_bad_row(path) or _unexplained(path, "a token or a number is missing")
    return InteractionTable(path, users, items, numbers.get(RATING), numbers.get(TIMESTAMP))


def read_fields(path: Path, chosen: Container[str] | None, left_out: Container[str]) -> pd.DataFrame:
    """Reads columns of an atomic file, named without their types (see :func:`field_types`).

    Only tabs and line ends are special; quotation marks and `#` are text. In `float` columns an empty field or a word
    of `MISSING_TOKENS` is NaN; in all others only an empty field is missing, and None.

    Args:
        chosen: names of the columns to read; None for all.
        left_out: names of columns not to read.

    Raises:
        InputError: as `field_types`; a row of another width or a field that is no number, with file, line and value.
    """
    kept = {
        column: name
        for column, name in zip(read_header(path), field_types(path), strict=True)
        if (chosen is None or name in chosen) and name not in left_out
    }
    floats = [column for column in kept if column.endswith(":float")]
    frame = _read_frame(path, read_header(path), floats, list(kept))
    for column in kept.keys() - set(floats):
        texts = frame[column].astype(object)
        frame[column] = texts.where(texts != "", None)
    return frame.rename(columns=kept)


def field_types(path: Path) -> dict[str, str]:
    """Name to type, one of `TYPES`, of the columns of an atomic file. Raises InputError for another header."""
    types: dict[str, str] = {}
    for column in read_header(path):
        name, _, kind = column.rpartition(":")
        if not name or kind not in TYPES:
            raise InputError(
                f"{path}, line 1: column {column[:80]!r} is no name:type; the types are {', '.join(TYPES)}"
            )
        if name in types:
            raise InputError(f"{path}, line 1: column {name[:80]!r} appears twice; each may appear once")
        types[name] = kind
    return types


def first_bad_row(path: Path, known: Mapping[str, Collection[str]] | None = None) -> InputError | None:
    """Error for the first bad row of an atomic file, with line and value; None if all rows are good.

    Args:
        path: the file, whose header is good.
        known: column to its allowed tokens, such as `{"user_id:token": users}`; other columns allow any.
    """
    columns = read_header(path)
    for number, row in _rows(path):
        if isinstance(row, InputError):
            return row
        if len(row) != len(columns):
            return InputError(f"{path}, line {number}: {len(row)} columns, the header has {len(columns)}")
        for column, value in zip(columns, row, strict=True):
            where = f"{path}, line {number}, column {column}: {value[:80]!r}"
            if "\0" in value:
                return InputError(f"{where} holds a zero byte, which no field may")
            if column in (RATING, TIMESTAMP) and not _finite(value):
                return InputError(f"{where} is not a finite number")
            if column == TIMESTAMP and abs(float(value)) >= MILLISECONDS:
                return InputError(f"{where} counts milliseconds or less; times must be in seconds")
            if column.endswith(":float") and value not in MISSING_TOKENS and not _number(value):
                return InputError(f"{where} is not a number")
            if column in (USER, ITEM) and _bad_token(value):
                return InputError(
                    f"{where} cannot be a token: RecBole reads it as a missing or a quoted value"
                )
            if known is not None and column in known and value not in known[column]:
                return InputError(f"{where} is unknown; the dataset lists {len(known[column]):,} such tokens")
    return None


def read_tokens(path: Path, column: str) -> list[str]:
    """Tokens of a `.user` or `.item` file in file order, which is the row order of all arrays of the dataset.

    Raises InputError for a missing column, a row of another width, an invalid token, or one that appears twice.
    """
    columns = read_header(path)
    if column not in columns:
        raise InputError(f"{path}, line 1: no column {column!r}, found {', '.join(columns)[:200]!r}")
    place = columns.index(column)
    lines: dict[str, int] = {}
    for number, row in _rows(path):
        if isinstance(row, InputError):
            raise row
        if len(row) != len(columns):
            raise InputError(f"{path}, line {number}: {len(row)} columns, the header has {len(columns)}")
        token = row[place]
        if _bad_token(token):
            raise InputError(_not_a_token(f"{path}, line {number}, column {column}: {token[:80]!r}"))
        if token in lines:
            raise InputError(
                f"{path}, line {number}: {token[:80]!r} appears a second time (line {lines[token]})"
            )
        lines[token] = number
    return list(lines)


def write_table(path: Path, columns: dict[str, Sequence[str] | np.ndarray]) -> None:
    """Writes an atomic file of `columns`: `name:type` to one value per row."""
    pd.DataFrame(columns).to_csv(
        path, sep="\t", index=False, quoting=3, lineterminator="\n", encoding="utf-8"
    )


def _rows(path: Path) -> Iterator[tuple[int, list[str] | InputError]]:
    """Line number (the header's is 1) and fields of each line that is not blank; an error if it is not UTF-8."""
    with path.open("rb") as stream:
        # A lone carriage return ends a line too, as in pandas.
        lines = stream.read().splitlines()
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip(b" "):
            continue
        try:
            yield number, line.decode("utf-8").split("\t")
        except UnicodeDecodeError:
            yield number, InputError(f"{path}, line {number}: not UTF-8 text")


def _bad_token(token: str) -> bool:
    return token in MISSING_TOKENS or token.startswith('"')


def _not_a_token(where: str) -> str:
    return f"{where} cannot be a token: RecBole reads it as a missing or a quoted value"


def _finite(value: str) -> bool:
    return _number(value) and math.isfinite(float(value))


def _number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _read_frame(
    path: Path, columns: list[str], floats: Collection[str], kept: list[str] | None = None
) -> pd.DataFrame:
    """Reads the columns `kept` (None: all), named as in the header: `floats` as float64, others as categories of text.

    Raises InputError naming the first row of another width than the header or without a number in `floats`.
    """
    try:
        frame = pd.read_csv(
            path, sep="\t", header=0, names=columns, usecols=kept, quoting=3, low_memory=False, encoding="utf-8",
            dtype={name: np.dtype(np.float64) if name in floats else "category" for name in columns},
            keep_default_na=False, na_values={name: list(MISSING_TOKENS) for name in floats},
            float_precision="round_trip", index_col=False if kept is not None else None,
        )  # fmt: skip
        tabs, zeros = (sum(chunk.count(byte) for chunk in _chunks(path)) for byte in (b"\t", b"\0"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({one_line(error)})") from None
    except (ValueError, OverflowError) as error:  # pandas' ParserError and UnicodeDecodeError are ValueErrors
        raise first_bad_row(path) or _unexplained(path, str(error)) from None
    # pandas silently pads short rows, makes an index of long ones, and ends fields at zero bytes.
    ragged = not isinstance(frame.index, pd.RangeIndex) or tabs != (len(frame) + 1) * (len(columns) - 1)
    if ragged or zeros:
        raise first_bad_row(path) or _unexplained(path, "rows and header do not agree")
    return frame


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            yield chunk


def _unexplained(path: Path, reason: str) -> InputError:
    return InputError(f"{path}: not a readable atomic file ({' '.join(reason.split())[:200]})")
