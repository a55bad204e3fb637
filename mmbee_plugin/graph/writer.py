"""Writes the files and the manifest of a snapshot; copies a snapshot with other node vectors."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from scipy.sparse import csr_matrix

from mmbee_plugin.errors import InputError, one_line
from mmbee_plugin.files import folder_beside, link, publish, write_json
from mmbee_plugin.graph.files import SnapshotFile, described, write_npy
from mmbee_plugin.graph.inputs import Inputs
from mmbee_plugin.graph.lists import PackedLists
from mmbee_plugin.graph.names import Names
from mmbee_plugin.graph.settings import REFRESHING
from mmbee_plugin.graph.snapshot import SCHEMA, Snapshot
from mmbee_plugin.graph.stages import Spent, Stages


class SnapshotWriter(Stages):
    """Writes a snapshot's files into one folder; records their hashes, and time and memory of each stage.

    Args:
        folder: to write to.
        progress: called with the name of each stage as it starts.
        ready: files that are there already, by path within the snapshot; they are hard-linked if possible.
        spent: what stages have cost already.
    """

    def __init__(
        self,
        folder: Path,
        progress: Callable[[str], None] | None,
        ready: Mapping[str, Path] = MappingProxyType({}),
        spent: Mapping[str, Spent] = MappingProxyType({}),
    ) -> None:
        super().__init__(progress, spent)
        self.folder = folder
        self.ready = ready
        self.files: dict[str, dict[str, object]] = {}

    def array(self, name: str, array: np.ndarray) -> None:
        """Writes one array under a path within the snapshot."""
        place = self._place(name)
        if name in self.ready:
            link(self.ready[name], place)
            self._take_down(name, described(place))
        else:
            self._take_down(name, write_npy(place, array))

    def lists(self, folder: str, lists: PackedLists) -> None:
        """Writes packed lists into a folder of arrays."""
        for name, array in lists.arrays().items():
            self.array(f"{folder}/{name}.npy", array)

    def graph(self, folder: str, graph: csr_matrix) -> None:
        """Writes a CSR matrix of float32 into a folder of arrays; offsets are int64."""
        self.array(f"{folder}/indptr.npy", graph.indptr.astype(np.int64))
        self.array(f"{folder}/indices.npy", graph.indices.astype(np.int32, copy=False))
        self.array(f"{folder}/data.npy", graph.data)

    def finish(self, inputs: Inputs, facts: Mapping[str, object]) -> None:
        """Writes the manifest of a build; ``facts`` are further entries."""
        interactions, nodes = inputs.interactions, inputs.nodes
        manifest = {
            "schema": SCHEMA,
            "key": inputs.key,
            "settings": inputs.settings.model_dump(mode="json", exclude=REFRESHING),
            "nodes": dict(nodes.settings) if nodes is not None else None,
            "counts": {
                "users": interactions.n_users,
                "authors": interactions.n_authors,
                "interactions": len(interactions.users),
            },
            "columns": {name: one.end for name, one in inputs.columns.items()},
            "built": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "stages": self.records,
            "files": self.files,
            **facts,
        }
        self.manifest(manifest)

    def manifest(self, manifest: Mapping[str, object]) -> None:
        """Writes ``manifest.json``, the last file."""
        write_json(self.folder / "manifest.json", manifest)

    def _take_down(self, name: str, written: SnapshotFile) -> None:
        self.files[name] = {"size": written.size, "sha256": written.sha256}

    def _place(self, name: str) -> Path:
        place = self.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        return place


def with_nodes(
    snapshot: Snapshot, users: np.ndarray, authors: np.ndarray, settings: Mapping[str, object]
) -> Snapshot:
    """Publishes a copy of a snapshot with other node vectors beside it; other files are hard-linked if possible.

    Args:
        snapshot: the snapshot to copy.
        users: (n_users, d) vectors.
        authors: (n_authors, d) vectors.
        settings: of their training, for the manifest. The copy's key hashes them, the vectors and the snapshot's key.

    Raises:
        InputError: vectors that do not fit the snapshot, or a folder that cannot be written.
    """
    for kind, table, count in (("user", users, snapshot.n_users), ("author", authors, snapshot.n_authors)):
        if table.ndim != 2 or len(table) != count:
            raise InputError(f"{kind} vectors have shape {table.shape}, expected {count} rows")

    def write(writer: SnapshotWriter) -> tuple[str, dict[str, object]]:
        for kind, table in (("user", users), ("author", authors)):
            writer.array(f"nodes_{kind}.npy", np.asarray(table, dtype=np.float32))
        hashes = [writer.files[f"nodes_{kind}.npy"]["sha256"] for kind in ("user", "author")]
        return copy_key(snapshot, dict(settings), hashes), {"nodes": dict(settings)}

    return copied(snapshot, write)


def copied(snapshot: Snapshot, write: Callable[[SnapshotWriter], tuple[str, dict[str, object]]]) -> Snapshot:
    """Publishes a copy of a snapshot with other files beside it; all else is hard-linked if possible.

    Args:
        snapshot: the snapshot to copy.
        write: writes the files that are new or others; returns the copy's key and changed entries of the manifest.

    Raises:
        InputError: a folder that cannot be written.
    """
    root = snapshot.path.parent
    try:
        with folder_beside(root / "copy") as writing:
            writer = SnapshotWriter(writing, None)
            writer.files = dict(snapshot.manifest["files"])
            key, changed = write(writer)
            for name in writer.files:
                place = writing / name
                if not place.exists():
                    place.parent.mkdir(parents=True, exist_ok=True)
                    link(snapshot.path / name, place)
            built = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            changed |= {"key": key, "built": built, "files": writer.files}
            writer.manifest({**snapshot.manifest, **changed})
            publish(writing, root / key, keeps=is_sound)
    except OSError as error:
        raise InputError(f"{root}: cannot write a graph snapshot ({one_line(error)})") from error
    return Snapshot.open(root / key)


def copy_key(snapshot: Snapshot, *described: object) -> str:
    """Key of a copy, by the snapshot's own and what is other in it, plain values."""
    text = json.dumps([snapshot.manifest["key"], *described], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def is_sound(folder: Path, names: Names | None = None) -> bool:
    """Whether the folder is a snapshot whose files all have their recorded hashes, of nodes of these names."""
    try:
        snapshot = Snapshot.open(folder)
        snapshot.check()
        return names is None or snapshot.is_named(names)
    except InputError:
        return False
