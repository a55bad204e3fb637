"""A snapshot: the output of one graph stage in a folder, checked when read.

Every file but the manifest is one array, read through the page cache::

    manifest.json
    u2a/  a2a/                          indptr, indices, data: CSR, sorted columns
    F lists/u/  F lists/a/              indptr, entries, rows: the users' and the authors' lists along all metapaths
                                        (:class:`~mmbee_plugin.graph.lists.PackedLists`)
    steps/u/  steps/a/                  the same of the graphs' normalised edges, if a topology is stored
                                        (:mod:`~mmbee_plugin.graph.topology`)
    F reach/                            the same for the users' long walk, by ascending author
    F attributes/<column>.<metapath>.npy  and .fraction.npy: means over neighbours
    F attributes/own/<column>.npy       the nodes' own values; of a fold only where they differ
    nodes_user.npy  nodes_author.npy    node vectors
    names/u/  names/a/                  ends, text: the nodes' tokens by row (:mod:`~mmbee_plugin.graph.names`)

``F`` is ``fold-<f>/``, what the graph without fold f gives, or empty: the whole graph.
"""

import json
import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.attributes import MeanAttributes, brought
from mmbee_plugin.graph.files import SnapshotFile, read_npy
from mmbee_plugin.graph.lists import PackedLists, keeps_self
from mmbee_plugin.graph.metapaths import Metapath, Neighbours
from mmbee_plugin.graph.names import Names, unpacked_tokens
from mmbee_plugin.graph.settings import GraphSettings

SCHEMA = "mmbee-graph-3"
"""layout of the files"""
CONTENT = "mmbee-graph-2"
"""what is computed; part of a snapshot's key, so it changes where an equal input gives other lists"""
ENTRIES = {"key": str, "settings": dict, "counts": dict, "columns": dict, "files": dict, "stages": list}
"""required entries of a manifest and their types"""


