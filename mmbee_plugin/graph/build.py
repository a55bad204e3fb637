"""Builds the graph stage: U2A, A2A, neighbours, reach, mean attributes and node tables, as one snapshot."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import numpy as np

from mmbee_plugin.command.time_left import with_time_left
from mmbee_plugin.errors import InputError, one_line
from mmbee_plugin.files import folder_beside, publish
from mmbee_plugin.graph.attributes import Attributes, mean_attributes
from mmbee_plugin.graph.inputs import Inputs
from mmbee_plugin.graph.making import InProcess, Made, uncut_positives
from mmbee_plugin.graph.metapaths import in_turn
from mmbee_plugin.graph.names import Names
from mmbee_plugin.graph.partly import Partly
from mmbee_plugin.graph.refresh import Refresh
from mmbee_plugin.graph.remaining import of_build
from mmbee_plugin.graph.settings import GraphSettings, Interactions, NodeStage
from mmbee_plugin.graph.snapshot import Snapshot, fold_folder
from mmbee_plugin.graph.stages import Spent
from mmbee_plugin.graph.visits import with_visits
from mmbee_plugin.graph.writer import SnapshotWriter, is_sound


class Source(Protocol):
    """Where the arrays of a snapshot's graphs come from."""

    @property
    def ready(self) -> Mapping[str, Path]:
        """Files that are there already, by path within the snapshot."""

    @property
    def spent(self) -> Mapping[str, Spent]:
        """What stages have cost elsewhere."""

    @property
    def n_parts(self) -> int:
        """Processes that it was spent by, side by side."""

    def made(self, fold: int | None) -> Made:
        """The arrays of the graph without a fold; of the whole one for ``None``."""


class OneProcess:
    """All arrays are made by this process, when they are written."""

    ready: Mapping[str, Path] = MappingProxyType({})
    spent: Mapping[str, Spent] = MappingProxyType({})
    n_parts = 1

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs

    def made(self, fold: int | None) -> Made:
        inputs, seen = self.inputs, self.inputs.seen(fold)
        earlier = inputs.refresh
        if earlier is not None and fold is not None:
            earlier = earlier.without(seen, inputs.interactions, inputs.settings)
        if earlier is None:
            return InProcess(seen, inputs.settings, lambda: inputs.content)
        return Partly(seen, inputs.settings, earlier, lambda: inputs.content)


def build(
    interactions: Interactions,
    settings: GraphSettings,
    root: str | Path,
    *,
    features: Mapping[str, Attributes] | None = None,
    nodes: NodeStage | None = None,
    progress: Callable[[str], None] | None = None,
    names: Names | None = None,
    refresh: Refresh | None = None,
) -> Snapshot:
    """:func:`build_snapshot` of these :class:`~mmbee_plugin.graph.inputs.Inputs`, made in one process."""
    return build_snapshot(
        Inputs(interactions, settings, features or {}, nodes, names, refresh), root, progress
    )


def build_snapshot(
    inputs: Inputs,
    root: str | Path,
    progress: Callable[[str], None] | None = None,
    source: Callable[[], AbstractContextManager[Source]] | None = None,
) -> Snapshot:
    """Opens the snapshot of these inputs, ``root/<key>``; builds it if it is missing or damaged.

    It is written to a temporary folder beside and renamed, so that readers never see half of one.

    Args:
        inputs: what it is built from.
        root: folder of the snapshots, made if missing.
        progress: called with the name of each stage as it starts, and in a long build the time left.
        source: opens the arrays if the snapshot is not there; by default this process makes them.

    Raises:
        InputError: inputs that do not fit each other or the settings, or a folder that cannot be written.
    """
    folder = Path(root) / inputs.key
    if (found := stored(inputs, root, progress)) is not None:
        return found
    opened = source or (lambda: nullcontext(OneProcess(inputs)))
    try:
        with opened() as arrays, folder_beside(folder) as writing:
            show = progress
            if show is not None:
                show = with_time_left(show, of_build(inputs, arrays.spent, arrays.n_parts))
            writer = SnapshotWriter(writing, show, arrays.ready, arrays.spent)
            for name, array in ({} if inputs.names is None else inputs.names.arrays()).items():
                writer.array(name, array)
            whole = arrays.made(None)
            _write_graph(writer, inputs, whole, inputs.columns, None)
            for name, one in inputs.columns.items():
                writer.array(f"attributes/own/{name}.npy", one.filled())
            for fold in range(inputs.settings.folds):
                columns = inputs.columns_seen(inputs.seen(fold))
                _write_graph(writer, inputs, arrays.made(fold), columns, fold)
                for name, one in columns.items():
                    if one is not inputs.columns[name]:  # features are the same in every fold
                        writer.array(f"{fold_folder(fold)}attributes/own/{name}.npy", one.filled())
            writer.finish(inputs, _facts(inputs, whole))
            publish(writing, folder, lambda found: is_sound(found, inputs.names))
    except OSError as error:
        raise InputError(
            f"{root}: cannot write a graph snapshot ({one_line(error)}), expected a folder with room for it"
        ) from error
    return Snapshot.open(folder)


