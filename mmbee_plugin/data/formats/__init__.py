"""Readers of the formats that public multi-modal data comes in, and the table that names them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.formats import hkuds, microlens, mmgcn, mmrec
from mmbee_plugin.data.writer import DatasetContent, check_replaceable, write_folder
from mmbee_plugin.errors import InputError

READERS: dict[str, Callable[[Path], DatasetContent]] = {
    "hkuds": hkuds.read,
    "microlens": microlens.read,
    "mmgcn": mmgcn.read,
    "mmrec": mmrec.read,
}


def convert(form: str, source: Path, folder: Path, *, force: bool = False) -> DatasetFolder:
    """Reads the files of format `form` in the folder `source` and writes the dataset folder `folder`.

    Raises InputError for an unknown format, bad files, or a destination that holds real data without `force`.
    """
    if form not in READERS:
        raise InputError(f"format {form!r} is unknown; known: {', '.join(READERS)}")
    if not source.is_dir():
        raise InputError(f"{source}: no such folder to read from")
    check_replaceable(folder, force)
    write_folder(folder, READERS[form](source), force=force)
    return DatasetFolder(folder)
