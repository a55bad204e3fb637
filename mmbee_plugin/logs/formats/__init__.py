"""Readers of public live-stream logs, and the table that names them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from mmbee_plugin.errors import InputError
from mmbee_plugin.logs import check_installed

LOG_FORMATS = {
    "kuailive": "mmbee_plugin.logs.formats.kuailive",
    "kuailive-m3": "mmbee_plugin.logs.formats.kuailive_m3",
}
"""Each has `INFO`, what `logs.json` says, and `write(source, log, counts, progress)`; imported when asked for."""


def convert_log(
    form: str,
    source: Path,
    folder: Path,
    *,
    force: bool = False,
    progress: Callable[[str], None] = lambda stage: None,
) -> list[str]:
    """Reads the files of log format `form` in the folder `source` and writes the log folder `folder`.

    Returns:
        what was found and left out, a line each.

    Raises:
        InputError: no polars, an unknown format, bad files, or a destination that holds another log without `force`.
    """
    check_installed()
    from polars.exceptions import PolarsError

    from mmbee_plugin.logs.counts import Counts
    from mmbee_plugin.logs.folder import LogFolder
    from mmbee_plugin.logs.writer import LogInfo, writing

    if form not in LOG_FORMATS:
        raise InputError(f"format {form!r} is unknown; known: {', '.join(LOG_FORMATS)}")
    if not source.is_dir():
        raise InputError(f"{source}: no such folder to read from")
    reader = import_module(LOG_FORMATS[form])
    counts = Counts()
    try:
        with writing(folder, LogInfo(**reader.INFO), force=force) as log:
            reader.write(source, log, counts, progress)
    except PolarsError as error:
        raise InputError(f"{source}: not readable ({' '.join(str(error).split())[:200]})") from None
    written = LogFolder(folder)
    absent = [f"no table {name}: the files have none" for name in written.absent]
    return [written.provenance(), *counts.lines(), *absent]
