"""Readers of public live-stream logs, by name."""

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
    "vtuber": "mmbee_plugin.logs.formats.vtuber",
}
"""modules, imported on use, with `INFO` (entries of `logs.json`), `FILES` (each table's current and older names) and
`write(source, log, counts, progress)`"""


def convert_log(
    form: str,
    source: Path,
    folder: Path,
    settings: ConvertSettings | None = None,
    *,
    force: bool = False,
    progress: Callable[[str], None] = lambda stage: None,
) -> list[str]:
    """Converts the files of log format `form` in the folder `source` into the log folder `folder`.

    Returns:
        lines on the place of each table, and on what was read and left out; the notes of `logs.json` have the latter
        with its reasons.

    Raises:
        InputError: no polars, an unknown format, bad files, a table that loses all or too many of its rows, a
            destination with another log without `force`.
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
