"""Checkpoints of a sharded run: published whole or not at all, and loaded by any number of processes.

A checkpoint is a folder ``step-<n>`` (or ``best-<n>``) of torch.distributed.checkpoint's files, to which every process
adds its own shards, and of ``state.json``, which says where the run stood. It is written under a hidden name and
renamed, so that a kill leaves it out or leaves it whole. The folder must be one that every process sees.
"""

from __future__ import annotations

import json
import pickle
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torchrec.optim.keyed import CombinedOptimizer, KeyedOptimizer, KeyedOptimizerWrapper

from mmbee_plugin.errors import InputError, one_line
from mmbee_plugin.files import discard, publish, write_json
from mmbee_plugin.torchrec.checkpoints.metadata import PlainReader
from mmbee_plugin.torchrec.processes.collectives import from_first

KIND = "mmbee_plugin torchrec checkpoint"
FORMAT = f"{KIND} 2"
STATE_FILE = "state.json"
Kind = Literal["step", "best"]


@dataclass(frozen=True)
class StepState:
    """Where a run stood between two steps; all of it fits into JSON."""

    epoch: int
    """the epoch under way, from 0."""
    batch: int
    """global batches of that epoch already trained on: the position in the data."""
    step: int
    """steps of the whole run."""
    settings: dict[str, Any]
    """the job's settings, as nested dictionaries."""
    world_size: int
    """number of processes that saved."""
    best: dict[str, Any] | None = None
    """what the training loop notes about the best epoch so far."""
    weights_only: bool = False
    """without the optimizers' state, which then starts anew."""
    data: dict[str, str | None] | None = None
    """what names the shards trained on, wherever they lie; None where nothing was trained yet."""


def save(
    folder: Path,
    state: StepState,
    model: Any,
    optimizer: KeyedOptimizer | None,
    keep: int = 3,
    kind: Kind = "step",
) -> Path:
    """Writes and publishes ``<kind>-<state.step>``; every process calls it.

    Of the kind stay this one and the ``keep`` - 1 before it.

    Args:
        folder: where checkpoints are kept; made if it is missing.
        state: the run's position.
        model: sharded (a DistributedModelParallel) or plain; its state dict holds tensors alone.
        optimizer: the one that combines the fused and the dense part; None saves the weights alone.

    Returns:
        the checkpoint's path.

    Raises:
        InputError: a process cannot write its part, as on a full disk; on every process. The older ones stay.
    """
    path = folder / f"{kind}-{state.step:010d}"
    beside = folder / f".{path.name}"
    try:
        from_first(lambda: _begin(beside, kind))
        content: dict[str, Any] = {"model": model.state_dict()}
        if optimizer is not None:
            content["optimizer"] = optimizer.state_dict()
        with _quiet():
            dcp.save(content, storage_writer=dcp.FileSystemWriter(beside))
        from_first(lambda: _publish(beside, path, state, keep, kind))
    except (CheckpointException, InputError) as error:  # of any process, on all of them
        shutil.rmtree(beside, ignore_errors=True)
        if isinstance(error, CheckpointException):
            raise InputError(f"{path}: cannot be written: {_cause(error)}") from None
        raise
    return path


def _begin(beside: Path, kind: Kind) -> None:
    """An empty folder to write into."""
    with _writing(beside):
        beside.parent.mkdir(parents=True, exist_ok=True)
        for left in beside.parent.glob(f".{kind}-*"):  # of a killed run
            shutil.rmtree(left)
        beside.mkdir()


def _publish(beside: Path, path: Path, state: StepState, keep: int, kind: Kind) -> None:
    """Gives the folder its description and its name; older ones go."""
    with _writing(path):
        sizes = {file.name: file.stat().st_size for file in sorted(beside.iterdir())}
        described = {"format": FORMAT, **asdict(state), "files": sizes}
        write_json(beside / STATE_FILE, described)
        publish(beside, path)
        published = _published(path.parent, kind)
        newest = published.index(path) + 1
        # Those with more steps are of a course that was left.
        for other in published[: max(0, newest - keep)] + published[newest:]:
            discard(other)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Raises InputError where the disk is full or may not be written to."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {one_line(error)}") from None


