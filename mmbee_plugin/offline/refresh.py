"""Finds the earlier snapshot that a dataset folder's graph is refreshed from, and matches its nodes by token."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.names import Names
from mmbee_plugin.graph.refresh import Refresh
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.graph.snapshot import Snapshot

MAY_DIFFER = {"folds", "fold_by", "fold_seed", "statistics", "refresh_from", "refresh_limit"}
"""settings that the lists of the whole graph do not depend on"""


def refresh_of(
    names: Names, settings: GraphSettings, progress: Callable[[str], None] | None = None
) -> Refresh | None:
    """The refresh that ``settings`` ask for; None if they ask for none, or its limit is reached.

    Args:
        names: of the new graph.
        progress: told where the limit is reached.

    Raises:
        InputError: no snapshot there, one without tokens, or of other settings.
    """
    if settings.refresh_from is None:
        return None
    path = Path(settings.refresh_from)
    previous = Snapshot.open(path)
    if why := _unfit(previous, settings):
        raise InputError(f"graph.refresh_from: {path} {why}")
    in_a_row = 0 if previous.refreshed is None else previous.refreshed["in_a_row"]
    if in_a_row >= settings.refresh_limit:
        if progress is not None:
            progress(f"{in_a_row} refreshes in a row, so all lists are new")
        return None
    rows = [
        pd.Index(previous.names(side), dtype=object).get_indexer(pd.Index(list(tokens), dtype=object))
        for side, tokens in (("u", names.users), ("a", names.authors))
    ]
    until = None if previous.newest is None else previous.newest - names.origin
    return Refresh(previous, rows[0].astype(np.int64), rows[1].astype(np.int64), until)


def can_be_kept(path: Path) -> bool:
    """Whether a folder is a snapshot with the tokens of its nodes."""
    try:
        return Snapshot.open(path).has_names
    except InputError:
        return False


def _unfit(previous: Snapshot, settings: GraphSettings) -> str | None:
    """Why lists of these settings cannot be refreshed from a snapshot; None if they can."""
    if not previous.has_names:
        return "has no tokens of its nodes; build it again in a new folder"
    then, now = (one.model_dump(mode="json", exclude=MAY_DIFFER) for one in (previous.settings, settings))
    for name, value in now.items():
        if then[name] != value:
            return f"was built with {name}={then[name]!r}, now it is {value!r}"
    return None
