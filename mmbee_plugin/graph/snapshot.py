"""A snapshot: one built graph stage as a folder that is published whole, checked when read, and reused.

``graph/<key>/`` holds manifest.json, u2a.npz and a2a.npz (CSR), neighbours/<metapath>.npz,
attributes/<modality>.<metapath>.npy with its fraction, nodes_user.npy, nodes_author.npy, and the neighbours
and attributes again in fold-<f>/ for each fold left out.
"""

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from scipy.sparse import csr_matrix

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.attributes import Attributes, MeanAttributes, mean_attributes
from mmbee_plugin.graph.donations import Amount, donation_graph, fold_of, weigh
from mmbee_plugin.graph.files import SnapshotFile, peak_memory, read_npy, read_npz, write_npy, write_npz
from mmbee_plugin.graph.metapaths import PAPER_METAPATHS, Metapath, Neighbours, Normalisation, expand
from mmbee_plugin.graph.reach import reach
from mmbee_plugin.graph.swing import swing

SCHEMA = "mmbee-graph-1"
POSITIVES = ("u2a2u", "a2u2a")
FoldBy = Literal["order", "pair"]


@dataclass(frozen=True)
class GraphSettings:
    """Everything the graph stage depends on besides its inputs."""

    amount: Amount = "log1p"
    """What an edge of U2A weighs: the summed amount, its log1p, or 1."""
    metapaths: tuple[str, ...] = PAPER_METAPATHS
    """The metapaths whose neighbours are stored."""
    top_k: int = 50
    """Neighbours kept per node and metapath."""
    normalisation: Normalisation = "row"
    exclude_own: bool = True
    """Leave out the node itself, and a user's own authors (see ``expand``)."""
    swing_alpha: float = 1.0
    swing_include_self: bool = True
    swing_top_k: int | None = None
    """Authors kept a row of A2A; all by default."""
    swing_max_users: int | None = None
    swing_user_beta: float = 0.0
    swing_user_gamma: float = 0.0
    reach_top_k: int = 0
    """Authors kept a user in the long walk's list (see ``reach``); 0 stores none."""
    folds: int = 0
    """Parts for cross-fitting: neighbours are also computed without each part's edges; 0 for none."""
    fold_by: FoldBy = "pair"
    """What makes a fold. ``pair``: a hash of user and author; a fold's graph lacks that fold's edges. ``order``: fold f
    holds each user's interaction with f later ones; its graph lacks it and all later ones, so that a training pair
    sees what came before it, as a test pair does."""
    fold_seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "metapaths", tuple(self.metapaths))
        for name in self.metapaths:
            Metapath.parse(name)
        if self.fold_by not in get_args(FoldBy):
            raise InputError(
                f"fold_by: {self.fold_by!r} is unknown, expected {' or '.join(get_args(FoldBy))}"
            )
        if self.folds < 0 or (self.folds == 1 and self.fold_by == "pair"):
            raise InputError(f"folds: {self.folds} is out of range, expected 0 (none) or at least 2")


@dataclass(frozen=True)
class Interactions:
    """The training interactions, and nothing later: the graph knows no other.

    Shapes:
        - users, authors: (n,) file rows
        - amounts: (n,) or ``None`` where each counts one
    """

    users: np.ndarray
    authors: np.ndarray
    amounts: np.ndarray | None
    n_users: int
    n_authors: int
    later: np.ndarray | None = None
    """(n,) how many later interactions the user has; needed for folds by order."""


@dataclass(frozen=True)
class NodeStage:
    """How the node tables are trained; ``settings`` tell one way from another in the snapshot's key."""

    settings: Mapping[str, object]
    train: Callable[[csr_matrix, Neighbours, Neighbours], tuple[np.ndarray, np.ndarray]]
    """From U2A and the positives of users (u2a2u) and authors (a2u2a) to two float32 tables."""


