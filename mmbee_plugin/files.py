"""Files and folders that are always whole, that no other run writes to, and whose mode follows the umask.

A file or folder is written beside its place under a hidden name of its own and renamed: a reader, a full disk or a
kill never sees half of one, and two writers never write into one.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

from mmbee_plugin.errors import InputError, one_line


def beside(path: Path, state: str = "writing") -> Path:
    """A hidden name in the folder of `path` that nothing else has."""
    return path.with_name(f".{path.name}.{state}-{secrets.token_hex(6)}")


@contextmanager
def replaced(path: Path, mode: Literal["w", "wb"] = "w") -> Iterator[IO[Any]]:
    """A file that takes the place of `path`, on the disk, when the block ends without an error; else nothing changes.

    Args:
        path: in a folder that exists.
        mode: "w" for UTF-8 text, whose line ends are left as they are, or "wb" for bytes.

    Raises:
        OSError: it cannot be written.
    """
    writing = beside(path)
    text = {"encoding": "utf-8", "newline": ""} if mode == "w" else {}
    try:
        with open(writing, mode.replace("w", "x"), **text) as file:  # type: ignore[call-overload]
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(writing, path)
    except BaseException:
        with suppress(OSError):
            writing.unlink()
        raise


def write_json(path: Path, content: Any) -> None:
    """Replaces `path` by a JSON document; what JSON has no form for becomes text. Raises OSError."""
    with replaced(path) as file:
        json.dump(content, file, indent=1, default=str, ensure_ascii=False)
        file.write("\n")


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """A new, empty folder beside `path`, to be published or not; what is left of it goes when the block ends.

    Raises:
        OSError: it cannot be made.
    """
    writing = beside(path)
    try:
        writing.mkdir(parents=True)
        yield writing
    finally:
        shutil.rmtree(writing, ignore_errors=True)


def publish(writing: Path, folder: Path, keeps: Callable[[Path], bool] | None = None) -> None:
    """Gives a finished folder its name; what stood there makes way, and comes back where the renaming fails.

    Args:
        writing: the finished folder, on the disk of `folder`.
        folder: the name it is read under.
        keeps: whether what stands there by now, such as another writer's, stays in place of `writing`.

    Raises:
        OSError: it cannot be renamed.
    """
    if not folder.exists():
        try:
            os.replace(writing, folder)
            return
        except OSError:
            if not folder.exists():
                raise
    if keeps is not None and keeps(folder):
        return
    old = beside(folder, "replaced")
    os.replace(folder, old)
    try:
        os.replace(writing, folder)
    except OSError:
        os.replace(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def discard(folder: Path) -> None:
    """Removes a published folder, out of sight first, so that no reader ever opens half of it. Raises OSError."""
    if folder.exists():
        hidden = beside(folder)
        os.replace(folder, hidden)
        shutil.rmtree(hidden, ignore_errors=True)


@contextmanager
def published(folder: Path) -> Iterator[Path]:
    """A new folder that takes the place of `folder` when the block ends without an error.

    Raises:
        InputError: it cannot be written; nothing was changed.
    """
    folder = folder.absolute()
    try:
        with folder_beside(folder) as writing:
            yield writing
            publish(writing, folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({one_line(error)}); nothing was changed") from None


def sync(path: Path) -> None:
    """Returns once a file, or the names in a folder, are on the disk. Raises OSError."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def sync_tree(folder: Path) -> None:
    """Returns once all files below a folder are on the disk, and then the names that lead to them. Raises OSError."""
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            sync(Path(place, name))
        sync(Path(place))


def stamp() -> str:
    """The time to the second, as RecBole writes it, and eight random digits: runs of one second differ."""
    return f"{time.strftime('%b-%d-%Y_%H-%M-%S')}-{secrets.randbelow(10**8):08}"


def claim(path: Path) -> bool:
    """Makes an empty file, and the folders it needs; False where something has that name already.

    Raises:
        InputError: it cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("x").close()
    except OSError as error:
        if isinstance(error, FileExistsError) and path.parent.is_dir():
            return False
        raise InputError(f"{path}: cannot be made ({one_line(error)})") from None
    return True


def check_folder(folder: Path, purpose: str) -> None:
    """Raises InputError, with what it is for, where a folder is not there and cannot be made, or not written to."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise InputError(f"{folder}: cannot be made for {purpose}: {there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{there}: not writable, so {purpose} cannot be kept there")


def check_writable(path: Path, purpose: str = "the result") -> None:
    """Makes the folder of `path` if need be. Raises InputError, with what it is for, where no file can be written."""
    check_folder(path.parent, purpose)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise InputError(f"{path}: is a folder, a file name is needed for {purpose}")


@contextmanager
def locked(path: Path, complaint: str | None = None) -> Iterator[None]:
    """The block runs while no other process holds the lock file `path`, which a kill gives up too.

    Args:
        path: made if need be, with its folder.
        complaint: what is wrong where another holds it; None waits for that one.

    Raises:
        InputError: another process holds it (the complaint), or the file cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise InputError(f"{path}: cannot be made ({one_line(error)})") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if complaint else 0))
        except BlockingIOError:
            raise InputError(f"{path.parent}: {complaint}") from None
        yield
