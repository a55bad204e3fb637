"""``manifest.json`` of a bundle: its model, data and tasks, the hash of every file and of the manifest itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmbee_plugin.data.jsons import read_object
from mmbee_plugin.errors import InputError
from mmbee_plugin.files import replaced

SCHEMA = "mmbee-bundle-1"
FILE = "manifest.json"
ENTRIES: dict[str, type | tuple[type, ...]] = {
    "id": str,
    "seal": str,
    "created": str,
    "parent": (str, type(None)),
    "model": dict,
    "tasks": list,
    "chances": bool,
    "data": dict,
    "tokens": dict,
    "live": (dict, type(None)),
    "files": dict,
}
"""required entries besides ``schema`` -> their types"""


def file_entry(path: Path) -> dict[str, Any]:
    """Size and sha256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"size": path.stat().st_size, "sha256": digest}


def write_manifest(folder: Path, content: Mapping[str, Any], created: str, parent: str | None) -> str:
    """Writes the manifest of a folder whose other files are complete; returns the bundle's id, which depends on
    ``content`` and the files alone.

    Args:
        content: all entries except ``id``, ``seal``, ``created``, ``parent`` and ``files``.
        created: time of the build. parent: id of the bundle served at that time, or None.
    """
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    entries = {"schema": SCHEMA, **content, "files": {name: file_entry(folder / name) for name in names}}
    entries["id"] = _hash(entries)[:16]
    entries |= {"created": created, "parent": parent}
    entries["seal"] = _hash(entries)
    with replaced(folder / FILE, "wb") as file:
        file.write(_canonical(entries))
    return entries["id"]


def read_manifest(folder: Path) -> dict[str, Any]:
    """Reads and checks the manifest of a bundle.

    Raises:
        InputError: no such bundle, another schema, or a manifest that was changed or is in another bundle's folder.
    """
    source = folder / FILE
    if not source.exists():
        raise InputError(f"{folder}: no such bundle")
    manifest = read_object(source, "the manifest of a bundle")
    if manifest.get("schema") != SCHEMA:
        raise InputError(
            f"{source}: schema {manifest.get('schema')!r}, expected {SCHEMA!r}; build the bundle again"
        )
    for name, kind in ENTRIES.items():
        if not isinstance(manifest.get(name), kind):
            raise InputError(f"{source}: {name!r} is missing or of another type; build the bundle again")
    unsealed = {name: value for name, value in manifest.items() if name != "seal"}
    if manifest["seal"] != _hash(unsealed) or source.read_bytes() != _canonical(manifest):
        raise InputError(f"{source}: not as it was written; build the bundle again")
    if manifest["id"] != folder.resolve().name:
        raise InputError(f"{source}: of bundle {manifest['id']}, not of its folder's name")
    return manifest


def check_files(folder: Path, manifest: Mapping[str, Any], hashes: bool = True) -> None:
    """Raises InputError for the first file that is missing or was changed.

    Args:
        hashes: whether to check content by hash, or only sizes.
    """
    for name, entry in manifest["files"].items():
        path = folder / name
        try:
            found = file_entry(path) if hashes else {"size": path.stat().st_size}
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}; build the bundle again") from None
        if found["size"] != entry["size"]:
            raise InputError(
                f"{path}: {found['size']} bytes, expected {entry['size']}; build the bundle again"
            )
        if hashes and found["sha256"] != entry["sha256"]:
            raise InputError(f"{path}: its content is not what was built; build the bundle again")


def _hash(entries: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical({k: v for k, v in entries.items() if k != "seal"})).hexdigest()


def _canonical(entries: Mapping[str, Any]) -> bytes:
    # Keys are not sorted: the order of modalities is the order of the model's tokens.
    return json.dumps(entries, indent=1, ensure_ascii=False).encode() + b"\n"
