"""Layout of a shards folder: the names of its files, and their description.

A shards folder is a dataset folder made ready for training: Parquet files of rows to stream, and arrays to map into
memory, indexed by row of `.user` or `.item` unless noted. ``F`` is ``fold-<f>/`` or empty (the whole graph)::

    shards.json                         the description
    train.parquet                       user, author, position, time and position_by_day (where there is time), fold
                                        (where cross-fitted), label (where labelled), segment and task_<name> (of
                                        live data)
    valid.parquet  test.parquet         user, author, time (where there is time), label (where labelled), segment (live
                                        data); by ascending user
    users.parquet  authors.parquet      token
    histories/{indptr,items,repeats}.npy  and times.npy where there is time
    users/known.npy                     (n_users,) bool: has a training row
    authors/{known,seen}.npy            (n_authors,) bool: has a training row, has one that trains its own vectors (a
                                        positive; of live data any)
    authors/category.npy                (n_authors,) int64: from 1, 0 where unknown; where there are categories
    {users,authors}/keys.npy            (n,) uint64: hash of the token
    authors/drawn.npy                   (n_authors + 1,) int64: positives among the rows of train.parquet, by table id
    features/<modality>/                values, present (dense) or indptr, words, present (bag); of live data
                                        values, present of segments, and mean, deviation, which standardise them
    segments/first.npy                  (S,) int64: row of the first segment of the same author
    segments/newest.npy                 (n_authors,) int64: newest segment at the end of training, -1 for none
    F lists/u/  F lists/a/              indptr, entries, rows: neighbours along all metapaths, as in a snapshot
    F attributes/<metapath>/<column>.npy  means over neighbours of dense modalities and of `statistics`
    F attributes/own/<column>.npy       the nodes' own columns, zero where absent; of a fold only where they differ
    F reach/                            the same for the users' long walk, ids ascending
    nodes_user.npy  nodes_author.npy    node vectors, where there are any
    nodes.json                          names of the two files that replace them, once retrained
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mmbee_plugin.errors import InputError, one_line
from mmbee_plugin.graph.settings import GraphSettings

DESCRIPTION = "shards.json"
NODES = {"u": "nodes_user", "a": "nodes_author"}
"""a side's table of node vectors"""
NODE_FILES = {side: f"{table}.npy" for side, table in NODES.items()}
NODE_PAIR = "nodes.json"
NODE_LOCK = ".nodes.lock"
"""held by a job that trains node vectors"""


class Modality(BaseModel):
    """A modality of the authors, or of live data's segments: dense vectors of a width, or bags of words from a
    vocabulary."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["dense", "bag"]
    width: int = Field(default=0, ge=0, description="of a dense modality")
    vocabulary: int = Field(default=0, ge=0, description="of a word bag")
    frames: int = Field(default=1, ge=1, description="vectors a segment has")


class Statistic(BaseModel):
    """Columns of users or authors that are averaged over neighbour lists."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(ge=1)
    end: Literal["u", "a"] = Field(description="whose columns they are")