@dataclass(frozen=True)
class Snapshot:
    """An opened snapshot. A file is checked against the manifest's hash when it is first read."""

    path: Path
    manifest: dict = field(repr=False)

    @classmethod
    def open(cls, path: str | Path) -> "Snapshot":
        """Opens a published snapshot.

        Raises:
            InputError: no snapshot there, one of another schema, or one with a file missing, cut or
                foreign; the message names the file.
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
        missing = {"key", "settings", "counts", "files", "stages"} - set(manifest)
        if missing:
            raise InputError(f"{source}: {sorted(missing)[0]!r} is missing; build the snapshot again")
        if manifest["key"] != folder.resolve().name:
            raise InputError(f"{source}: its key {manifest['key']} is not its folder's name, {folder.name}")
        snapshot = cls(folder, manifest)
        for name in manifest["files"]:
            snapshot._file(name).check_size()
        return snapshot

    def check(self) -> None:
        """Reads every file against its hash; raises InputError for the first that differs."""
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
        """Every node's neighbours along a metapath; with ``fold``, those which have not seen that fold's
        edges."""
        path = Metapath.parse(metapath)
        starts, ends = (self.n_users if kind == "u" else self.n_authors for kind in (path.start, path.end))
        return self._lists(_folder(fold) + f"neighbours/{metapath}.npz", starts, ends)

    def reach(self, fold: int | None = None) -> Neighbours:
        """The users' long-walk lists, by ascending author; ``fold`` as in ``neighbours``."""
        return self._lists(_folder(fold) + "reach.npz", self.n_users, self.n_authors)

    def attributes(self, modality: str, metapath: str, fold: int | None = None) -> MeanAttributes:
        """Mean features of the neighbours along a metapath that ends at authors, memory-mapped."""
        stem = _folder(fold) + f"attributes/{modality}.{metapath}"
        starts = self.n_users if metapath[0] == "u" else self.n_authors
        values = self._rows(f"{stem}.npy", starts, 2)
        return MeanAttributes(values, self._rows(f"{stem}.fraction.npy", starts, 1))

    def nodes(self) -> tuple[np.ndarray, np.ndarray]:
        """The node tables, (n_users, d) and (n_authors, d), memory-mapped."""
        return self._rows("nodes_user.npy", self.n_users, 2), self._rows(
            "nodes_author.npy", self.n_authors, 2
        )

    def folds_of(self, users: np.ndarray, authors: np.ndarray) -> np.ndarray:
        """(n,) the fold of each pair, whether it is an edge or not.

        Raises:
            InputError: the snapshot was built without folds.
        """
        if self.settings.folds == 0:
            raise InputError(f"{self.path}: built without folds, expected the setting folds of at least 2")
        return fold_of(users, authors, self.settings.folds, self.settings.fold_seed)

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


def build(
    interactions: Interactions,
    settings: GraphSettings,
    root: str | Path,
    *,
    attributes: Mapping[str, Attributes] | None = None,
    nodes: NodeStage | None = None,
    progress: Callable[[str], None] | None = None,
) -> Snapshot:
    """The snapshot of these inputs and settings under ``root``, opened if it is there and sound, else built.

    It is written to a temporary folder beside and renamed, so that no reader ever sees half of one. A damaged
    snapshot under the same key is replaced.

    Args:
        interactions: training interactions; nothing else is read.
        settings: the stage's settings.
        root: folder of the snapshots, made if need be; the snapshot is ``root/<key>``.
        attributes: dense author features by modality name.
        nodes: how to train the node tables; ``None`` stores none.
        progress: told each stage's name as it starts.

    Raises:
        InputError: inputs that do not fit, or a folder that cannot be written, such as on a full disk.
    """
    features = dict(attributes or {})
    for name, modality in features.items():
        if modality.values.ndim != 2 or len(modality.values) != interactions.n_authors:
            raise InputError(
                f"attributes {name}: shape {modality.values.shape}, expected {interactions.n_authors} rows"
            )
        if modality.present.shape != (interactions.n_authors,):
            raise InputError(
                f"attributes {name}: present has shape {modality.present.shape}, expected a flag a row"
            )
    if settings.folds and settings.fold_by == "order" and interactions.later is None:
        raise InputError("fold_by: order needs to know how many later interactions each user has")
    key = _key(interactions, settings, features, nodes)
    folder = Path(root) / key
    if folder.exists():
        try:
            snapshot = Snapshot.open(folder)
            snapshot.check()
            return snapshot
        except InputError:
            if progress is not None:
                progress("the stored snapshot is damaged, building it again")
    writing: Path | None = None
    try:
        Path(root).mkdir(parents=True, exist_ok=True)
        writing = Path(tempfile.mkdtemp(prefix=f".{key[:8]}-", dir=root))
        writer = _Writer(writing, progress)
        _write_stages(writer, interactions, settings, features, nodes)
        writer.finish(key, interactions, settings, nodes)
        _publish(writing, folder)
    except OSError as error:
        raise InputError(
            f"{root}: cannot write a graph snapshot ({error.strerror or error}), "
            "expected a folder with room for it"
        ) from error
    finally:
        if writing is not None:
            shutil.rmtree(writing, ignore_errors=True)
    return Snapshot.open(folder)


