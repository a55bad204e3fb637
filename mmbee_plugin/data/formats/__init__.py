"""Readers of the formats of public multi-modal data, by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.formats import grouplens, hkuds, microlens, mmgcn, mmrec
from mmbee_plugin.data.writer import DatasetContent, check_replaceable, write_folder
from mmbee_plugin.errors import InputError

READERS: dict[str, Callable[[Path], DatasetContent]] = {
    "hkuds": hkuds.read,
    "microlens": microlens.read,
    "mmgcn": mmgcn.read,
    "mmrec": mmrec.read,
    "movielens": grouplens.read,
}


def convert(
    form: str, source: Path, folder: Path, *, force: bool = False, ordered: bool = False
) -> DatasetFolder:
    """Converts the files of format `form` in the folder `source` into the dataset folder `folder`.

    Args:
        force: replace real data too.
        ordered: declares that files without times list each user's rows in order of time.

    Raises:
        InputError: an unknown format, bad files, a destination with real data without `force`, or `ordered` for files
            with times.
    """
    if form not in READERS:
        raise InputError(f"format {form!r} is unknown; known: {', '.join(READERS)}")
    if not source.is_dir():
        raise InputError(f"{source}: no such folder to read from")
    check_replaceable(folder, force)
    content = READERS[form](source)
    content.ordered = ordered
    write_folder(folder, content, force=force)
    return DatasetFolder(folder)
