"""The offline stage of a dataset folder: graphs, neighbour lists and node vectors, built once, kept with the data.

What is built lies in ``<dataset folder>/graph/<key>`` in the folder's row order. The key covers the training
interactions, the features and every setting, so a second run finds it and a changed one builds its own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mmbee_plugin.data.features import DenseFeatures, standardise
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.graph.attributes import Attributes
from mmbee_plugin.graph.build import build
from mmbee_plugin.graph.settings import GraphSettings, Interactions
from mmbee_plugin.graph.snapshot import Snapshot
from mmbee_plugin.offline.node_vectors import GraphCLSettings, node_stage


def snapshot_of(
    folder: DatasetFolder,
    interactions: Interactions,
    graph: GraphSettings,
    graphcl: GraphCLSettings | None = None,
    modalities: tuple[str, ...] = (),
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
    until: float | None = None,
    root: Path | None = None,
) -> Snapshot:
    """The snapshot of a folder's training interactions, built unless it is there.

    Args:
        folder: the dataset folder.
        interactions: the training positives, by row of the folder.
        graph: settings of the graph stage.
        graphcl: settings of the node vectors; None builds none.
        modalities: whose dense features give the neighbours' mean attributes; word bags give none. Of live data an
            author has the mean of its segments.
        seed: of GraphCL.
        progress: told each stage's name as it starts.
        until: when training ended, in seconds; live data need it, whose segments that end later are not read.
        root: where snapshots are kept; in the dataset folder by default.

    Raises:
        InputError: the folder cannot be written.
    """
    attributes = {}
    for name in modalities:
        if folder.live is not None:
            if until is None:
                raise ValueError("live data: the end of training is needed")
            means = folder.segments.author_means(name, until)
            attributes[name] = Attributes(means.values, means.present)
            continue
        features = folder.features(name)
        if isinstance(features, DenseFeatures):
            attributes[name] = Attributes(standardise(features.values, features.present), features.present)
    return build(
        interactions,
        graph,
        folder.path / "graph" if root is None else root,
        attributes=attributes,
        nodes=node_stage(graphcl, seed) if graphcl is not None else None,
        progress=progress,
    )