class _Writer:
    """Writes a snapshot's files into one folder and takes down their hashes and what each stage cost."""

    def __init__(self, folder: Path, progress: Callable[[str], None] | None) -> None:
        self.folder = folder
        self.progress = progress
        self.files: dict[str, dict[str, object]] = {}
        self.stages: list[dict[str, object]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        if self.progress is not None:
            self.progress(name)
        start = time.perf_counter()
        yield
        seconds = round(time.perf_counter() - start, 3)
        self.stages.append({"stage": name, "seconds": seconds, "peak_megabytes_so_far": peak_memory()})

    def array(self, name: str, array: np.ndarray) -> None:
        self.files[name] = asdict(write_npy(self._place(name), array))
        del self.files[name]["path"]

    def arrays(self, name: str, **arrays: np.ndarray) -> None:
        self.files[name] = asdict(write_npz(self._place(name), arrays))
        del self.files[name]["path"]

    def finish(
        self, key: str, interactions: Interactions, settings: GraphSettings, nodes: NodeStage | None
    ) -> None:
        manifest = {
            "schema": SCHEMA,
            "key": key,
            "settings": asdict(settings),
            "nodes": dict(nodes.settings) if nodes is not None else None,
            "counts": {
                "users": interactions.n_users,
                "authors": interactions.n_authors,
                "interactions": len(interactions.users),
            },
            "built": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "stages": self.stages,
            "files": self.files,
        }
        with open(self.folder / "manifest.json", "w", encoding="utf-8") as file:
            json.dump(manifest, file, indent=1)
            file.flush()
            os.fsync(file.fileno())

    def _place(self, name: str) -> Path:
        place = self.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        return place


def _write_stages(
    writer: _Writer,
    interactions: Interactions,
    settings: GraphSettings,
    attributes: Mapping[str, Attributes],
    nodes: NodeStage | None,
) -> None:
    users, authors = np.asarray(interactions.users), np.asarray(interactions.authors)
    amounts = None if interactions.amounts is None else np.asarray(interactions.amounts)
    folds: list[int | None] = [None, *range(settings.folds)]
    for fold in folds:
        within, prefix = "" if fold is None else f" without fold {fold}", _folder(fold)
        seen = _seen_by(fold, interactions, settings)
        with writer.stage(f"u2a{within}"):
            graph = donation_graph(
                users[seen],
                authors[seen],
                None if amounts is None else amounts[seen],
                interactions.n_users,
                interactions.n_authors,
            )
            u2a = weigh(graph, settings.amount)
            if fold is None:
                writer.arrays("u2a.npz", **_csr(u2a))
        with writer.stage(f"a2a{within}"):
            a2a = swing(
                u2a,
                alpha=settings.swing_alpha,
                include_self=settings.swing_include_self,
                top_k=settings.swing_top_k,
                max_users=settings.swing_max_users,
                user_beta=settings.swing_user_beta,
                user_gamma=settings.swing_user_gamma,
            )
            if fold is None:
                writer.arrays("a2a.npz", **_csr(a2a))
        if settings.reach_top_k:
            with writer.stage(f"reach{within}"):
                found = reach(u2a, settings.reach_top_k)
                writer.arrays(f"{prefix}reach.npz", indptr=found.indptr, ids=found.ids, weights=found.weights)
        train = nodes is not None and fold is None
        positives: dict[str, Neighbours] = {}
        for name in dict.fromkeys([*settings.metapaths, *(POSITIVES if train else ())]):
            with writer.stage(f"{name}{within}"):
                found = expand(
                    Metapath.parse(name),
                    u2a,
                    a2a,
                    top_k=settings.top_k,
                    normalisation=settings.normalisation,
                    exclude_own=settings.exclude_own,
                )
                if name in settings.metapaths:
                    writer.arrays(
                        f"{prefix}neighbours/{name}.npz",
                        indptr=found.indptr,
                        ids=found.ids,
                        weights=found.weights,
                    )
                if name in POSITIVES:
                    positives[name] = found
            for modality, feature in attributes.items():
                if name in settings.metapaths and name.endswith("a"):
                    with writer.stage(f"{modality} along {name}{within}"):
                        mean = mean_attributes(found, feature)
                        writer.array(f"{prefix}attributes/{modality}.{name}.npy", mean.values)
                        writer.array(f"{prefix}attributes/{modality}.{name}.fraction.npy", mean.fraction)
        if nodes is not None and fold is None:
            with writer.stage("nodes"):
                tables = nodes.train(u2a, *(positives[name] for name in POSITIVES))
                for kind, table in zip(("user", "author"), tables, strict=True):
                    writer.array(f"nodes_{kind}.npy", np.asarray(table, dtype=np.float32))


def _seen_by(fold: int | None, interactions: Interactions, settings: GraphSettings) -> np.ndarray:
    """(n,) bool: the interactions whose edges the pairs of this fold may see."""
    if fold is None:
        return np.ones(len(interactions.users), bool)
    if settings.fold_by == "pair":
        part = fold_of(interactions.users, interactions.authors, settings.folds, settings.fold_seed)
        return part != fold
    assert interactions.later is not None
    return np.asarray(interactions.later) > fold


def _publish(writing: Path, folder: Path) -> None:
    """Renames the finished folder, unless a sound one was published meanwhile; a damaged one makes way."""
    writing.chmod(0o755)
    try:
        os.replace(writing, folder)
    except OSError:
        if not folder.exists():
            raise
        try:
            Snapshot.open(folder).check()
            return
        except InputError:
            pass
        discarded = Path(tempfile.mkdtemp(prefix=".old-", dir=folder.parent))
        os.replace(folder, discarded / "snapshot")
        os.replace(writing, folder)
        shutil.rmtree(discarded, ignore_errors=True)


def _key(
    interactions: Interactions,
    settings: GraphSettings,
    attributes: Mapping[str, Attributes],
    nodes: NodeStage | None,
) -> str:
    described = {
        "schema": SCHEMA,
        "settings": asdict(settings),
        "nodes": dict(nodes.settings) if nodes is not None else None,
        "counts": [interactions.n_users, interactions.n_authors],
    }
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    arrays = {"users": interactions.users, "authors": interactions.authors, "amounts": interactions.amounts}
    if settings.folds and settings.fold_by == "order":
        arrays["later"] = interactions.later
    for name, modality in sorted(attributes.items()):
        arrays |= {f"{name} values": modality.values, f"{name} present": modality.present}
    for name, array in arrays.items():
        if array is None:
            continue
        array = np.asarray(array)
        if name in ("users", "authors"):
            array = array.astype(np.int64)
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        for start in range(0, len(array), 65_536):
            digest.update(np.ascontiguousarray(array[start : start + 65_536]).data)
    return digest.hexdigest()[:32]


def _csr(graph: csr_matrix) -> dict[str, np.ndarray]:
    return {
        "indptr": graph.indptr.astype(np.int64),
        "indices": graph.indices.astype(np.int32),
        "data": graph.data,
    }


def _folder(fold: int | None) -> str:
    return "" if fold is None else f"fold-{fold}/"