class Live(BaseModel):
    """Properties of live data that static items lack."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    segments: int = Field(ge=0, description="rows of every modality's features")
    per_sample: int = Field(ge=1, description="newest segments of a sample that are sure to be there")
    tasks: tuple[str, ...] = Field(description="what training rows are labelled with besides gifts")


class Description(BaseModel):
    """The content of ``shards.json``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[4] = 4
    kind: Literal["real", "sample", "simulated"]
    provenance: str = Field(description="one line that stands beside every result")
    dataset: str = Field(description="hash of the dataset folder's files")
    snapshot: str | None = Field(description="key of the graph snapshot; None without a graph")
    graph: GraphSettings | None = Field(
        default=None, description="its settings; None without a graph, and in older folders"
    )
    users: int = Field(ge=1)
    authors: int = Field(ge=1)
    labelled: bool
    ordered: bool = Field(description="whether there is time")
    until: float | None = Field(
        description="time of the newest training row, in seconds since the data's first interaction; None without time"
    )
    categories: bool = Field(description="whether authors have categories")
    declared: bool = Field(
        default=False, description="whether rows are declared to stand in order, without time"
    )
    folds: int = Field(ge=0, description="parts for cross-fitting; 0 for none")
    metapaths: tuple[str, ...]
    top_k: int = Field(ge=0, description="neighbours of a list at most; 0 without a graph")
    exclude_own: bool = Field(description="whether lists leave out the node itself")
    reach: bool
    pooled_at: float | None = Field(
        default=None, description="reach_floor that long-walk lists with visits are made for; None without"
    )
    modalities: dict[str, Modality]
    statistics: dict[str, Statistic] = Field(
        default={}, description="what neighbours bring along beside dense modalities, of authors and users"
    )
    live: Live | None = Field(description="None where an author's content is its own")
    rows: tuple[int, ...] = Field(
        description="training rows of each fold, or of all where there are no folds"
    )
    positives: tuple[int, ...] = Field(
        description="of them those with label 1; all where nothing is labelled"
    )
    evaluated: dict[str, int] = Field(description="rows of valid and test; data of a day have no test")
    files: dict[str, int] = Field(description="bytes of every file but this and the node vectors")
    content: str | None = Field(
        default=None, description="digest over the names and sha256 of these files; None in older folders"
    )

    def has(self, array: str) -> bool:
        """Whether there is an array of this name."""
        return f"{array}.npy" in self.files

    def columns(self, modalities: Iterable[str]) -> dict[str, Statistic]:
        """Columns averaged over neighbours, in order: those of these modalities, then the statistics."""
        content = (name for name in modalities if self.has(f"attributes/own/{name}"))
        return {
            name: Statistic(width=self.modalities[name].width, end="a") for name in content
        } | self.statistics

    @property
    def identity(self) -> dict[str, str | None]:
        """Hash of the dataset, key of the graph snapshot, and a digest of the whole description, which has that of the
        files' content: rows, order, labels and categories that were chosen are in it."""
        unnamed = {
            name for name in ("statistics", "content", "graph") if not getattr(self, name)
        }  # of older folders
        made = hashlib.sha256(self.model_dump_json(exclude=unnamed).encode()).hexdigest()
        return {"dataset": self.dataset, "snapshot": self.snapshot, "description": made[:16]}


def read_description(folder: Path) -> Description:
    """Reads the description of a shards folder and checks the sizes of its files.

    Raises:
        InputError: no shards folder, one of another version, a file missing or cut; names the file.
    """
    source = folder / DESCRIPTION
    if not source.exists():
        raise InputError(
            f"{folder}: no shards folder, it has no {DESCRIPTION}; make it with `mmbee data shards`"
        )
    try:
        description = Description.model_validate_json(source.read_bytes())
    except OSError as error:
        raise InputError(f"{source}: cannot be read ({one_line(error)})") from None
    except ValidationError as error:
        first = error.errors()[0]
        entry = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{source}: {f'{entry}: ' if entry else ''}{first['msg']}; write the shards again"
        ) from None
    for name, size in description.files.items():
        try:
            found = (folder / name).stat().st_size
        except OSError as error:
            raise InputError(f"{folder / name}: {one_line(error)}; write the shards again") from None
        if found != size:
            raise InputError(f"{folder / name}: {found} bytes, expected {size}; write the shards again")
    return description


def node_pair(folder: Path) -> tuple[Path, Path] | None:
    """The files of the users' and the authors' node vectors; None if there are none.

    Raises:
        InputError: one of the two is missing, or ``nodes.json`` does not name two files.
    """
    source, names = folder / NODE_PAIR, NODE_FILES
    if source.exists():
        try:
            names = json.loads(source.read_text(encoding="utf-8"))
            users, authors = (folder / Path(names[side]).name for side in NODE_FILES)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{source}: does not name two files ({error}); train the vectors again"
            ) from None
    else:
        users, authors = (folder / name for name in NODE_FILES.values())
        if not users.exists() and not authors.exists():
            return None
    for file in (users, authors):
        if not file.exists():
            raise InputError(f"{file}: missing, of two tables of node vectors; train them again")
    return users, authors
