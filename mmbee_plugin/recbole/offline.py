"""The offline stage (:mod:`mmbee_plugin.offline.stage`) for a model's settings and RecBole's training split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from recbole.config import Config

from mmbee_plugin.graph.build import build_snapshot
from mmbee_plugin.graph.inputs import Inputs
from mmbee_plugin.graph.settings import GraphSettings, Interactions
from mmbee_plugin.graph.snapshot import Snapshot
from mmbee_plugin.offline.node_vectors import GraphCLSettings
from mmbee_plugin.offline.stage import inputs_of, snapshot_of, snapshots_of
from mmbee_plugin.recbole.config import settings
from mmbee_plugin.recbole.config.modalities import chosen_modalities
from mmbee_plugin.recbole.data.split import TrainingSplit
from mmbee_plugin.recbole.data.training_rows import training_rows


def snapshot_for(
    config: Config, dataset: TrainingSplit, progress: Callable[[str], None] | None = None
) -> Snapshot:
    """The snapshot that a model with these settings reads, built if missing.

    Args:
        config, dataset: as of :func:`inputs_for`.
        progress: called with each stage's name as it starts.

    Raises:
        InputError: as :func:`inputs_for`, or a folder that cannot be written.
    """
    return build_snapshot(inputs_for(config, dataset, progress), snapshots_of(dataset.folder), progress)


def inputs_for(
    config: Config, dataset: TrainingSplit, progress: Callable[[str], None] | None = None
) -> Inputs:
    """What the snapshot that a model reads is built from.

    Args:
        config: RecBole's Config with MMBee's settings; of these ``metapaths``, ``graph``, ``graphcl``,
            ``node_tables``, ``embedding_size``, ``modalities``, ``attributes`` and ``seed`` determine the snapshot.
        dataset: the training split.
        progress: told where the limit of refreshes is reached.

    Raises:
        InputError: an unknown or unsuitable setting.
    """
    chosen = chosen_modalities(config, dataset.folder)
    return inputs_of(
        dataset.folder,
        ordered_gifts(dataset),
        settings.graph_settings(config),
        graphcl=settings.graphcl_settings(config) if config["node_tables"] == "graphcl" else None,
        modalities=settings.attribute_modalities(config, dataset.folder, chosen),
        read=chosen,
        seed=config["seed"],
        until=dataset.trained_until,
        progress=progress,
    )


def open_snapshot(
    dataset: TrainingSplit,
    graph: GraphSettings,
    *,
    graphcl: GraphCLSettings | None = None,
    modalities: tuple[str, ...] = (),
    read: Sequence[str] | None = None,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Snapshot:
    """The snapshot of a dataset's training split, built if missing.

    Args:
        dataset: the training split, an :class:`~mmbee_plugin.recbole.data.dataset.MMBeeDataset`.
        graph: settings of the graph stage.
        graphcl: settings of the node vectors; None builds none.
        modalities: modalities of the neighbours' mean attributes.
        read: modalities that the model reads; only these say who is near by content. By default ``modalities``.
        seed: seed of GraphCL.
        progress: called with each stage's name as it starts.

    Raises:
        InputError: the folder cannot be written.
    """
    return snapshot_of(
        dataset.folder,
        ordered_gifts(dataset),
        graph,
        graphcl=graphcl,
        modalities=modalities,
        read=read,
        seed=seed,
        until=dataset.trained_until,
        progress=progress,
    )


def ordered_gifts(dataset: TrainingSplit) -> Interactions:
    """:func:`gifts`, with the number of each user's later ones."""
    chosen = training_rows(dataset)
    return replace(gifts(dataset), later=chosen.later[chosen.positive])


def gifts(dataset: TrainingSplit) -> Interactions:
    """The positives of a split as the folder's rows of users and items, in the split's order."""
    kept = dataset.positive_rows()
    users = dataset.inter_feat[dataset.uid_field].numpy()[kept]
    items = dataset.inter_feat[dataset.iid_field].numpy()[kept]
    return Interactions(
        dataset.user_rows[users],
        dataset.item_rows[items],
        None if dataset.amounts is None else dataset.amounts[kept],
        n_users=len(dataset.folder.user_tokens),
        n_authors=len(dataset.folder.item_tokens),
        times=None if dataset.times is None else dataset.times[kept],
    )
