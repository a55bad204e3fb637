"""The graphs as rows to walk: each node's normalised edges along all steps side by side, stored beside the lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.hubs import capped
from mmbee_plugin.graph.lists import PackedLists, pack
from mmbee_plugin.graph.metapaths import every_metapath, normalised
from mmbee_plugin.graph.routes import joins
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.graph.snapshot import Snapshot
from mmbee_plugin.graph.writer import SnapshotWriter, copied, copy_key, is_sound

EDGE = np.dtype([("id", "<i4"), ("weight", "<f8")])
"""the end of an edge, a file row, and its normalised weight"""
FOLDER = "steps"
"""of its files in a folder: ``u`` and ``a``, each with ``indptr`` and ``entries``"""
GIVEN = "given"
"""all givers of an author, where steps a2u follow a sample of them"""


@dataclass(frozen=True)
class Topology:
    """Steps of users (u2a) and of authors (a2u, a2a, and :data:`GIVEN` where hubs are capped), by ascending id.

    Attributes:
        users, authors: rows of :data:`EDGE`; those of :data:`GIVEN` weigh 0.
        settings: of the lists that walks are to give.
        joined: metapaths of three steps of which the last two are multiplied first, which decides how sums are rounded.
    """

    users: PackedLists
    authors: PackedLists
    settings: GraphSettings
    joined: tuple[str, ...]

    @classmethod
    def of(cls, u2a: csr_matrix, a2a: csr_matrix, settings: GraphSettings) -> Topology:
        """The steps on U2A, (n_users, n_authors), and A2A."""
        walked = capped(u2a, settings.walk_max_users, settings.hub_seed)
        graphs = {"u2a": u2a, "a2u": walked.T.tocsr(), "a2a": a2a}
        steps = {name: normalised(graph, settings.normalisation) for name, graph in graphs.items()}
        paths = (path for path in every_metapath() if path.hops == 3)
        joined = tuple(path.name for path in paths if joins([steps[step] for step in path.steps]))
        if settings.walk_max_users is not None:
            steps[GIVEN] = u2a.T.tocsr() * 0.0
        sides = [
            pack([_edges(name, step) for name, step in steps.items() if (name == "u2a") == of_users])
            for of_users in (True, False)
        ]
        return cls(sides[0], sides[1], settings, joined)

    @classmethod
    def open(cls, snapshot: Snapshot) -> Topology:
        """Maps those of a snapshot. Raises InputError if it has none or they do not fit it."""
        counts = {"u": snapshot.n_users, "a": snapshot.n_authors}
        return cls.read(
            snapshot.path, snapshot.array, counts, snapshot.settings, snapshot.manifest.get("joined", ())
        )

    @classmethod
    def read(
        cls,
        folder: Path,
        array: Callable[[str], np.ndarray],
        counts: Mapping[str, int],
        settings: GraphSettings,
        joined: Sequence[str],
    ) -> Topology:
        """Those that a folder has.

        Args:
            folder: for complaints.
            array: opens a file by its name in the folder.
            counts: number of users (``u``) and authors (``a``).
            settings, joined: attributes.

        Raises:
            InputError: arrays that do not fit.
        """
        sides = []
        for side, names in (("u", ["u2a"]), ("a", ["a2u", "a2a"])):
            if side == "a" and settings.walk_max_users is not None:
                names.append(GIVEN)
            place = f"{FOLDER}/{side}"
            indptr, entries = (array(f"{place}/{name}.npy") for name in ("indptr", "entries"))
            found = PackedLists(
                tuple(names), indptr, entries, None, (False,) * len(names), max(counts.values())
            )
            ends = [counts["a" if name.endswith("2a") else "u"] for name in names]
            if fault := found.fault(counts[side], ends, EDGE):
                raise InputError(f"{folder / place}: {fault}; build it again")
            sides.append(found)
        return cls(sides[0], sides[1], settings, tuple(joined))

    @property
    def counts(self) -> dict[str, int]:
        """Number of users (``u``) and authors (``a``)."""
        return {"u": self.users.n_nodes, "a": self.authors.n_nodes}


def with_topology(snapshot: Snapshot) -> Snapshot:
    """The copy of a snapshot that has its topology too, published beside it unless it is there.

    Raises:
        InputError: a folder that cannot be written.
    """
    if "joined" in snapshot.manifest:
        return snapshot
    key = copy_key(snapshot, "topology")
    if is_sound(folder := snapshot.path.parent / key):
        return Snapshot.open(folder)

    def write(writer: SnapshotWriter) -> tuple[str, dict[str, object]]:
        made = Topology.of(snapshot.u2a(), snapshot.a2a(), snapshot.settings)
        writer.lists(f"{FOLDER}/u", made.users)
        writer.lists(f"{FOLDER}/a", made.authors)
        return key, {"joined": made.joined}

    return copied(snapshot, write)


def _edges(name: str, graph: csr_matrix) -> PackedLists:
    entries = np.empty(graph.nnz, EDGE)
    entries["id"], entries["weight"] = graph.indices, graph.data
    return PackedLists((name,), graph.indptr.astype(np.int64), entries, None, (False,), graph.shape[1])
