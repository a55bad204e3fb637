"""Joins finished parts into a snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from scipy.sparse import csr_matrix

from mmbee_plugin.errors import InputError
from mmbee_plugin.files import discard, locked
from mmbee_plugin.graph.build import build_snapshot
from mmbee_plugin.graph.content import ContentSteps
from mmbee_plugin.graph.inputs import Inputs
from mmbee_plugin.graph.lists import PackedLists, keeps_self
from mmbee_plugin.graph.metapaths import Metapath
from mmbee_plugin.graph.parts.folder import GIVEN, Parts
from mmbee_plugin.graph.parts.mapped import JOINED, PLAN, MappedGraph
from mmbee_plugin.graph.snapshot import Snapshot, fold_folder


def merge(
    inputs: Inputs,
    root: Path,
    progress: Callable[[str], None] | None = None,
    n_parts: int | None = None,
) -> Snapshot:
    """Opens the snapshot of these inputs; if it is not there, makes it of its parts and removes them.

    Lists and graphs are files of the parts, hard-linked if possible; means of attributes and node vectors are made by
    this process.

    Args:
        inputs: of the snapshot.
        root: folder of the snapshots and of their parts.
        progress: called with the name of each stage as it starts.
        n_parts: which division into parts; by default one that is finished.

    Raises:
        InputError: no parts of these inputs, or some are missing.
    """
    made = build_snapshot(inputs, root, progress, lambda: _finished(inputs, root, n_parts))
    # With those that were being removed when a process was killed.
    for folder in root.glob(f"*{inputs.key}.parts-*"):
        discard(folder)
    return made


@contextmanager
def _finished(inputs: Inputs, root: Path, n_parts: int | None) -> Iterator[_Source]:
    places = root.glob(f"{inputs.key}.parts-{n_parts or '*'}")
    found = [Parts.open(path) for path in sorted(places) if (path / GIVEN).exists()]
    if not found:
        others = sorted(path.name for path in root.glob("[!.]*.parts-*"))
        there = (
            f"; there are {', '.join(others)}, of other data, settings or numbers of parts" if others else ""
        )
        raise InputError(f"{root}: no parts of {inputs.key}{there}")
    parts = next((one for one in found if not missing_parts(one)), found[-1])
    if missing := missing_parts(parts):
        numbers = ", ".join(str(part + 1) for part in missing)
        raise InputError(
            f"{parts.path}: part {numbers} of {parts.n_parts} is not made; mmbee graph build "
            f"--parts={parts.n_parts} --part={missing[0] + 1} makes it"
        )
    with locked(parts.path / "locks" / "merge", "another process merges these parts"):
        for step in parts.last:
            parts.join(step)
        yield _Source(parts)


def missing_parts(parts: Parts) -> list[int]:
    """Parts, from 0, that lack a block of a step that the merge joins."""
    missing: set[int] = set()
    for step in parts.last:
        missing |= set(parts.missing(step) if parts.is_prepared(step) else range(parts.n_parts))
    return sorted(missing)


class _Source:
    """The arrays of finished parts as a :class:`~mmbee_plugin.graph.build.Source`."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.spent, self.n_parts = parts.spent(), parts.n_parts
        self.ready: dict[str, Path] = {}
        for fold in parts.graphs:
            graph, folder = parts.graph(fold), fold_folder(fold)
            if fold is None:
                for name in ("indptr", "indices", "data"):
                    self.ready[f"u2a/{name}.npy"] = graph.state("gifts", PLAN).file(f"u2a.{name}")
                    self.ready[f"a2a/{name}.npy"] = graph.state("similar", JOINED).file(name)
            for kind, name in (("lists-u", "lists/u"), ("lists-a", "lists/a"), ("reach", "reach")):
                if not graph.folder(kind).exists() or (kind == "reach" and graph.settings.pools_visits):
                    continue  # lists that visits are added to are written anew
                for array in ("indptr", "entries"):
                    self.ready[f"{folder}{name}/{array}.npy"] = graph.state(kind, JOINED).file(array)
                if kind != "lists-a":
                    normalisation = "row" if kind == "reach" else graph.settings.normalisation
                    rows = graph.state("gifts", PLAN).file(f"rows.{normalisation}")
                    self.ready[f"{folder}{name}/rows.npy"] = rows

    def made(self, fold: int | None) -> _Merged:
        return _Merged(self.parts.graph(fold))


class _Merged:
    """The arrays of one graph as :class:`~mmbee_plugin.graph.making.Made`."""

    def __init__(self, graph: MappedGraph) -> None:
        self.graph, self.settings = graph, graph.settings

    @property
    def u2a(self) -> csr_matrix:
        return self.graph.u2a

    @property
    def a2a(self) -> csr_matrix:
        return self.graph.a2a

    @property
    def content(self) -> ContentSteps | None:
        return self.graph.content

    @property
    def reach(self) -> PackedLists:
        return self._lists("reach", ("reach",), "row", (False,), self.settings.reach_top_k)

    def lists(self, name: str) -> PackedLists:
        group = "lists" if name in self.settings.metapaths else "positives"
        return self._side(group, name[0])

    def packed(self, names: Sequence[str]) -> PackedLists:
        return self._side("lists", names[0][0])

    def _side(self, group: str, side: str) -> PackedLists:
        settings, kind = self.settings, f"{group}-{side}"
        paths = self.graph.paths(kind)
        with_self = tuple(keeps_self(Metapath.parse(name), settings.exclude_own) for name in paths)
        return self._lists(kind, paths, settings.normalisation, with_self, settings.top_k)

    def _lists(
        self, kind: str, paths: tuple[str, ...], normalisation: str, with_self: tuple[bool, ...], top_k: int
    ) -> PackedLists:
        indptr, entries = self.graph.arrays(kind, JOINED, ("indptr", "entries"))
        rows = self.graph.plan("gifts", f"rows.{normalisation}") if kind[-1] != "a" else None
        return PackedLists(paths, indptr, entries, rows, with_self, top_k)
