"""The hash of a dataset folder's content, which everything made of the data is keyed on."""

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
"""Seconds after which a file that is written again surely gets another time of change."""


def content_hash(folder: Path) -> str:
    """sha256 over names and bytes of a folder's `.inter`, `.user`, `.item`, `.segment`, `.npy` and `.npz` files."""
    digest = hashlib.sha256()
    for path in _content(folder):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def current_hash(folder: Path) -> str:
    """`content_hash`, read again only where a file has changed since the last call.

    The last hash lies in the folder's `.content_hash.json` beside the size, inode and times of each file: the time of
    change (ctime) moves with every write, and no tool sets it back. Files younger than `SETTLED` seconds are not
    trusted to that, and a folder that cannot be written to is hashed at each call.
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
    """Per content file its size, inode, and times of modification and change in nanoseconds."""
    found = {}
    for path in _content(folder):
        stat = path.stat()
        found[path.name] = [stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]
    return found
