"""Writes the files and the manifest of a snapshot; copies a snapshot with other node vectors."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from mmbee_plugin.command.memory import peak_megabytes
from mmbee_plugin.errors import InputError, one_line
from mmbee_plugin.files import folder_beside, publish, write_json
from mmbee_plugin.graph.files import SnapshotFile, write_npy
from mmbee_plugin.graph.lists import PackedLists
from mmbee_plugin.graph.settings import GraphSettings, Interactions, NodeStage
from mmbee_plugin.graph.snapshot import SCHEMA, Snapshot


class SnapshotWriter:
    """Writes a snapshot's files into one folder; records their hashes, and time and memory of each stage."""

    def __init__(self, folder: Path, progress: Callable[[str], None] | None) -> None:
        self.folder = folder
        self.progress = progress
        self.files: dict[str, dict[str, object]] = {}
        self.stages: list[dict[str, object]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Reports the start of a stage to ``progress`` and records its time and peak memory."""
        if self.progress is not None:
            self.progress(name)
        start = time.perf_counter()
        yield
        seconds = round(time.perf_counter() - start, 3)
        self.stages.append(
            {"stage": name, "seconds": seconds, "peak_megabytes_so_far": round(peak_megabytes())}
        )

    def array(self, name: str, array: np.ndarray) -> None:
        """Writes one array under a path within the snapshot."""
        self._take_down(name, write_npy(self._place(name), array))

    def lists(self, folder: str, lists: PackedLists) -> None:
        """Writes packed lists into a folder of arrays."""
        for name, array in lists.arrays().items():
            self.array(f"{folder}/{name}.npy", array)

    def graph(self, folder: str, graph: csr_matrix) -> None:
        """Writes a CSR matrix of float32 into a folder of arrays; offsets are int64."""
        self.array(f"{folder}/indptr.npy", graph.indptr.astype(np.int64))
        self.array(f"{folder}/indices.npy", graph.indices.astype(np.int32, copy=False))
        self.array(f"{folder}/data.npy", graph.data)

    def finish(
        self,
        key: str,
        interactions: Interactions,
        settings: GraphSettings,
        nodes: NodeStage | None,
        columns: Mapping[str, str],
    ) -> None:
        """Writes the manifest of a build; ``columns`` maps each attribute column to its type of node, u or a."""
        manifest = {
            "schema": SCHEMA,
            "key": key,
            "settings": settings.model_dump(mode="json"),
            "nodes": dict(nodes.settings) if nodes is not None else None,
            "counts": {
                "users": interactions.n_users,
                "authors": interactions.n_authors,
                "interactions": len(interactions.users),
            },
            "columns": dict(columns),
            "built": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "stages": self.stages,
            "files": self.files,
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
    root = snapshot.path.parent
    try:
        with folder_beside(root / "nodes") as writing:
            writer = SnapshotWriter(writing, None)
            writer.files = dict(snapshot.manifest["files"])
            for kind, table in (("user", users), ("author", authors)):
                writer.array(f"nodes_{kind}.npy", np.asarray(table, dtype=np.float32))
            hashes = [writer.files[f"nodes_{kind}.npy"]["sha256"] for kind in ("user", "author")]
            described = json.dumps([snapshot.manifest["key"], dict(settings), hashes], sort_keys=True)
            key = hashlib.sha256(described.encode()).hexdigest()[:32]
            for name in writer.files:
                place = writing / name
                if not place.exists():
                    place.parent.mkdir(parents=True, exist_ok=True)
                    _share(snapshot.path / name, place)
            built = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            changed = {"key": key, "nodes": dict(settings), "built": built, "files": writer.files}
            writer.manifest({**snapshot.manifest, **changed})
            publish(writing, root / key, keeps=is_sound)
    except OSError as error:
        raise InputError(f"{root}: cannot write a graph snapshot ({one_line(error)})") from error
    return Snapshot.open(root / key)


def _share(source: Path, place: Path) -> None:
    try:
        os.link(source, place)
    except OSError:
        shutil.copyfile(source, place)


def is_sound(folder: Path) -> bool:
    """Whether the folder is a snapshot whose files all have their recorded hashes."""
    try:
        Snapshot.open(folder).check()
    except InputError:
        return False
    return True
