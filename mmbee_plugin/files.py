"""Atomic writes of files and folders, with modes that follow the umask; lock files.

A file or folder is written beside its place under a unique hidden name, flushed to disk and then renamed: readers never
see half of it, even after a full disk, a kill or a power cut, and two writers never write into the same one.
"""

from __future__ import annotations

import errno
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
    """A unique hidden path in the folder of `path`."""
    return path.with_name(f".{path.name}.{state}-{secrets.token_hex(6)}")


@contextmanager
def replaced(path: Path, mode: Literal["w", "wb"] = "w") -> Iterator[IO[Any]]:
    """Opens a file that replaces `path`, flushed to disk, when the block ends without an error; else nothing changes.

    Args:
        path: in an existing folder.
        mode: "w" for UTF-8 text with unchanged line ends, or "wb" for bytes.

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
    """Writes `content` to `path` as JSON; values without a JSON form become text. Raises OSError."""
    with replaced(path) as file:
        json.dump(content, file, indent=1, default=str, ensure_ascii=False)
        file.write("\n")


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """Makes an empty folder beside `path`; removes it at the end of the block unless it was published.

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
    """Flushes a finished folder to disk and renames it to its final name; restores the previous folder if that fails.

    Args:
        writing: the finished folder, on the same file system as `folder`.
        folder: the final name.
        keeps: whether to keep an existing `folder`, such as another writer's, and leave `writing` unpublished.

    Raises:
        OSError: it cannot be renamed.
    """
    sync_tree(writing)
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
    """Removes a published folder; hides it first, so that no reader opens half of it. Raises OSError."""
    if folder.exists():
        hidden = beside(folder)
        os.replace(folder, hidden)
        shutil.rmtree(hidden, ignore_errors=True)


@contextmanager
def published(folder: Path) -> Iterator[Path]:
    """Makes a folder that replaces `folder` when the block ends without an error.

    Raises:
        InputError: it cannot be written; `folder` is unchanged.
    """
    folder = folder.absolute()
    try:
        with folder_beside(folder) as writing:
            yield writing
            publish(writing, folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({one_line(error)}); nothing was changed") from None


def link(source: Path, place: Path) -> None:
    """Gives a file another name, by a hard link; copies it where there is none, such as to another disk."""
    try:
        os.link(source, place)
    except OSError:
        shutil.copyfile(source, place)


def sync(path: Path) -> None:
    """Flushes a file, or the names in a folder where the file system can, to disk. Raises OSError."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno != errno.EINVAL or not path.is_dir():
            raise
    finally:
        os.close(opened)


def sync_tree(folder: Path) -> None:
    """Flushes all files below a folder to disk, then the folders. Raises OSError."""
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            sync(Path(place, name))
        sync(Path(place))


def stamp() -> str:
    """Name of a run: the time to the second, as RecBole writes it, and eight random digits."""
    return f"{time.strftime('%b-%d-%Y_%H-%M-%S')}-{secrets.randbelow(10**8):08}"


def claim(path: Path) -> bool:
    """Makes an empty file and its parent folders; returns False if the name is taken.

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
    """Raises InputError, naming the `purpose`, if the folder cannot be made or is not writable."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise InputError(f"{folder}: cannot be made for {purpose}: {there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{there}: not writable, so {purpose} cannot be kept there")


def check_writable(path: Path, purpose: str = "the result") -> None:
    """Makes the folder of `path`; raises InputError, naming the `purpose`, if no file can be written to `path`."""
    check_folder(path.parent, purpose)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise InputError(f"{path}: is a folder, a file name is needed for {purpose}")


@contextmanager
def lock_if_free(path: Path) -> Iterator[bool]:
    """Holds an exclusive lock on the file `path` during the block if no other process does; yields whether it is held.

    The file is made with its folder if missing; a killed process releases it. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


@contextmanager
def locked(path: Path, complaint: str | None = None) -> Iterator[int]:
    """Holds an exclusive lock on the file `path` during the block; a killed process releases it.

    Args:
        path: made with its folder if missing.
        complaint: message of the error if another process holds the lock; None waits instead.

    Yields:
        the file's descriptor; a process that inherits it holds the lock until it ends too.

    Raises:
        InputError: another process holds the lock (`complaint`), or the file cannot be made.
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
        yield file.fileno()


def hold(path: Path) -> IO[bytes]:
    """Opens a file under a shared lock, which ends when it is closed, or with the process; read access is enough.

    Where the file system has no locks it is only opened. Raises OSError: it cannot be opened.
    """
    file = path.open("rb")
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_SH)
    return file


def is_held(path: Path) -> bool:
    """Whether anybody holds a file by `hold`. Raises OSError: it cannot be opened to write."""
    with path.open("r+b") as file:  # over NFS an exclusive lock needs write access
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
    return False
