"""Readers of public live-stream logs, and the table that names them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from mmbee_plugin.errors import InputError, one_line
from mmbee_plugin.logs import check_installed
from mmbee_plugin.logs.settings import ConvertSettings

LOG_FORMATS = {
    "kuailive": "mmbee_plugin.logs.formats.kuailive",
    "kuailive-m3": "mmbee_plugin.logs.formats.kuailive_m3",
}
"""Each has `INFO`, what `logs.json` says, `FILES`, the names of its tables, each with its older ones, and
`write(source, log, counts, progress)`; imported when asked for."""


def convert_log(
    form: str,
    source: Path,
    folder: Path,
    settings: ConvertSettings | None = None,
    *,
    force: bool = False,
    progress: Callable[[str], None] = lambda stage: None,
) -> list[str]:
    """Reads the files of log format `form` in the folder `source` and writes the log folder `folder`.

    Returns:
        where each table was found, what was read and left out, a line each; `logs.json` keeps what was left out, with
        the reasons, in its notes.

    Raises:
        InputError: no polars, an unknown format, bad files, a table that loses all or too many of its rows, or a
            destination that holds another log without `force`.
    """
    check_installed()
    from polars.exceptions import PolarsError

    from mmbee_plugin.logs.counts import Counts
    from mmbee_plugin.logs.folder import LogFolder
    from mmbee_plugin.logs.formats.source import SourceFolder
    from mmbee_plugin.logs.writer import LogInfo, writing

    if form not in LOG_FORMATS:
        raise InputError(f"format {form!r} is unknown; known: {', '.join(LOG_FORMATS)}")
    if not source.is_dir():
        raise InputError(f"{source}: no such folder to read from")
    reader = import_module(LOG_FORMATS[form])
    settings = settings or ConvertSettings()
    files, counts = SourceFolder(source, settings.zone), Counts()
    info = LogInfo(**(reader.INFO | {"notes": list(reader.INFO["notes"])}))
    try:
        with writing(folder, info, force=force) as log:
            reader.write(files, log, counts, progress)
            counts.check_dropped(settings.max_dropped)
            log.check_rows(source)
            info.notes += counts.notes()
    except PolarsError as error:
        raise InputError(f"{source}: not readable ({one_line(error)})") from None
    written = LogFolder(folder)
    absent = [f"no table {name}: the files have none" for name in written.absent]
    found = [files.table(*names).described() for names in reader.FILES]
    return [written.provenance(), *found, *counts.lines(), *absent]
