"""Which checkpoint a run goes on from, and whether it is one of its own."""

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
"""settings that a resumed run may change: how long it runs, where, and on how many processes. What lies in the shards
folder must be the same (`check_same_data`)."""


def checkpoint_to_resume(settings: Settings, resume: bool) -> Path | None:
    """The newest checkpoint of the job's folder; None where there is none.

    Raises:
        InputError: one is there but not to be resumed, is damaged, or was made with other settings.
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
    """What is known of the best epoch: by its checkpoint, which may be newer than the one that is resumed, else by
    the latter (``noted``)."""
    path = latest(folder, "best")
    return noted if path is None else read_state(path).best


def check_same_settings(saved: dict[str, Any], settings: Settings, path: Path) -> None:
    """Raises InputError naming the first setting that makes a checkpoint's run compute something else than this one."""
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
    """Raises InputError where a checkpoint's run was trained on other shards, wherever those lay."""
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
