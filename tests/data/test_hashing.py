"""The hash follows the files: whatever was written beside them, and however they were replaced."""

from __future__ import annotations

import json
import os
import shutil
import time

import numpy as np
import pytest

from mmbee_plugin.data import hashing
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.hashing import CACHE, content_hash, current_hash
from mmbee_plugin.data.writer import write_folder


@pytest.fixture
def toy(tmp_path, content):
    write_folder(tmp_path / "toy", content)
    return tmp_path / "toy"


@pytest.fixture
def settled(monkeypatch):
    """Files count as old at once."""
    monkeypatch.setattr(hashing, "SETTLED", -1.0)


def _replace_visual(folder):
    values = np.load(folder / "visual.npy")
    np.save(folder / "visual.npy", np.ascontiguousarray(values[::-1]))


def _swap_in_place(folder):
    """Bytes of another order in the same file, whose size and time of modification stay."""
    file = next(folder.glob("*.inter"))
    stat, text = file.stat(), file.read_bytes()
    header, *lines = text.splitlines(keepends=True)
    with file.open("r+b") as stream:
        stream.write(header + b"".join(reversed(lines)))
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("change", [_replace_visual, _swap_in_place])
@pytest.mark.parametrize("described", [True, False])
def test_the_hash_is_that_of_the_files(toy, settled, change, described):
    before = DatasetFolder(toy)
    assert before.hash == json.loads((toy / "dataset.json").read_text())["hash"] == content_hash(toy)
    assert not before.changed and (toy / CACHE).is_file()
    if not described:
        (toy / "dataset.json").unlink()
    time.sleep(0.02)  # past the kernel's tick
    change(toy)
    after = DatasetFolder(toy)
    assert after.hash == content_hash(toy) != before.hash
    assert after.changed == described
    assert ("CHANGED since dataset.json was written" in after.provenance()) == described


def test_added_and_removed_files_count(toy, settled):
    found = {current_hash(toy)}
    np.save(toy / "smell.npy", np.ones((4, 2), np.float32))
    found.add(current_hash(toy))
    (toy / "visual.npy").unlink()
    found.add(current_hash(toy))
    assert len(found) == 3
    (toy / "readme.txt").write_text("not content")
    assert current_hash(toy) in found


def test_unchanged_files_are_not_read_again(toy, settled, monkeypatch):
    first = current_hash(toy)
    monkeypatch.setattr(hashing, "content_hash", lambda _: pytest.fail("read again"))
    assert current_hash(toy) == DatasetFolder(toy).hash == first


def test_young_files_copies_and_damaged_caches_are_read(toy, tmp_path, settled, monkeypatch):
    first = current_hash(toy)
    (toy / CACHE).write_text("{")
    assert current_hash(toy) == first
    (toy / CACHE).write_text(json.dumps({**json.loads((toy / CACHE).read_text()), "hash": "foreign"}))
    copy = tmp_path / "other" / "toy"
    shutil.copytree(toy, copy)  # the cache comes along, the inodes and times do not
    assert current_hash(copy) == first
    (toy / CACHE).unlink()
    monkeypatch.setattr(hashing, "SETTLED", 1e6)
    assert current_hash(toy) == first and not (toy / CACHE).exists()


def test_a_folder_that_cannot_be_written_to_has_a_hash(toy, settled, monkeypatch):
    monkeypatch.setattr(
        "pathlib.Path.write_text", lambda *_, **__: (_ for _ in ()).throw(OSError("read-only"))
    )
    assert current_hash(toy) == content_hash(toy)
