"""Reads and checks `dataset.json`, the description of a dataset folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmbee_plugin.data.jsons import read_object
from mmbee_plugin.data.unread import check_modality
from mmbee_plugin.errors import InputError

KINDS = ("real", "sample", "simulated")
READ_AS = ("ordered", "origin", "splits", "modalities", "segments", "tasks")
"""entries that change what is read of the files; the others tell of them"""


def read_description(path: Path) -> dict[str, Any]:
    """Content of `dataset.json`; {} without the file. Raises InputError if it is no JSON object."""
    return read_object(path) if path.exists() else {}


def check_description(file: Path, found: dict[str, Any], splits: tuple[str, ...]) -> None:
    """Raises InputError where the content of `file` breaks the schema in docs/data-formats.md.

    Args:
        splits: parts of a pre-split folder; each needs a count.
    """
    if found.get("kind", "real") not in KINDS:
        raise InputError(f"{file}, kind: {found['kind']!r}; one of {', '.join(KINDS)} is needed")
    for key, kind in (
        ("source", str),
        ("ordered", bool),
        ("notes", list),
        ("warnings", list),
        ("hash", str),
        ("counts", dict),
        ("modalities", dict),
        ("origin", float),
    ):
        if key in found and not isinstance(found[key], kind):
            raise InputError(f"{file}, {key}: a {kind.__name__} is needed, found {type(found[key]).__name__}")
    for key in ("users", "items", "interactions", *splits):
        if "counts" in found and type(found["counts"].get(key)) is not int:
            raise InputError(f"{file}, counts: {key!r} is missing or no whole number")
    for modality, entry in found.get("modalities", {}).items():
        check_modality(modality, f"{file}, modalities")
        fields = entry if isinstance(entry, dict) else {}
        name, form = fields.get("file"), fields.get("kind")
        size = fields.get("vocabulary" if form == "bag" else "width")
        if name != f"{modality}.{'npz' if form == 'bag' else 'npy'}" or form not in ("dense", "bag"):
            raise InputError(
                f"{file}, modalities: {modality!r} needs a file of its name and kind dense or bag"
            )
        if type(size) is not int or type(fields.get("missing")) is not int:
            raise InputError(f"{file}, modalities: {modality!r} needs its width or vocabulary, and missing")
