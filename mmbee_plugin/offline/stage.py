"""Builds or finds the graph snapshot of a dataset folder, ``<dataset folder>/graph/<key>``, in the folder's row order.

The key covers the training interactions, the features and every setting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from mmbee_plugin.data.features import DenseFeatures, standardise
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.graph.attributes import Attributes
from mmbee_plugin.graph.build import build_snapshot
from mmbee_plugin.graph.content import modalities_near
from mmbee_plugin.graph.inputs import Inputs
from mmbee_plugin.graph.names import Names
from mmbee_plugin.graph.settings import GraphSettings, Interactions
from mmbee_plugin.graph.snapshot import Snapshot
from mmbee_plugin.offline.node_vectors import GraphCLSettings, node_stage, read_vectors
from mmbee_plugin.offline.refresh import refresh_of


def snapshot_of(
    folder: DatasetFolder,
    interactions: Interactions,
    graph: GraphSettings,
    *,
    graphcl: GraphCLSettings | None = None,
    modalities: tuple[str, ...] = (),
    read: Sequence[str] | None = None,
    seed: int = 0,
    until: float | None = None,
    progress: Callable[[str], None] | None = None,
    root: Path | None = None,
) -> Snapshot:
    """Opens the snapshot of a folder's training interactions; builds it if it is missing.

    Args:
        folder, interactions, graph, graphcl, modalities, read, seed, until: as of :func:`inputs_of`.
        progress: called with the name of each stage as it starts.
        root: folder of the snapshots; by default ``graph`` in the dataset folder.

    Raises:
        InputError: as :func:`~mmbee_plugin.graph.build.build`, or bad features.
        ValueError: live data without ``until``.
    """
    inputs = inputs_of(
        folder,
        interactions,
        graph,
        graphcl=graphcl,
        modalities=modalities,
        read=read,
        seed=seed,
        until=until,
        progress=progress,
    )
    return build_snapshot(inputs, snapshots_of(folder) if root is None else root, progress)


def snapshots_of(folder: DatasetFolder) -> Path:
    """The folder of a dataset folder's snapshots."""
    return folder.path / "graph"


def inputs_of(
    folder: DatasetFolder,
    interactions: Interactions,
    graph: GraphSettings,
    *,
    graphcl: GraphCLSettings | None = None,
    modalities: tuple[str, ...] = (),
    read: Sequence[str] | None = None,
    seed: int = 0,
    until: float | None = None,
    progress: Callable[[str], None] | None = None,
) -> Inputs:
    """What the snapshot of a folder's training interactions is built from.

    Args:
        folder: the dataset folder.
        interactions: the training positives, by row of the folder.
        graph: settings of the graph stage.
        graphcl: settings of the node vectors; None: no node vectors.
        modalities: dense modalities for mean attributes, of live data the authors' means over segments; word bags are
            skipped.
        read: modalities that the model reads; only these say who is near by content. By default ``modalities``.
        seed: of GraphCL.
        until: end of training in seconds, required for live data; segments that end later are not read.
        progress: told where the limit of refreshes is reached.

    Raises:
        InputError: bad features, or a file of node vectors or an earlier snapshot that does not fit.
        ValueError: live data without ``until``.
    """
    graph, near = _near(folder, graph, modalities if read is None else read)
    features = _features(folder, dict.fromkeys((*modalities, *near)), until)
    nodes = None
    if graphcl is not None:
        start = None
        if graphcl.start is not None:
            start = read_vectors(Path(graphcl.start), folder.user_tokens, folder.item_tokens, graphcl.width)
        nodes = node_stage(graphcl, seed, start)
    names = Names(folder.user_tokens, folder.item_tokens, folder.origin)
    refresh = refresh_of(names, graph, progress)
    visits = folder.visits.since(folder.origin) if graph.pools_visits and folder.visits is not None else None
    return Inputs(interactions, graph, features, nodes, names, refresh, averaged=modalities, visits=visits)


def _features(folder: DatasetFolder, modalities: Iterable[str], until: float | None) -> dict[str, Attributes]:
    """Standardised features of the dense ones of some modalities."""
    found = {}
    for name in modalities:
        if folder.live is not None:
            if until is None:
                raise ValueError("live data: the end of training is needed")
            means = folder.segments.author_means(name, until)
            found[name] = Attributes(means.values, means.present)
            continue
        features = folder.features(name)
        if isinstance(features, DenseFeatures):
            found[name] = Attributes(standardise(features.values, features.present), features.present)
    return found


def _near(
    folder: DatasetFolder, graph: GraphSettings, read: Sequence[str]
) -> tuple[GraphSettings, tuple[str, ...]]:
    """The settings with the modalities that say who is near by content, of those that the model reads, and these;
    without steps by content where it reads none."""
    if not graph.steps_by_content:
        return graph, ()
    dense = [name for name, entry in folder.modalities.items() if entry["kind"] == "dense"]
    named = modalities_near(dense, graph.content_modalities)
    near = tuple(name for name in named if name in read)
    if not near:
        return graph.replace(content_top_k=0), ()
    return graph if near == named else graph.replace(content_modalities=near), near
