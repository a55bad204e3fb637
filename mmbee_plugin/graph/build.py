"""Builds the graph stage: U2A, A2A, neighbours, reach, mean attributes and node tables, as one snapshot."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix

from mmbee_plugin.data.folds import BY_TIME
from mmbee_plugin.errors import InputError, one_line
from mmbee_plugin.files import folder_beside, publish
from mmbee_plugin.graph.attributes import Attributes, mean_attributes
from mmbee_plugin.graph.donations import donation_graph, weigh
from mmbee_plugin.graph.expansion import Expansion
from mmbee_plugin.graph.hubs import capped
from mmbee_plugin.graph.lists import PackedLists, pack
from mmbee_plugin.graph.metapaths import POSITIVES, Metapath
from mmbee_plugin.graph.reach import packed_reach
from mmbee_plugin.graph.settings import GraphSettings, GraphStage, Interactions, NodeStage
from mmbee_plugin.graph.snapshot import CONTENT, Snapshot, fold_folder
from mmbee_plugin.graph.statistics import columns_of
from mmbee_plugin.graph.swing import swing
from mmbee_plugin.graph.writer import SnapshotWriter, is_sound


def build(
    interactions: Interactions,
    settings: GraphSettings,
    root: str | Path,
    *,
    attributes: Mapping[str, Attributes] | None = None,
    nodes: NodeStage | None = None,
    progress: Callable[[str], None] | None = None,
) -> Snapshot:
    """Opens the snapshot of these inputs and settings, ``root/<key>``; builds it if it is missing or damaged.

    It is written to a temporary folder beside and renamed, so that readers never see half of one.

    Args:
        interactions: training interactions.
        settings: the stage's settings.
        root: folder of the snapshots, made if missing.
        attributes: dense author features by modality name.
        nodes: how to train the node tables; ``None``: no tables.
        progress: called with the name of each stage as it starts.

    Raises:
        InputError: inputs that do not fit each other or the settings, or a folder that cannot be written.
    """
    features = dict(attributes or {})
    whole = columns_of(settings.statistics, interactions, features)
    if settings.folds and settings.fold_by == "order" and interactions.later is None:
        raise InputError("fold_by: order needs to know how many later interactions each user has")
    if settings.folds and settings.fold_by in BY_TIME and interactions.times is None:
        raise InputError(
            f"fold_by: {settings.fold_by} needs the time of each interaction; these data have none"
        )
    key = _key(interactions, settings, features, nodes)
    folder = Path(root) / key
    if folder.exists():
        try:
            snapshot = Snapshot.open(folder)
            snapshot.check()
            return snapshot
        except InputError:
            if progress is not None:
                progress("the stored snapshot is damaged or of an older layout, building it again")
    try:
        with folder_beside(folder) as writing:
            writer = SnapshotWriter(writing, progress)
            _write_stages(writer, interactions, settings, whole, nodes, None)
            for name, one in whole.items():
                writer.array(f"attributes/own/{name}.npy", one.filled())
            for fold in range(settings.folds):
                seen = interactions.seen_by(fold, settings)
                columns = columns_of(settings.statistics, seen, features)
                _write_stages(writer, seen, settings, columns, None, fold)
                for name, one in columns.items():
                    if one is not whole[name]:  # features are the same in every fold
                        writer.array(f"{fold_folder(fold)}attributes/own/{name}.npy", one.filled())
            ends = {name: one.end for name, one in whole.items()}
            writer.finish(key, interactions, settings, nodes, ends)
            publish(writing, folder, keeps=is_sound)
    except OSError as error:
        raise InputError(
            f"{root}: cannot write a graph snapshot ({one_line(error)}), expected a folder with room for it"
        ) from error
    return Snapshot.open(folder)


def author_graph(u2a: csr_matrix, settings: GraphStage) -> csr_matrix:
    """A2A, (n_authors, n_authors), by Swing with a stage's settings."""
    return swing(
        u2a,
        alpha=settings.swing_alpha,
        include_self=settings.swing_include_self,
        top_k=settings.swing_top_k,
        max_users=settings.swing_max_users,
        seed=settings.hub_seed,
        user_beta=settings.swing_user_beta,
        user_gamma=settings.swing_user_gamma,
    )


