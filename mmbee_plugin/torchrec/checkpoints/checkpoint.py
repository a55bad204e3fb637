"""Checkpoints of a sharded run, published atomically and loaded by any number of processes.

A checkpoint is a folder ``step-<n>`` (or ``best-<n>``) of torch.distributed.checkpoint's files, to which every process
adds its shards, and of ``state.json``, the run's position. It is written under a hidden name and then renamed, so a
killed run leaves no partial checkpoint. All processes must see the folder.
"""

from __future__ import annotations

import json
import pickle
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed._shard._utils import narrow_tensor_by_index
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.planner import LoadPlan, ReadItem
from torch.distributed.checkpoint.planner_helpers import create_read_items_for_chunk_list
from torchrec.optim.keyed import CombinedOptimizer, KeyedOptimizer, KeyedOptimizerWrapper

from mmbee_plugin.errors import InputError, one_line
from mmbee_plugin.files import discard, publish, write_json
from mmbee_plugin.torchrec.checkpoints.metadata import PlainReader
from mmbee_plugin.torchrec.processes.collectives import from_first

KIND = "mmbee_plugin torchrec checkpoint"
FORMAT = f"{KIND} 2"
STATE_FILE = "state.json"
Kind = Literal["step", "best"]
UNREADABLE = (OSError, RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError)
"""errors of reading damaged files"""


@dataclass(frozen=True)
class StepState:
    """Position of a run between two steps; serialisable as JSON."""

    epoch: int
    """current epoch, from 0."""
    batch: int
    """global batches of this epoch already trained on."""
    step: int
    """steps of the whole run."""
    settings: dict[str, Any]
    """the job's settings, as nested dictionaries."""
    world_size: int
    """number of processes that saved."""
    best: dict[str, Any] | None = None
    """epoch, step and validation metrics of the best epoch so far; None before the first evaluation."""
    weights_only: bool = False
    """saved without optimizer state; optimizers then start fresh."""
    data: dict[str, str | None] | None = None
    """identity of the shards' content, whatever their path; None before training."""
    losses: dict[int, float] = field(default_factory=dict)
    """of the run so far, by logged step."""
    validation: dict[int, dict[str, float]] = field(default_factory=dict)
    """metrics of the run so far, by epoch."""

    def __post_init__(self) -> None:
        for name in ("losses", "validation"):  # JSON has words as keys
            object.__setattr__(self, name, {int(key): value for key, value in getattr(self, name).items()})


def save(
    folder: Path,
    state: StepState,
    model: Any,
    optimizer: KeyedOptimizer | None,
    keep: int = 3,
    kind: Kind = "step",
) -> Path:
    """Writes and publishes ``<kind>-<state.step>``; a collective call.

    Keeps this checkpoint and the ``keep`` - 1 before it of its kind.

    Args:
        folder: of the checkpoints; created if missing.
        state: the run's position.
        model: sharded (a DistributedModelParallel) or plain; its state dict holds only tensors.
        optimizer: of the tables and the dense part combined; None saves only the weights.

    Returns:
        the checkpoint's path.

    Raises:
        InputError: on every process, if one cannot write its part, such as on a full disk. Older checkpoints stay.
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
    """Creates the hidden folder, after removing those of killed runs."""
    with _writing(beside):
        beside.parent.mkdir(parents=True, exist_ok=True)
        for left in beside.parent.glob(f".{kind}-*"):
            shutil.rmtree(left)
        beside.mkdir()


def _publish(beside: Path, path: Path, state: StepState, keep: int, kind: Kind) -> None:
    """Writes the description, renames the folder, and removes all but the ``keep`` newest up to it."""
    with _writing(path):
        sizes = {file.name: file.stat().st_size for file in sorted(beside.iterdir())}
        described = {"format": FORMAT, **asdict(state), "files": sizes}
        write_json(beside / STATE_FILE, described)
        publish(beside, path)
        published = _published(path.parent, kind)
        newest = published.index(path) + 1
        # Checkpoints with more steps are of an abandoned continuation.
        for other in published[: max(0, newest - keep)] + published[newest:]:
            discard(other)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turns an OSError, such as of a full disk, into an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {one_line(error)}") from None


def latest(folder: Path, kind: Kind = "step") -> Path | None:
    """Newest published checkpoint of a kind, by step; None if there is none."""
    return next(reversed(_published(folder, kind)), None)


def read_state(path: Path) -> StepState:
    """Reads the position of a checkpoint's run and checks the sizes of its files.

    Raises:
        InputError: no checkpoint of this plugin, one of another version, or files that are missing or cut short.
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
    known = {one.name: one.default is one.default_factory is MISSING for one in fields(StepState)}
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
    """Loads a checkpoint into a model and its optimizer, under any sharding; a collective call.

    Raises:
        InputError: as `read_state`; tables or shapes other than the model's.
    """
    state = read_state(path)
    content: dict[str, Any] = {"model": model.state_dict()}
    if optimizer is None or state.weights_only:
        read_into(path, content)
        model.load_state_dict(content["model"])
        return state
    started = started_state(optimizer)
    content["optimizer"] = {**started, "state": stored_state(path, started["state"])}
    read_into(path, content)
    model.load_state_dict(content["model"])
    optimizer.load_state_dict({**content["optimizer"], "state": started["state"]})
    return state