def latest(folder: Path, kind: Kind = "step") -> Path | None:
    """The newest published checkpoint of a kind, by its step; None where there is none."""
    return next(reversed(_published(folder, kind)), None)


def read_state(path: Path) -> StepState:
    """Where the run stood.

    Raises:
        InputError: no checkpoint of this plugin, or one whose files are missing or cut short.
    """
    try:
        content = json.loads((path / STATE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = None
    form = content.pop("format", None) if isinstance(content, dict) else None
    if form != FORMAT and str(form).startswith(KIND):
        raise InputError(f"{path}: of another version ({form!r}, this one reads {FORMAT!r}); train it again")
    if not isinstance(content, dict) or form != FORMAT:
        raise InputError(f"{path}: no checkpoint of this plugin ({STATE_FILE} should name {FORMAT!r})")
    files = content.pop("files", None)
    known = {field.name: field.default is MISSING for field in fields(StepState)}
    unfit = content.keys() - known | {name for name, needed in known.items() if needed} - content.keys()
    if unfit or not isinstance(files, dict):
        named = ", ".join(sorted(unfit)) or "files"
        raise InputError(f"{path / STATE_FILE}: entries {named} do not fit {FORMAT!r}")
    for name, size in files.items():
        file = path / name
        found = file.stat().st_size if file.is_file() else None
        if found != size:
            raise InputError(
                f"{file}: {'missing' if found is None else f'has {found} bytes'}, expected {size} bytes; "
                "the checkpoint is damaged, take an older one"
            )
    return StepState(**content)


def load(path: Path, model: Any, optimizer: KeyedOptimizer | None = None) -> StepState:
    """Puts a checkpoint into a model and its optimizer, however they are sharded; every process calls it.

    Raises:
        InputError: as `read_state`, and where the checkpoint has other tables or shapes than the model.
    """
    state = read_state(path)
    content: dict[str, Any] = {"model": model.state_dict()}
    if optimizer is not None and not state.weights_only:
        for part in _lazy_parts(optimizer):
            part.init_state()
            part.zero_grad()
        content["optimizer"] = optimizer.state_dict()
    read_into(path, content)
    model.load_state_dict(content["model"])
    if "optimizer" in content and optimizer is not None:
        optimizer.load_state_dict(content["optimizer"])
    return state


def read_into(path: Path, content: dict[str, Any]) -> None:
    """Fills the tensors of nested dictionaries, sharded or not, from a checkpoint.

    Raises:
        InputError: one of them is missing there or has another shape; the files are damaged.
    """
    try:
        with _quiet():
            dcp.load(content, storage_reader=PlainReader(path))
    except CheckpointException as error:
        raise InputError(f"{path}: does not fit this model: {_cause(error)}") from None
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(f"{path}: cannot be loaded: {one_line(error)}") from None


def tensors_of(path: Path, section: str) -> dict[str, TensorStorageMetadata]:
    """Names (below ``section``, such as ``model``) and shapes of the tensors in a checkpoint, without reading them."""
    stored = PlainReader(path).read_metadata().state_dict_metadata
    prefix = f"{section}."
    return {
        name.removeprefix(prefix): entry
        for name, entry in stored.items()
        if name.startswith(prefix) and isinstance(entry, TensorStorageMetadata)
    }


def _published(folder: Path, kind: Kind) -> list[Path]:
    named = (path for path in folder.glob(f"{kind}-*") if path.name.removeprefix(f"{kind}-").isdigit())
    return sorted(named, key=lambda path: int(path.name.removeprefix(f"{kind}-")))


def _lazy_parts(optimizer: KeyedOptimizer) -> Iterator[KeyedOptimizer]:
    """The dense optimizers: they make their state in their first step."""
    if isinstance(optimizer, CombinedOptimizer):
        for _, part in optimizer.optimizers:
            yield from _lazy_parts(part)
    elif isinstance(optimizer, KeyedOptimizerWrapper):
        yield optimizer


def _cause(error: CheckpointException) -> str:
    """What the first process that failed met."""
    first = next(iter(error.failures.values()))
    return one_line(first[0] if isinstance(first, tuple) else first)


@contextmanager
def _quiet() -> Iterator[None]:
    """torch.distributed.checkpoint warns whenever it runs in one process."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"torch\.distributed")
        yield