@dataclass(frozen=True)
class Snapshot:
    """An opened snapshot. Its files are checked against their hashes when first read.

    Reading raises InputError if a file was not stored or has changed.
    """

    path: Path
    manifest: dict = field(repr=False)
    _opened: dict[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, path: str | Path) -> "Snapshot":
        """Opens a published snapshot and checks its manifest and the sizes of its files.

        Raises:
            InputError: no snapshot, another schema, a bad manifest, or a file missing or of another size.
        """
        folder = Path(path)
        source = folder / "manifest.json"
        try:
            manifest = json.loads(source.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise InputError(f"{source}: no such file, expected the manifest of a graph snapshot") from None
        except (OSError, ValueError) as error:
            raise InputError(
                f"{source}: not a readable manifest ({error}); build the snapshot again"
            ) from None
        if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
            found = manifest.get("schema") if isinstance(manifest, dict) else manifest
            raise InputError(
                f"{source}: schema {found!r}, expected {SCHEMA!r}; `mmbee graph build` builds it again"
            )
        for entry, kind in ENTRIES.items():
            if not isinstance(manifest.get(entry), kind):
                raise InputError(
                    f"{source}: {entry!r} is missing or no {kind.__name__}; build the snapshot again"
                )
        for side in ("users", "authors"):
            if not isinstance(manifest["counts"].get(side), int):
                raise InputError(f"{source}: counts.{side} is missing or no int; build the snapshot again")
        for name, entry in manifest["files"].items():
            if not isinstance(entry, dict) or set(entry) != {"size", "sha256"}:
                raise InputError(f"{source}: files.{name} is no size and sha256; build the snapshot again")
        if manifest["key"] != folder.resolve().name:
            raise InputError(f"{source}: its key {manifest['key']} is not its folder's name, {folder.name}")
        snapshot = cls(folder, manifest)
        for name in manifest["files"]:
            snapshot._file(name).check_size()
        return snapshot

    def check(self) -> None:
        """Checks the hash of every file; raises InputError for the first that differs."""
        for name in self.manifest["files"]:
            self._file(name).check_hash()

    @property
    def settings(self) -> GraphSettings:
        return GraphSettings(**self.manifest["settings"])

    @property
    def n_users(self) -> int:
        return self.manifest["counts"]["users"]

    @property
    def n_authors(self) -> int:
        return self.manifest["counts"]["authors"]

    @property
    def refreshed(self) -> Mapping[str, Any] | None:
        """None for exact lists. Else what they were refreshed from (:mod:`~mmbee_plugin.graph.refresh`): the ``from``
        key, the key of the last ``exact`` snapshot, refreshes ``in_a_row`` since, the shares of ``users`` and
        ``authors`` with new lists, and entries ``dropped`` from kept lists, by path, as their nodes are gone."""
        return self.manifest.get("refreshed")

    @property
    def newest(self) -> float | None:
        """Seconds since 1970 of the newest gift; None if it is not known."""
        return self.manifest.get("newest")

    @property
    def has_names(self) -> bool:
        """Whether the tokens of its nodes are stored."""
        return "names/u/ends.npy" in self.manifest["files"]

    def array(self, name: str) -> np.ndarray:
        """The array of a file, memory-mapped."""
        if name not in self._opened:
            self._opened[name] = read_npy(self._file(name))
        return self._opened[name]

    def rest(self) -> None:
        """Gives back the memory of all pages read so far; they are read again, from the system's cache, when needed.

        Pages of mapped files count as a process's memory until then, so those of a large snapshot would fill it up.
        """
        for array in self._opened.values():
            if isinstance(array.base, mmap.mmap):  # an empty array has no map
                array.base.madvise(mmap.MADV_DONTNEED)

    def names(self, side: str) -> list[str]:
        """Tokens of the users (``u``) or authors (``a``), in the order of their rows."""
        ends, text = (self.array(f"names/{side}/{name}.npy") for name in ("ends", "text"))
        return unpacked_tokens(ends, text)

    def is_named(self, names: Names) -> bool:
        """Whether its nodes have these tokens. A snapshot without tokens may have."""
        return not self.has_names or all(
            np.array_equal(self.array(name), array) for name, array in names.arrays().items()
        )

    def u2a(self) -> csr_matrix:
        """float32 (n_users, n_authors)."""
        return self._graph("u2a", self.n_users)

    def a2a(self) -> csr_matrix:
        """float32 (n_authors, n_authors)."""
        return self._graph("a2a", self.n_authors)

    def lists(self, side: str, fold: int | None = None) -> PackedLists:
        """Lists of the users (``u``) or authors (``a``) along all metapaths, memory-mapped; with ``fold``, those in the
        graph without this fold."""
        settings = self.settings
        paths = [Metapath.parse(name) for name in settings.metapaths if name[0] == side]
        with_self = tuple(keeps_self(path, settings.exclude_own) for path in paths)
        ends = {path.name: path.end for path in paths}
        return self._packed(f"{fold_folder(fold)}lists/{side}", side, ends, with_self, settings.top_k)

    def neighbours(self, metapath: str, fold: int | None = None) -> Neighbours:
        """Each node's neighbours along a metapath, copied; ``fold`` as in ``lists``."""
        path = Metapath.parse(metapath)
        if path.name not in self.settings.metapaths:
            raise InputError(
                f"{self.path}: {path.name} is not in this snapshot, its settings did not ask for it"
            )
        return self.lists(path.start, fold).along(path.name).all()

    def reach(self, fold: int | None = None) -> Neighbours:
        """The users' reach lists, by ascending author, copied; ``fold`` as in ``lists``."""
        return self.reach_lists(fold).along("reach").all()

    def reach_lists(self, fold: int | None = None) -> PackedLists:
        """The same under the path "reach", memory-mapped."""
        top_k = self.settings.reach_top_k
        return self._packed(f"{fold_folder(fold)}reach", "u", {"reach": "a"}, (False,), top_k)

    @property
    def columns(self) -> dict[str, str]:
        """Stored attribute columns, in order, with the type of node that has each, u or a."""
        return self.manifest["columns"]

    def means(
        self, lists: Neighbours, end: str, fold: int | None = None, stored: str | None = None
    ) -> list[MeanAttributes]:
        """Means over lists of all columns together, (n_nodes, D), as
        :func:`~mmbee_plugin.graph.attributes.brought`, in one or several parts side by side; none if their type has no
        column.

        Args:
            lists: neighbour lists.
            end: type of the neighbours, u or a.
            fold: as in ``lists``.
            stored: metapath of ``lists`` if they are the stored ones; its stored means are read, memory-mapped.
        """
        whole = np.ones(lists.n_nodes, np.float32)
        if stored is None:
            found = brought(lists, end, self.columns, partial(self.own, fold=fold))
            return [] if found is None else [MeanAttributes(found.astype(np.float32), whole)]
        if end not in self.columns.values():
            return []
        return [
            self.attributes(name, stored, fold)
            if of == end
            else MeanAttributes(np.zeros((lists.n_nodes, self.own(name).shape[1]), np.float32), whole)
            for name, of in self.columns.items()
        ]

    def attributes(self, column: str, metapath: str, fold: int | None = None) -> MeanAttributes:
        """Means of a column over the neighbours along a metapath, memory-mapped; ``fold`` as in ``lists``."""
        stem = fold_folder(fold) + f"attributes/{column}.{metapath}"
        starts = self.n_users if metapath[0] == "u" else self.n_authors
        values = self._rows(f"{stem}.npy", starts, 2)
        return MeanAttributes(values, self._rows(f"{stem}.fraction.npy", starts, 1))

    def own(self, column: str, fold: int | None = None) -> np.ndarray:
        """(n, D) the nodes' own values of a column, zero where absent, memory-mapped."""
        place = fold_folder(fold if self.own_of_fold(column, fold) else None)
        rows = self.n_authors if self.columns[column] == "a" else self.n_users
        return self._rows(f"{place}attributes/own/{column}.npy", rows, 2)

    def own_of_fold(self, column: str, fold: int | None) -> bool:
        """Whether a column has separate values in the graph without this fold."""
        return f"{fold_folder(fold)}attributes/own/{column}.npy" in self.manifest["files"]

    def nodes(self) -> tuple[np.ndarray, np.ndarray]:
        """The node tables, (n_users, d) and (n_authors, d), memory-mapped."""
        return self._rows("nodes_user.npy", self.n_users, 2), self._rows(
            "nodes_author.npy", self.n_authors, 2
        )

    def _file(self, name: str) -> SnapshotFile:
        if name not in self.manifest["files"]:
            raise InputError(f"{self.path / name}: not in this snapshot, its settings did not ask for it")
        return SnapshotFile(self.path / name, **self.manifest["files"][name])

    def _packed(
        self, folder: str, side: str, ends: dict[str, str], with_self: tuple[bool, ...], top_k: int
    ) -> PackedLists:
        """Lists of one side's nodes; ``ends`` maps each path to the type of its end nodes."""
        indptr, entries = (self.array(f"{folder}/{name}.npy") for name in ("indptr", "entries"))
        rows = self.array(f"{folder}/rows.npy") if side == "u" else None
        packed = PackedLists(tuple(ends), indptr, entries, rows, with_self, top_k)
        counts = {"u": self.n_users, "a": self.n_authors}
        if fault := packed.fault(counts[side], [counts[end] for end in ends.values()]):
            raise InputError(f"{self.path / folder}: {fault}; build the snapshot again")
        return packed

    def _graph(self, folder: str, n_rows: int) -> csr_matrix:
        indptr, indices, data = (self.array(f"{folder}/{name}.npy") for name in ("indptr", "indices", "data"))
        kinds = [(array.dtype, array.ndim) for array in (indptr, indices, data)]
        if (
            kinds != [(np.int64, 1), (np.int32, 1), (np.float32, 1)]
            or len(indptr) != n_rows + 1
            or not (indptr[0] == 0 and indptr[-1] == len(indices) == len(data))
            or (np.diff(indptr) < 0).any()
            or (len(indices) and not 0 <= indices.min() <= indices.max() < self.n_authors)
        ):
            raise InputError(
                f"{self.path / folder}: no graph of {n_rows} rows over {self.n_authors}; build the snapshot again"
            )
        graph = csr_matrix((data, indices, indptr), shape=(n_rows, self.n_authors))
        graph.has_sorted_indices = True
        return graph

    def _rows(self, name: str, rows: int, axes: int) -> np.ndarray:
        array = self.array(name)
        if array.ndim != axes or len(array) != rows or array.dtype != np.float32:
            raise InputError(
                f"{self.path / name}: {array.dtype} {array.shape}, expected float32 with {rows} rows"
            )
        return array


def graphs_of(settings: GraphSettings) -> tuple[int | None, ...]:
    """The graphs of a snapshot, by the fold that each lacks: the whole one, ``None``, then that without each."""
    return None, *range(settings.folds)


def fold_folder(fold: int | None) -> str:
    """Path prefix within a snapshot of the files without a fold; "" for the whole graph (``None``)."""
    return "" if fold is None else f"fold-{fold}/"
