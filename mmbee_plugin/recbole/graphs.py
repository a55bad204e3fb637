"""Opens the graph snapshot that MMBee reads on a dataset, builds it if it is missing, or makes one part of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmbee_plugin.builtin.sample import ensure
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.build import build_snapshot, stored
from mmbee_plugin.graph.inputs import Inputs
from mmbee_plugin.graph.parts.folder import Parts
from mmbee_plugin.graph.parts.merge import missing_parts
from mmbee_plugin.graph.parts.part import make_part
from mmbee_plugin.graph.snapshot import Snapshot
from mmbee_plugin.modules.parts import reads_graph
from mmbee_plugin.offline.stage import snapshots_of
from mmbee_plugin.recbole import offline
from mmbee_plugin.recbole.config.given import given_settings
from mmbee_plugin.recbole.config.known import check_given
from mmbee_plugin.recbole.run import build_config, seeded_dataset
from mmbee_plugin.recbole.training.logs import without_recbole_warnings


@dataclass(frozen=True)
class OpenedGraph:
    """A dataset folder and the snapshot that MMBee reads on it.

    Attributes:
        splits: the training, validation and test rows, each an `MMBeeDataset`.
        stages: the stages that were built; none if the snapshot existed.
    """

    folder: DatasetFolder
    snapshot: Snapshot
    splits: tuple[Any, ...]
    stages: tuple[str, ...]


@dataclass(frozen=True)
class AskedGraph:
    """What the snapshot of a dataset is built from, and where it is.

    Attributes:
        folder: the dataset folder.
        splits: the training, validation and test rows, each an `MMBeeDataset`.
        inputs: of the graph stage.
    """

    folder: DatasetFolder
    splits: tuple[Any, ...]
    inputs: Inputs

    @property
    def root(self) -> Path:
        """The folder of the snapshots."""
        return snapshots_of(self.folder)


Builder = Callable[[Inputs, Path, Callable[[str], None]], Snapshot]
"""opens a snapshot in a folder of snapshots, or makes it, telling the name of each stage as it starts"""


def asked_graph(
    dataset: str, data_path: Path, arguments: list[str], progress: Callable[[str], None] | None = None
) -> AskedGraph:
    """The inputs of the snapshot of ``--model=MMBee --dataset=<dataset>`` with these settings.

    Args:
        dataset: name of a folder in `data_path`.
        data_path: parent of the dataset folders.
        arguments: settings as on the command line of a run, ``--key=value``.
        progress: told where the limit of refreshes is reached.

    Raises:
        InputError: an unknown dataset, a bad setting, settings without a graph.
    """
    given = given_settings(None, arguments)
    check_given(given, ["MMBee"])
    folder = ensure(dataset, data_path)
    config = build_config("MMBee", folder, given)
    if not reads_graph(config["interest"], config["metapaths"]):
        raise InputError(f"interest {config['interest']}: a model with these settings reads no graph")
    with without_recbole_warnings():
        splits = tuple(seeded_dataset(config).build())
        return AskedGraph(folder, splits, offline.inputs_for(config, splits[0], progress))


def open_graph(
    dataset: str,
    data_path: Path,
    arguments: list[str],
    progress: Callable[[str], None] | None = None,
    builder: Builder = build_snapshot,
) -> OpenedGraph:
    """The snapshot of :func:`asked_graph`, built if missing.

    Args:
        dataset, data_path, arguments: as of :func:`asked_graph`.
        progress: called with each stage's name as it starts.
        builder: opens or makes it.

    Raises:
        InputError: as :func:`asked_graph`, or a folder that cannot be written.
    """
    stages: list[str] = []

    def note(stage: str) -> None:
        stages.append(stage)
        if progress is not None:
            progress(stage)

    asked = asked_graph(dataset, data_path, arguments, note)
    with without_recbole_warnings():
        found = builder(asked.inputs, asked.root, note)
    return OpenedGraph(asked.folder, found, asked.splits, tuple(stages))


def part_lines(
    dataset: str,
    data_path: Path,
    arguments: list[str],
    n_parts: int,
    part: int,
    progress: Callable[[str], None],
) -> list[str]:
    """Makes one part of the snapshot of :func:`asked_graph`; says what is there and what to do next.

    Args:
        dataset, data_path, arguments: as of :func:`asked_graph`.
        n_parts: number of parts.
        part: the one to make, from 0.
        progress: called with each stage's name as it starts.

    Raises:
        InputError: as :func:`asked_graph`, another process makes the part, or a folder that cannot be written.
    """
    asked = asked_graph(dataset, data_path, arguments, progress)
    if (found := stored(asked.inputs, asked.root, progress)) is not None:
        return [f"Reused: {found.path}"]
    parts = Parts.create(asked.inputs, asked.root, n_parts)
    make_part(parts, part, progress)
    lines = [f"Part {part + 1} of {n_parts} is made: {parts.path}"]
    if missing := missing_parts(parts):
        return [*lines, f"Not made yet: part {', '.join(str(one + 1) for one in missing)}"]
    return [*lines, f"All are made: mmbee graph merge --dataset={dataset} joins them"]
