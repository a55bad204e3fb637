"""The folder of bundles, and the pointer CURRENT to the served one.

``bundles/<id>/`` are the bundles; ``bundles/CURRENT`` has the id of the served one, of those served before, and whether
it is pinned. A bundle is synced to disk, renamed to its id, and then named in CURRENT; both renames are atomic, so a
kill leaves the old state or the new one. ``.writing.lock`` is held while a bundle is written, ``.lock`` for the moment
in which bundles get and lose their names or CURRENT changes, so that none goes between its check and its publication.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmbee_plugin.data.jsons import read_object
from mmbee_plugin.errors import InputError, one_line
from mmbee_plugin.files import discard, folder_beside, is_held, locked, publish, sync, sync_tree, write_json
from mmbee_plugin.serving.bundle.manifest import FILE, check_files, read_manifest

POINTER = "CURRENT"
WRITING, NAMES = ".writing.lock", ".lock"
REMEMBERED = 20
"""bundles served before that CURRENT lists"""
KEPT = 3
"""least number of newest bundles that pruning keeps"""


@dataclass(frozen=True)
class Pointer:
    """The content of CURRENT."""

    bundle: str
    previous: tuple[str, ...] = ()
    """bundles served before and not taken back, the most recent last; none twice."""
    pinned: bool = False


class Shelf:
    """A folder of bundles.

    Args:
        path: created with the first bundle.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def current(self) -> Pointer | None:
        """Reads CURRENT; None before the first publication. Raises InputError if it is damaged."""
        file = self.path / POINTER
        if not file.exists():
            return None
        match read_object(file, "an object with the bundle's id"):
            case {"bundle": str(bundle), "previous": [*previous], "pinned": bool(pinned)}:
                return Pointer(bundle, tuple(map(str, previous)), pinned)
        raise InputError(f"{file}: does not name a bundle; publish one again")

    def bundles(self) -> list[dict[str, Any]]:
        """Manifests of all readable bundles, the newest last."""
        found = []
        for path in sorted(self.path.glob("*/" + FILE)):
            try:
                found.append(read_manifest(path.parent))
            except InputError:
                continue  # of another schema or damaged; `mmbee bundle verify` reports it
        return sorted(found, key=lambda manifest: (manifest["created"], manifest["id"]))

    def verify(self, bundle: str) -> dict[str, Any]:
        """Checks every file of a bundle by its hash; returns the manifest. Raises InputError."""
        folder = self.path / bundle
        manifest = read_manifest(folder)
        check_files(folder, manifest)
        return manifest

    @contextmanager
    def writing(self) -> Iterator[Path]:
        """Locks the shelf, removes what killed writers left, and yields a new folder for a bundle.

        Raises:
            InputError: another process writes bundles here.
        """
        with locked(self.path / WRITING, "another process writes bundles here"):
            for left in self.path.glob(".*.writing-*"):
                shutil.rmtree(left, ignore_errors=True)
            with folder_beside(self.path / "bundle") as folder:
                yield folder

    def add(self, writing: Path, bundle: str) -> Path:
        """Syncs a complete folder to disk and renames it to the bundle's id; an intact bundle of that id is kept."""
        folder = self.path / bundle
        sync_tree(writing)  # first, so that nobody waits for the lock meanwhile
        with self._changing():
            publish(writing, folder, keeps=lambda _: self._is_whole(bundle))
            sync(self.path)
        return folder

    def publish(self, bundle: str) -> Pointer:
        """Verifies a bundle and points CURRENT at it; if it was served before, those served since are taken back.

        Raises:
            InputError: a missing or damaged bundle, or another one is pinned.
        """
        self.verify(bundle)
        with self._changing():
            return self._point(self._next(bundle))

    def rollback(self, bundle: str | None = None) -> Pointer:
        """Points CURRENT back at the bundle served before, or at an older one, and takes back those served since.

        Raises:
            InputError: it was not served before; as `publish`.
        """
        with self._changing():
            before = self.current()
            if before is None or not before.previous:
                raise InputError(f"{self.path}: no bundle was served before this one")
            target = bundle or before.previous[-1]
            if target not in (*before.previous, before.bundle):
                raise InputError(
                    f"{self.path}: {target} was not served before this one; mmbee bundle publish takes any"
                )
            self.verify(target)
            return self._point(self._next(target))

    def pin(self, bundle: str | None = None, on: bool = True) -> Pointer:
        """Pins CURRENT to a bundle (by default the present one), or unpins it; nothing else moves a pinned CURRENT.

        Another bundle is taken as by `publish`.

        Raises:
            InputError: a missing or damaged bundle, or nothing was published.
        """
        if bundle is not None:
            self.verify(bundle)
        with self._changing():
            before = self.current()
            if before is None:
                raise InputError(f"{self.path}: nothing was published")
            after = self._next(bundle or before.bundle, moves_pin=True)
            return self._point(replace(after, pinned=on))

    def prune(self, keep: int = KEPT) -> list[str]:
        """Removes all but the ``keep`` newest bundles; returns their ids.

        The served one stays, the one before it, and those that a service has loaded: it serves on with an old one where
        newer ones are refused.

        Raises:
            InputError: ``keep`` below :data:`KEPT`.
        """
        if keep < KEPT:
            raise InputError(f"--keep {keep}: at least {KEPT} bundles stay")
        with self._changing():
            ids = [manifest["id"] for manifest in self.bundles()]
            pointer = self.current()
            stays = set(ids[-keep:])
            if pointer is not None:
                stays |= {pointer.bundle, *pointer.previous[-1:]}
            gone = [one for one in ids if one not in stays and not is_held(self.path / one / FILE)]
            for bundle in gone:
                discard(self.path / bundle)
        return gone

    def _is_whole(self, bundle: str) -> bool:
        try:
            self.verify(bundle)
        except InputError:
            return False
        return True

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Locks names and CURRENT; waits for other processes. Raises InputError if they cannot be written."""
        try:
            with locked(self.path / NAMES):
                yield
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({one_line(error)})") from None

    def _next(self, bundle: str, moves_pin: bool = False) -> Pointer:
        """The pointer that names a bundle, after the present one or back at it. Raises InputError as `publish`."""
        check_files(self.path / bundle, read_manifest(self.path / bundle), hashes=False)  # not pruned since
        before = self.current()
        if before is None or before.bundle == bundle:
            return before or Pointer(bundle)
        if not moves_pin:
            self._check_free(before)
        chain = (*before.previous, before.bundle)
        return replace(
            before, bundle=bundle, previous=chain[: chain.index(bundle)] if bundle in chain else chain
        )

    def _check_free(self, pointer: Pointer) -> None:
        if pointer.pinned:
            raise InputError(
                f"{self.path}: {pointer.bundle} is pinned; mmbee bundle pin names another, with --off none"
            )

    def _point(self, pointer: Pointer) -> Pointer:
        kept = replace(pointer, previous=pointer.previous[-REMEMBERED:])
        content = {"bundle": kept.bundle, "previous": kept.previous, "pinned": kept.pinned}
        write_json(self.path / POINTER, content)
        sync(self.path)
        return kept
