"""What `mmbee_plugin.files` promises: whole or not at all, the umask's mode, names that no other run has."""

from __future__ import annotations

import errno
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mmbee_plugin import files
from mmbee_plugin.data.writer import DatasetContent, Interactions, write_folder
from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.cells import Cell, CellStore
from mmbee_plugin.experiments.report import Report
from mmbee_plugin.graph import build as graph
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.graph.settings import Interactions as Pairs
from mmbee_plugin.modules.exchange import Exchange, write_exchange


def _checkpoint(folder: Path) -> None:
    from mmbee_plugin.recbole.training import checkpoint

    checkpoint.save({"epoch": 1}, folder / "a.pth")


def _result(folder: Path) -> None:
    from mmbee_plugin.recbole.training.report import RunResult, write_results

    write_results(folder / "a.json", [RunResult("A", "A", {}, {}, {}, {}, 1.0, 1.0, "", "")], as_list=False)


def _dataset(folder: Path) -> None:
    rows = Interactions(np.array([0, 0]), np.array([0, 1]))
    write_folder(folder / "toy", DatasetContent("s", "sample", ["u"], ["i", "j"], {"": rows}))


def _snapshot(folder: Path) -> None:
    pairs = Pairs(np.array([0, 1]), np.array([0, 0]), np.ones(2), 2, 1)
    graph.build(pairs, GraphSettings(metapaths=("u2a2u",)), folder / "graphs")


def _shards(folder: Path) -> None:
    from mmbee_plugin.torchrec.node_vectors.files import publish_pair

    publish_pair(folder, "users.npy", "authors.npy")


KINDS: dict[str, Callable[[Path], object]] = {
    "checkpoint": _checkpoint,
    "result": _result,
    "exchange": lambda folder: write_exchange(
        folder / "a.pt", Exchange({"user": torch.zeros(2, 1)}, {}, ["u"], [], {})
    ),
    "cell": lambda folder: CellStore(folder / "cells").put({"a": 1}, Cell({"x": np.zeros(2)}, {"y": 1})),
    "report": lambda folder: Report(folder / "r").write(
        "title", "verdict", [], [], ["Data: toy"], True, ["a"], [{"a": 1}], {"a": 1}, {}
    ),
    "dataset": _dataset,
    "snapshot": _snapshot,
    "names of the node vectors": _shards,
    "claimed names": lambda folder: files.claim(folder / "saved" / "A.pth"),
}


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
@pytest.mark.parametrize("kind", KINDS)
def test_modes_follow_the_umask(kind, umask, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    before = os.umask(umask)
    try:
        KINDS[kind](folder)
    finally:
        os.umask(before)
    written = list(folder.rglob("*"))
    assert written
    for path in written:
        right = 0o777 if path.is_dir() else 0o666
        assert path.stat().st_mode & 0o777 == right & ~umask, path


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a"
    path.write_text("old")
    for error in (RuntimeError, KeyboardInterrupt):
        with pytest.raises(error), files.replaced(path) as file:
            file.write("half")
            raise error
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_bytes_and_line_ends_are_written_as_they_are(tmp_path):
    for mode, content in (("w", "ä\r\nb\n"), ("wb", b"\xff\r\n")):
        with files.replaced(tmp_path / "a", mode) as file:
            file.write(content)
        raw = (tmp_path / "a").read_bytes()
        assert raw == (content.encode() if isinstance(content, str) else content)


def test_what_was_there_comes_back_where_a_folder_cannot_be_renamed(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").touch()
    rename = os.replace

    def failing(source: Path, target: Path) -> None:
        if ".writing-" in str(source):
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with (
        pytest.raises(InputError, match=r"Input/output error.*nothing was changed"),
        files.published(tmp_path / "a"),
    ):
        pass
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == ["a", "a/old"]


def test_a_folder_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    done, fsync, rename = [], os.fsync, os.replace

    def synced(opened: int) -> None:
        done.append(Path(os.readlink(f"/proc/self/fd/{opened}")).name)
        fsync(opened)

    def renamed(source: Path, target: Path) -> None:
        done.append("renamed")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    with files.published(tmp_path / "a") as writing:
        (writing / "part").mkdir()
        (writing / "part" / "rows").write_bytes(b"1")
    assert done == ["rows", "part", writing.name, "renamed"]


def test_names_are_flushed_where_the_file_system_can(tmp_path, monkeypatch):
    def fails(code: int) -> None:
        def failing(opened: int) -> None:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "fsync", failing)

    (tmp_path / "a").touch()
    fails(errno.EINVAL)
    files.sync(tmp_path)
    with pytest.raises(OSError, match="Invalid argument"):
        files.sync(tmp_path / "a")
    fails(errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        files.sync(tmp_path)


def test_a_folder_that_is_kept_stays(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").touch()
    for keeps, found in ((lambda _: True, "old"), (lambda _: False, "new")):
        with files.folder_beside(tmp_path / "a") as writing:
            (writing / "new").touch()
            files.publish(writing, tmp_path / "a", keeps)
        assert os.listdir(tmp_path / "a") == [found]
    assert os.listdir(tmp_path) == ["a"]


def test_a_name_is_claimed_once(tmp_path):
    taken: list[bool] = []
    threads = [
        threading.Thread(target=lambda: taken.append(files.claim(tmp_path / "new" / "a"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == [False] * 7 + [True]


def test_a_lock_is_held_by_one(tmp_path):
    lock = tmp_path / "job" / ".lock"
    with (
        files.locked(lock, "is busy"),
        pytest.raises(InputError, match="job: is busy"),
        files.locked(lock, "is busy"),
    ):
        pass
    with files.locked(lock, "is busy"):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="not writable"):
            files.check_folder(tmp_path, "a checkpoint")
    finally:
        tmp_path.chmod(0o700)


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "a").touch()
    for folder in (tmp_path / "a", tmp_path / "a" / "b"):
        with pytest.raises(InputError, match="cannot be made for checkpoints"):
            files.check_folder(folder, "checkpoints")
        with pytest.raises(InputError, match="cannot be made"):
            files.claim(folder / "b")


def test_nothing_else_renames():
    """A rename of a frame's columns is none of files."""
    rolled_own = re.compile(
        r"\bos\.(replace|renames?)\b|shutil\.move|mkstemp|NamedTemporaryFile|\.rename\((?!columns|\{|names)"
    )
    root = Path(files.__file__).parent
    found = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if rolled_own.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"files.py"}


def test_a_held_file_is_held_until_all_have_let_go(tmp_path):
    path = tmp_path / "a"
    path.touch()
    assert not files.is_held(path)
    first, second = files.hold(path), files.hold(path)
    first.close()
    assert files.is_held(path)
    second.close()
    assert not files.is_held(path)
