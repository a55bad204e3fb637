"""A publisher killed at each call that changes the disk, and at random moments: the shelf is never torn."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.serving.bundle.shelf import Shelf

CALLS = ("fsync", "replace", "rename", "mkdir", "open", "unlink", "rmdir")


@pytest.fixture
def finished(static_shelved, tmp_path) -> Path:
    """The second bundle, taken off the shelf, as a folder that was just written."""
    folder = tmp_path / "finished"
    shutil.move(static_shelved.shelf.path / static_shelved.ids[1], folder)
    return folder


def publish(shelf: Shelf, finished: Path, bundle: str) -> None:
    """What a build does once its files are there."""
    with shelf.writing() as folder:
        shutil.copytree(finished, folder, dirs_exist_ok=True)
        shelf.add(folder, bundle)
    shelf.publish(bundle)


def check_whole(shelf: Shelf, first: str, second: str) -> None:
    """CURRENT names a whole bundle, the older one or the newer one; nothing visible is half a bundle."""
    pointer = shelf.current()
    assert pointer.bundle in (first, second)
    shelf.verify(pointer.bundle)
    visible = {path.name for path in shelf.path.iterdir() if not path.name.startswith(".")}
    assert visible <= {"CURRENT", first, second}
    for bundle in visible - {"CURRENT"}:
        shelf.verify(bundle)


def reset(shelf: Shelf, first: str, second: str) -> None:
    (shelf.path / "CURRENT").write_text(json.dumps({"bundle": first, "previous": [], "pinned": False}))
    shutil.rmtree(shelf.path / second, ignore_errors=True)


def test_killed_at_each_call_that_changes_the_disk(killed_child, static_shelved, finished):
    shelf, (first, second) = static_shelved.shelf, static_shelved.ids
    call, outcomes = 0, set()
    while True:
        call += 1
        reset(shelf, first, second)
        was_killed = killed_child(lambda: publish(shelf, finished, second), CALLS, call)
        check_whole(shelf, first, second)
        outcomes.add((shelf.current().bundle == second, (shelf.path / second).exists()))
        if not was_killed:
            break
    assert call > 30  # an fsync a file, the folders, two renamings
    assert outcomes == {(False, False), (False, True), (True, True)}
    # What the killed ones left goes with the next.
    publish(shelf, finished, second)
    assert not list(shelf.path.glob(".*.writing-*"))


def test_a_disk_that_fails_at_any_call_is_one_line_and_tears_nothing(static_shelved, finished, monkeypatch):
    shelf, (first, second) = static_shelved.shelf, static_shelved.ids
    call, failed = 0, 0
    while True:
        call += 1
        reset(shelf, first, second)
        with monkeypatch.context() as patch:
            left = fail_at(patch, call)
            try:
                publish(shelf, finished, second)
            except InputError as error:
                assert "No space left on device" in str(error) and "\n" not in str(error)
                failed += 1
            except OSError as error:  # of the copying that stands for a build here
                assert "No space left on device" in str(error)
        check_whole(shelf, first, second)
        if left[0] > 0:
            break
    assert shelf.current().bundle == second
    assert failed > 5 and call > 30


def fail_at(patch: pytest.MonkeyPatch, call: int) -> list[int]:
    """Lets the call of this number among `CALLS` fail; returns how many are left until then."""
    left = [call]

    def failing(function):
        def wrapped(*arguments, **named):
            left[0] -= 1
            if left[0] == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return function(*arguments, **named)

        return wrapped

    for name in CALLS:
        patch.setattr(os, name, failing(getattr(os, name)))
    return left


def test_killed_at_random_moments(killed_child, static_shelved, finished):
    shelf, (first, second) = static_shelved.shelf, static_shelved.ids
    start = time.monotonic()
    publish(shelf, finished, second)
    whole = time.monotonic() - start
    rng = np.random.default_rng(0)
    killed = 0
    for _ in range(50):
        reset(shelf, first, second)
        killed += killed_child(lambda: publish(shelf, finished, second), seconds=rng.uniform(0, 1.5 * whole))
        check_whole(shelf, first, second)
    assert killed > 10


def test_killed_while_it_rolls_back_or_prunes(killed_child, static_shelved):
    shelf, (first, second) = static_shelved.shelf, static_shelved.ids
    shelf.publish(second)
    for work in (lambda: shelf.rollback(first), lambda: shelf.pin(first)):
        for call in range(1, 10):
            (shelf.path / "CURRENT").write_text(
                json.dumps({"bundle": second, "previous": [first], "pinned": False})
            )
            killed_child(work, CALLS, call)
            check_whole(shelf, first, second)


def test_everything_is_on_the_disk_before_it_has_its_name(static_shelved, finished, monkeypatch):
    """Files, then their folders, then the bundle's name and the shelf; CURRENT is last."""
    shelf, second = static_shelved.shelf, static_shelved.ids[1]
    done: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def synced(opened: int) -> None:
        done.append(("synced", os.readlink(f"/proc/self/fd/{opened}")))
        fsync(opened)

    def replaced(source: Path, target: Path) -> None:
        done.append(("named", str(target)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    publish(shelf, finished, second)
    bundle, shelf_path = str(shelf.path / second), str(shelf.path.resolve())
    named = done.index(("named", bundle))
    before = [Path(path).name for what, path in done[:named]]
    whole = Shelf(shelf.path).verify(second)
    assert {Path(name).name for name in whole["files"]} | {"manifest.json"} <= set(before)
    temporary = next(
        path for _, path in done if ".writing-" in path and path.endswith(("/tokens", "/authors"))
    )
    folder = Path(temporary).parent
    assert done[named - 1] == ("synced", str(folder if folder.parent == shelf.path else folder.parent))
    pointed = done.index(("named", str(shelf.path / "CURRENT")))
    assert ("synced", shelf_path) in done[named:pointed]
    assert done[pointed - 1][0] == "synced" and ".CURRENT.writing-" in done[pointed - 1][1]
    assert done[-1] == ("synced", shelf_path)


def test_two_writers_do_not_meet(static_shelved, finished):
    shelf = static_shelved.shelf
    with shelf.writing() as folder:
        with pytest.raises(ValueError, match="another process writes bundles here"), shelf.writing():
            pass
        assert folder.exists()
