"""The graph of a log's gifts: snapshot `<log>/graph/<key>`, and `<key>.gifts` beside it, whose ids name its rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mmbee_plugin.errors import InputError
from mmbee_plugin.files import folder_beside, publish
from mmbee_plugin.graph.build import build_snapshot
from mmbee_plugin.graph.inputs import Inputs
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.graph.snapshot import Snapshot
from mmbee_plugin.logs.checks import check_tables
from mmbee_plugin.logs.donations import WriteGifts, read_gifts, write_gifts
from mmbee_plugin.logs.each import Each, in_turn
from mmbee_plugin.logs.folder import LogFolder
from mmbee_plugin.logs.period import DAY, days_of, offset_of
from mmbee_plugin.settings.section import Section

Make = Callable[[Inputs, Path, Callable[[str], None] | None], Snapshot]
"""makes the snapshot of inputs in a folder of snapshots, telling the name of each stage, or opens it if it is there"""


class LogGraphSettings(Section):
    """Settings of the graph of a log's gifts."""

    graph: GraphSettings = GraphSettings()
    """the graph stage"""


def graph_of_log(
    log: LogFolder,
    settings: GraphSettings,
    days: int | None = None,
    progress: Callable[[str], None] = lambda stage: None,
    *,
    each: Each = in_turn,
    write: WriteGifts = write_gifts,
    make: Make = build_snapshot,
) -> Snapshot:
    """The snapshot of a log's gifts, built if missing.

    Args:
        log: the log.
        settings: of the graph stage.
        days: only gifts of the first so many local days from the log's first visit; None: all.
        progress: called with each stage's name as it starts.
        each: runs the tasks of the check, one for each file.
        write: writes the gifts.
        make: makes the snapshot; another engine's `each`, `write` and `make` give the same files.

    Raises:
        InputError: an impossible value among the gifts, no gifts, settings that need what gifts do not have, a folder
            that cannot be written.
    """
    if days is not None and days < 1:
        raise InputError(f"--days {days}: a number of days from 1 is needed")
    progress("checking the gifts")
    check_tables(log, ["gifts"], each)
    until = 2**62 if days is None else (days_of(log)[0] + days) * DAY - offset_of(log)
    root = log.path / "graph"
    progress("ids")
    with folder_beside(root.absolute() / "gifts") as writing:
        write(log, until, writing)
        made = make(Inputs(read_gifts(writing), settings), root, progress)
        publish(writing, gifts_of(made), keeps=Path.exists)
    return made


def gifts_of(snapshot: Snapshot) -> Path:
    """The folder of the gifts that the snapshot of a log was built from; see :mod:`~mmbee_plugin.logs.donations`."""
    return snapshot.path.with_name(f"{snapshot.path.name}.gifts")