def _write_stages(
    writer: SnapshotWriter,
    seen: Interactions,
    settings: GraphSettings,
    columns: Mapping[str, Attributes],
    nodes: NodeStage | None,
    fold: int | None,
) -> None:
    """Runs every stage on the gifts ``seen``: all, or those of the graph without ``fold``.

    U2A and A2A themselves are stored for the whole graph only.
    """
    within = "" if fold is None else f" without fold {fold}"
    folder = fold_folder(fold)
    with writer.stage(f"u2a{within}"):
        gifts = donation_graph(seen.users, seen.authors, seen.amounts, seen.n_users, seen.n_authors)
        u2a = weigh(gifts, settings.amount)
        if fold is None:
            writer.graph("u2a", u2a)
    with writer.stage(f"a2a{within}"):
        a2a = author_graph(u2a, settings)
        if fold is None:
            writer.graph("a2a", a2a)
    sample = capped(u2a, settings.walk_max_users, settings.hub_seed)
    expansion = Expansion(u2a, a2a, settings.normalisation, sample)
    if settings.reach_top_k:
        with writer.stage(f"reach{within}"):
            lists = packed_reach(
                u2a,
                settings.reach_top_k,
                settings.reach_inner,
                exclude_own=not settings.reach_own,
                lift=settings.reach_lift,
                expansion=expansion
                if settings.normalisation == "row"
                else Expansion(u2a, None, sample=sample),
            )
            writer.lists(f"{folder}reach", lists)
    found: dict[str, PackedLists] = {}
    for name in dict.fromkeys([*settings.metapaths, *(POSITIVES.values() if nodes is not None else ())]):
        with writer.stage(f"{name}{within}"):
            found[name] = expansion.lists(Metapath.parse(name), settings.top_k, settings.exclude_own)
        for column, own in columns.items():
            if name in settings.metapaths and name.endswith(own.end):
                with writer.stage(f"{column} along {name}{within}"):
                    mean = mean_attributes(found[name].along(name).all(), own)
                    writer.array(f"{folder}attributes/{column}.{name}.npy", mean.values)
                    writer.array(f"{folder}attributes/{column}.{name}.fraction.npy", mean.fraction)
    with writer.stage(f"packed lists{within}"):
        for side in "ua":
            if chosen := [found[name] for name in settings.metapaths if name[0] == side]:
                writer.lists(f"{folder}lists/{side}", pack(chosen))
    if nodes is not None:
        with writer.stage("nodes"):
            tables = nodes.train(u2a, *(found[name].along(name) for name in POSITIVES.values()))
            for kind, table in zip(("user", "author"), tables, strict=True):
                writer.array(f"nodes_{kind}.npy", np.asarray(table, dtype=np.float32))


def _key(
    interactions: Interactions,
    settings: GraphSettings,
    attributes: Mapping[str, Attributes],
    nodes: NodeStage | None,
) -> str:
    chosen = settings.model_dump(mode="json")
    others = settings.statistics != GraphSettings().statistics
    for name in ("statistics", "walk_max_users", "hub_seed"):
        if getattr(settings, name) == getattr(GraphSettings(), name):
            del chosen[name]  # keys of snapshots from before this setting stay valid
    described = {
        "schema": CONTENT,
        "settings": chosen,
        "nodes": dict(nodes.settings) if nodes is not None else None,
        "counts": [interactions.n_users, interactions.n_authors],
    }
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    arrays = {"users": interactions.users, "authors": interactions.authors, "amounts": interactions.amounts}
    if others or (settings.folds and settings.fold_by == "order"):
        arrays["later"] = interactions.later
    if others or (settings.folds and settings.fold_by in BY_TIME):
        arrays["times"] = interactions.times
    for name, modality in sorted(attributes.items()):
        arrays |= {f"{name} values": modality.values, f"{name} present": modality.present}
    for name, array in arrays.items():
        if array is None:
            continue
        array = np.asarray(array)
        if name in ("users", "authors", "later"):
            array = array.astype(np.int64)
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        for start in range(0, len(array), 65_536):
            digest.update(np.ascontiguousarray(array[start : start + 65_536]).data)
    return digest.hexdigest()[:32]