def started_state(optimizer: KeyedOptimizer) -> dict[str, Any]:
    """State dict of an optimizer before its first step, with the entries that a step would create."""
    for part in _lazy_parts(optimizer):
        part.init_state()
        part.zero_grad()
    return optimizer.state_dict()


@torch.no_grad()
def stored_state(path: Path, state: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of an optimizer's started state by parameter, the entries that a checkpoint has, to be read from it.

    Parameters that no batch had used by then, such as an attention's over segments where each sample has one, have none
    there; theirs become zero, as before a first step.
    """
    stored = tuple(tensors_of(path, "optimizer.state"))
    found = {}
    for name, entries in state.items():
        if any(one.startswith(f"{name}.") for one in stored):
            found[name] = entries
            continue
        for entry in entries.values():
            entry.zero_()
    return found


def read_into(path: Path, content: dict[str, Any]) -> None:
    """Fills the tensors of nested dictionaries, sharded or not, from a checkpoint.

    Raises:
        InputError: a tensor is missing in the checkpoint or has another shape; the files are damaged.
    """
    try:
        with _quiet():
            dcp.load(content, storage_reader=PlainReader(path))
    except CheckpointException as error:
        raise InputError(f"{path}: does not fit this model: {_cause(error)}") from None
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be loaded: {one_line(error)}") from None


def tensors_of(path: Path, section: str) -> dict[str, TensorStorageMetadata]:
    """Metadata of a checkpoint's tensors by name below ``section``, such as ``model``, without reading the tensors."""
    stored = PlainReader(path).read_metadata().state_dict_metadata
    prefix = f"{section}."
    return {
        name.removeprefix(prefix): entry
        for name, entry in stored.items()
        if name.startswith(prefix) and isinstance(entry, TensorStorageMetadata)
    }


def stored_parts(path: Path, name: str) -> Iterator[tuple[tuple[int, ...], torch.Tensor]]:
    """Parts of a stored tensor as the processes saved them, each with its offsets; one is in memory at a time.

    Args:
        name: with its section, such as ``model.…``.

    Raises:
        InputError: damaged files.
    """
    reader = PlainReader(path)
    metadata = reader.read_metadata()
    reader.set_up_storage_reader(metadata, is_coordinator=True)
    entry = metadata.state_dict_metadata[name]
    assert isinstance(entry, TensorStorageMetadata)
    for chunk in entry.chunks:
        part = torch.empty(chunk.sizes, dtype=entry.properties.dtype)
        plan = LoadPlan(create_read_items_for_chunk_list(name, entry, [chunk]))
        try:
            reader.read_data(reader.prepare_local_plan(plan), _Into(part)).wait()
        except UNREADABLE as error:
            raise InputError(f"{path}: cannot be loaded: {one_line(error)}") from None
        yield tuple(chunk.offsets), part


class _Into(DefaultLoadPlanner):
    """Reads into one tensor."""

    def __init__(self, target: torch.Tensor) -> None:
        super().__init__()
        self.target = target

    def resolve_tensor(self, read_item: ReadItem) -> torch.Tensor:
        """The part of the target that an item fills."""
        return narrow_tensor_by_index(self.target, read_item.dest_offsets, read_item.lengths)

    def commit_tensor(self, read_item: ReadItem, tensor: torch.Tensor) -> None:
        """Nothing to do: the item was read in place."""


def _published(folder: Path, kind: Kind) -> list[Path]:
    named = (path for path in folder.glob(f"{kind}-*") if path.name.removeprefix(f"{kind}-").isdigit())
    return sorted(named, key=lambda path: int(path.name.removeprefix(f"{kind}-")))


def _lazy_parts(optimizer: KeyedOptimizer) -> Iterator[KeyedOptimizer]:
    """The dense optimizers, which otherwise create their state in their first step."""
    if isinstance(optimizer, CombinedOptimizer):
        for _, part in optimizer.optimizers:
            yield from _lazy_parts(part)
    elif isinstance(optimizer, KeyedOptimizerWrapper):
        yield optimizer


def _cause(error: CheckpointException) -> str:
    """Error of the first process that failed, in one line."""
    first = next(iter(error.failures.values()))
    return one_line(first[0] if isinstance(first, tuple) else first, limit=500)  # it names the path twice


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences torch.distributed.checkpoint, which warns whenever it runs in one process."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"torch\.distributed")
        yield
