"""Hash of a dataset folder's content; keys everything derived from the data."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import suppress
from pathlib import Path

from mmbee_plugin.files import write_json

CONTENT = (".inter", ".user", ".item", ".segment", ".npy", ".npz")
CACHE = ".content_hash.json"
SETTLED = 2.0
"""age in seconds from which another write is sure to change a file's time of change"""


def content_hash(folder: Path) -> str:
    """sha256 over names, sizes and bytes of the folder's files with a suffix of `CONTENT`."""
    digest = hashlib.sha256()
    for path in _content(folder):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def current_hash(folder: Path) -> str:
    """`content_hash`, computed again only if a file has changed since the last call.

    The folder's `.content_hash.json` keeps the last hash with the size, inode and times of each file; every write
    moves the time of change (ctime), which no tool can set back. Nothing is kept while a file is younger than `SETTLED`
    seconds, or if the folder is not writable.
    """
    stamps = _stamps(folder)
    cache = folder / CACHE
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(cache.read_text(encoding="utf-8"))
        if kept["files"] == stamps and isinstance(kept["hash"], str):
            return kept["hash"]
    found = content_hash(folder)
    newest = max((max(stamp[2:]) for stamp in stamps.values()), default=0)
    if stamps == _stamps(folder) and time.time() - newest / 1e9 > SETTLED:
        with suppress(OSError):
            write_json(cache, {"files": stamps, "hash": found})
    return found


def _content(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.suffix in CONTENT]


def _stamps(folder: Path) -> dict[str, list[int]]:
    """Size, inode, and times of modification and change (ns) of each content file."""
    found = {}
    for path in _content(folder):
        stat = path.stat()
        found[path.name] = [stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]
    return found
