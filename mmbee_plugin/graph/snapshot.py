"""A snapshot: the output of one graph stage in a folder, checked when read.

``graph/<key>/`` holds manifest.json, u2a.npz and a2a.npz (CSR), neighbours/<metapath>.npz, reach.npz,
attributes/<column>.<metapath>.npy and .fraction.npy, attributes/own/<column>.npy, nodes_user.npy and nodes_author.npy;
fold-<f>/ holds neighbours, reach and attributes without fold f, and attributes/own where it differs.
"""

import json
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.attributes import MeanAttributes, brought
from mmbee_plugin.graph.files import SnapshotFile, read_npy, read_npz
from mmbee_plugin.graph.metapaths import Metapath, Neighbours
from mmbee_plugin.graph.settings import GraphSettings

SCHEMA = "mmbee-graph-2"
ENTRIES = {"key": str, "settings": dict, "counts": dict, "files": dict, "stages": list}
"""required entries of a manifest and their types"""


@dataclass(frozen=True)
class Snapshot:
    """An opened snapshot. Reading a file checks its hash; raises InputError if it was not stored or has changed."""

    path: Path
    manifest: dict = field(repr=False)

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
            raise InputError(f"{source}: schema {found!r}, expected {SCHEMA!r}; build the snapshot again")
        for entry, kind in ENTRIES.items():
            if not isinstance(manifest.get(entry), kind):
                raise InputError(
                    f"{source}: {entry!r} is missing or no {kind.__name__}; build the snapshot again"
                )
        own = (Path(name) for name in manifest["files"] if name.startswith("attributes/own/"))
        content = dict.fromkeys((file.name.removesuffix(".npy") for file in own), "a")
        if not isinstance(
            manifest.setdefault("columns", content), dict
        ):  # older snapshots have content alone
            raise InputError(f"{source}: 'columns' is no dict; build the snapshot again")
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

    def u2a(self) -> csr_matrix:
        """float32 (n_users, n_authors)."""
        return self._graph("u2a.npz", self.n_users)

    def a2a(self) -> csr_matrix:
        """float32 (n_authors, n_authors)."""
        return self._graph("a2a.npz", self.n_authors)

    def neighbours(self, metapath: str, fold: int | None = None) -> Neighbours:
        """Each node's neighbours along a metapath; with ``fold``, those in the graph without this fold."""
        path = Metapath.parse(metapath)
        starts, ends = (self.n_users if kind == "u" else self.n_authors for kind in (path.start, path.end))
        return self._lists(fold_folder(fold) + f"neighbours/{metapath}.npz", starts, ends)

    def reach(self, fold: int | None = None) -> Neighbours:
        """The users' reach lists, by ascending author; ``fold`` as in ``neighbours``."""
        return self._lists(fold_folder(fold) + "reach.npz", self.n_users, self.n_authors)

    @property
    def columns(self) -> dict[str, str]:
        """Stored attribute columns, in order, with the type of node that has each, u or a."""
        return self.manifest["columns"]

    def brought(
        self, lists: Neighbours, end: str, fold: int | None = None, stored: str | None = None
    ) -> np.ndarray | None:
        """(n_nodes, D) weighted sums of all columns over lists, as :func:`~mmbee_plugin.graph.attributes.brought`.

        Args:
            lists: neighbour lists.
            end: type of the neighbours, u or a.
            fold: as in ``neighbours``.
            stored: metapath of ``lists`` if they are the stored ones; its stored means are read.
        """

        def mean(name: str) -> np.ndarray:
            found = self.attributes(name, str(stored), fold)
            return found.values * found.fraction[:, None]

        own = partial(self.own, fold=fold)
        return brought(lists, end, self.columns, own, mean if stored is not None else None)

    def attributes(self, column: str, metapath: str, fold: int | None = None) -> MeanAttributes:
        """Means of a column over the neighbours along a metapath, memory-mapped; ``fold`` as in ``neighbours``."""
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

    def _lists(self, name: str, starts: int, ends: int) -> Neighbours:
        arrays = read_npz(self._file(name), {"indptr": np.int64, "ids": np.int32, "weights": np.float32})
        self._check_lists(name, arrays["indptr"], arrays["ids"], arrays["weights"], starts, ends)
        return Neighbours(arrays["indptr"], arrays["ids"], arrays["weights"])

    def _graph(self, name: str, n_rows: int) -> csr_matrix:
        kinds = {"indptr": np.int64, "indices": np.int32, "data": np.float32}
        arrays = read_npz(self._file(name), kinds)
        self._check_lists(name, arrays["indptr"], arrays["indices"], arrays["data"], n_rows, self.n_authors)
        graph = csr_matrix(
            (arrays["data"], arrays["indices"], arrays["indptr"]), shape=(n_rows, self.n_authors)
        )
        graph.has_sorted_indices = True
        return graph

    def _check_lists(
        self, name: str, indptr: np.ndarray, ids: np.ndarray, weights: np.ndarray, rows: int, columns: int
    ) -> None:
        fits = len(indptr) == rows + 1 and len(ids) == len(weights) == indptr[-1] and indptr[0] == 0
        if (
            not fits
            or (np.diff(indptr) < 0).any()
            or (len(ids) and not 0 <= ids.min() <= ids.max() < columns)
        ):
            raise InputError(
                f"{self.path / name}: not lists of {rows} nodes over {columns}; build the snapshot again"
            )

    def _rows(self, name: str, rows: int, axes: int) -> np.ndarray:
        array = read_npy(self._file(name))
        if array.ndim != axes or len(array) != rows or array.dtype != np.float32:
            raise InputError(
                f"{self.path / name}: {array.dtype} {array.shape}, expected float32 with {rows} rows"
            )
        return array


def fold_folder(fold: int | None) -> str:
    """Path prefix within a snapshot of the files without a fold; "" for the whole graph (``None``)."""
    return "" if fold is None else f"fold-{fold}/"
