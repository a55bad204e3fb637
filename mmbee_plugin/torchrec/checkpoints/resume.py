"""Finds the checkpoint that a run resumes, and checks that its settings and data are the run's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmbee_plugin.errors import InputError
from mmbee_plugin.torchrec.checkpoints.checkpoint import StepState, latest, read_state
from mmbee_plugin.torchrec.settings import Settings, parse_settings
from mmbee_plugin.torchrec.shards.store import ShardStore

MAY_DIFFER = (
    "checkpoint",
    "data.shards",
    "graphcl",
    "tables.*.sharding",
    "train.epochs",
    "train.patience",
    "train.eval_every",
    "train.log_every",
    "train.timeout",
)
"""settings that a resumed run may change; the shards folder may move, but not change (`check_same_data`)."""


def checkpoint_to_resume(settings: Settings, resume: bool) -> Path | None:
    """The newest checkpoint of the job's folder; None if there is none.

    Raises:
        InputError: there is one without ``resume``, it is damaged, or it has other settings.
    """
    folder = Path(settings.checkpoint.folder)
    path = latest(folder)
    if path is None:
        return None
    if not resume:
        raise InputError(
            f"{folder}: has checkpoints of another run; --resume goes on from the newest, and "
            "checkpoint.folder=… starts elsewhere"
        )
    check_same_settings(read_state(path).settings, settings, path)
    return path


def best_so_far(folder: Path, noted: dict[str, Any] | None) -> dict[str, Any] | None:
    """Best epoch by its own checkpoint, which may be newer than the resumed one; without it, as ``noted`` there."""
    path = latest(folder, "best")
    return noted if path is None else read_state(path).best


def check_same_settings(saved: dict[str, Any], settings: Settings, path: Path) -> None:
    """Raises InputError for the first setting outside `MAY_DIFFER` in which a checkpoint's run differs from this."""
    in_todays_words = flat(parse_settings(saved, str(path)).model_dump(mode="json"))
    before = {name: in_todays_words.get(name) for name in flat(saved)}
    now = flat(settings.model_dump(mode="json"))
    for name in sorted(before.keys() | now.keys()):
        section, *_, key = name.split(".")
        free = {section, name, f"{section}.*.{key}"} & set(MAY_DIFFER)
        if not free and before.get(name) != now.get(name):
            raise InputError(
                f"{path}: its run had {name}={before.get(name)!r}, this one has {now.get(name)!r}; a run is resumed "
                "with its own settings"
            )


def check_same_data(state: StepState, store: ShardStore, path: Path) -> None:
    """Raises InputError if a checkpoint was trained on shards of other content, whatever their paths."""
    for name, found in store.identity.items() if state.data is not None else ():
        before = (state.data or {}).get(name)
        if before != found:
            raise InputError(
                f"{path}: was trained on other shards than {store.path}: {name} {before}, here {found}"
            )


def flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as ``section.key`` entries."""
    entries: dict[str, Any] = {}
    for name, value in settings.items():
        entries |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return entries