def stored(
    inputs: Inputs, root: str | Path, progress: Callable[[str], None] | None = None
) -> Snapshot | None:
    """The snapshot of these inputs if it is there and sound; None, said to ``progress``, if it must be built."""
    folder = Path(root) / inputs.key
    if not folder.exists():
        return None
    try:
        found = Snapshot.open(folder)
        found.check()
        if inputs.names is not None and not found.is_named(inputs.names):
            return None
    except InputError:
        if progress is not None:
            progress("the stored snapshot is damaged or of an older layout, building it again")
        return None
    return found


def _write_graph(
    writer: SnapshotWriter, inputs: Inputs, made: Made, columns: Mapping[str, Attributes], fold: int | None
) -> None:
    """Makes and writes all of one graph: the whole one, or the one without ``fold``.

    U2A and A2A themselves are stored for the whole graph only. Their stages have these names, other than the metapaths
    ``u2a`` and ``a2a``.
    """
    settings = inputs.settings
    within = stage_suffix(fold)
    folder = fold_folder(fold)
    with writer.stage(f"U2A{within}"):
        u2a = made.u2a
        if fold is None:
            writer.graph("u2a", u2a)
    with writer.stage(f"A2A{within}"):
        a2a = made.a2a
        if fold is None:
            writer.graph("a2a", a2a)
    if fold is None and settings.steps_by_content:
        with writer.stage("content"):
            _ = made.content
    if settings.reach_top_k:
        with writer.stage(f"reach{within}"):
            reach = made.reach
            if settings.pools_visits:
                assert inputs.visits is not None
                reach = with_visits(reach, inputs.seen(fold), inputs.visits, settings)
            writer.lists(f"{folder}reach", reach)
    for name in in_turn([*settings.metapaths, *(inputs.positives if fold is None else ())]):
        with writer.stage(f"{name}{within}"):
            lists = made.lists(name)
        for column, own in columns.items():
            if name in settings.metapaths and name.endswith(own.end):
                with writer.stage(f"{column} along {name}{within}"):
                    mean = mean_attributes(lists.along(name).all(), own)
                    writer.array(f"{folder}attributes/{column}.{name}.npy", mean.values)
                    writer.array(f"{folder}attributes/{column}.{name}.fraction.npy", mean.fraction)
    with writer.stage(f"packed lists{within}"):
        for side in "ua":
            if chosen := [name for name in settings.metapaths if name[0] == side]:
                writer.lists(f"{folder}lists/{side}", made.packed(chosen))
    if inputs.nodes is not None and fold is None:
        with writer.stage("nodes"):
            found = [made.lists(name).along(name) for name in inputs.positives] or uncut_positives(
                u2a, settings
            )
            tables = inputs.nodes.train(u2a, *found)
            for kind, table in zip(("user", "author"), tables, strict=True):
                writer.array(f"nodes_{kind}.npy", np.asarray(table, dtype=np.float32))


def _facts(inputs: Inputs, whole: Made) -> dict[str, object]:
    """What a snapshot's manifest has beside its inputs."""
    facts: dict[str, object] = {}
    names, times = inputs.names, inputs.interactions.times
    if names is not None and times is not None and len(times):
        facts["newest"] = names.origin + float(times.max())
    if isinstance(whole, Partly):
        facts["refreshed"] = whole.kept.facts()
    return facts


def stage_suffix(fold: int | None) -> str:
    """Of the names of stages of the graph without a fold; "" for the whole one (``None``)."""
    return "" if fold is None else f" without fold {fold}"
