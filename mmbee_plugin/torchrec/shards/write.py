"""Writes a shards folder (:mod:`mmbee_plugin.torchrec.shards.layout`) from a dataset folder, published atomically."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mmbee_plugin.data.features import BagFeatures, DenseFeatures, standardise
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.histories import positions_by_day
from mmbee_plugin.data.training_rows import TrainingRows
from mmbee_plugin.errors import InputError
from mmbee_plugin.files import published
from mmbee_plugin.graph.metapaths import Metapath
from mmbee_plugin.graph.settings import GraphSettings, Interactions
from mmbee_plugin.graph.snapshot import Snapshot, fold_folder, graphs_of
from mmbee_plugin.offline.node_vectors import GraphCLSettings
from mmbee_plugin.offline.stage import snapshot_of
from mmbee_plugin.torchrec.shards.files import ShardWriter
from mmbee_plugin.torchrec.shards.ids import token_keys
from mmbee_plugin.torchrec.shards.layout import DESCRIPTION, NODE_FILES, Description, Live, Modality
from mmbee_plugin.torchrec.shards.row_groups import TASK
from mmbee_plugin.torchrec.shards.rows import Rows, split_folder, training_rows
from mmbee_plugin.torchrec.shards.segments import write_segments

ROWS_PER_GROUP = 65_536


def write_shards(
    folder: DatasetFolder,
    destination: Path,
    graph: GraphSettings | None,
    graphcl: GraphCLSettings | None = None,
    modalities: tuple[str, ...] | None = None,
    rows_per_group: int = ROWS_PER_GROUP,
    train_newest: int | None = None,
    train_days: int | None = None,
    threshold: float | None = None,
    category_field: str | None = None,
    seed: int = 0,
    row_order: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> None:
    """Writes a shards folder; replaces an existing one at the end.

    Histories and graph are built from training positives only; the split is that of
    :func:`~mmbee_plugin.torchrec.shards.rows.split_folder`.

    Args:
        folder: the dataset folder.
        destination: the shards folder to write.
        graph: settings of the graph stage; None for no graph.
        graphcl: settings of the node vectors; None stores none.
        modalities: those to store; all by default.
        rows_per_group: training rows of a Parquet row group, the unit of reading.
        train_newest, train_days: as of :func:`~mmbee_plugin.torchrec.shards.rows.training_rows`; all by default.
        threshold: the rating from which a row is a positive; None if every row is one.
        category_field: the column of `.item` with the authors' categories; None takes `category` if it is there.
        seed: of GraphCL, and of a random row order.
        row_order: replaces time in data without it, as of `split_folder`.
        progress: called with each stage's name as it starts.

    Raises:
        InputError: bad rows, a split without rows, an unknown modality or column of categories, a threshold without
            ratings, folds by time of data without it, a destination that is no shards folder or cannot be written.
    """
    taken = destination.exists() and not (destination.is_dir() and not any(destination.iterdir()))
    if taken and not (destination / DESCRIPTION).exists():
        raise InputError(f"{destination}: exists and is no shards folder; it is left alone")
    note = progress or (lambda stage: None)
    chosen, categories = _modalities(folder, modalities), folder.categories(category_field)
    note("rows")
    parts = split_folder(folder, threshold, row_order, seed)
    train = training_rows(parts["train"], len(folder.user_tokens), graph, train_newest, train_days)
    until = _end_of_training(folder)
    snapshot = None
    if graph is not None:
        gifts = _gifts(folder, parts["train"], train)
        snapshot = snapshot_of(
            folder,
            gifts,
            graph,
            graphcl=graphcl,
            modalities=tuple(chosen),
            seed=seed,
            until=until,
            progress=progress,
        )
    with published(destination) as beside:
        writer = ShardWriter(beside)
        note("features")
        if until is not None:
            write_segments(writer, folder.segments, chosen, until)
        else:
            for name in chosen:
                _write_features(writer, f"features/{name}", folder.features(name))
        if snapshot is not None:
            for name in snapshot.columns:
                writer.array(f"attributes/own/{name}", snapshot.own(name))
            for fold in graphs_of(snapshot.settings):
                note("neighbours" if fold is None else f"neighbours without fold {fold}")
                _write_lists(writer, snapshot, fold)
            if graphcl is not None:
                for name, table in zip(NODE_FILES.values(), snapshot.nodes(), strict=True):
                    writer.array(name.removesuffix(".npy"), table)
        note("rows to files")
        _write_rows(writer, parts, train, rows_per_group, folder.tasks)
        _write_sides(writer, folder, parts["train"], train)
        if categories is not None:
            writer.array("authors/category", categories)
        writer.describe(_description(folder, parts, train, chosen, snapshot, writer))


def _modalities(folder: DatasetFolder, names: tuple[str, ...] | None) -> dict[str, Modality]:
    chosen = {}
    for name in folder.modalities if names is None else names:
        if folder.live is not None:
            _, frames, width = folder.segments.values(name).shape
            chosen[name] = Modality(kind="dense", width=width, frames=frames)
            continue
        features = folder.features(name)
        if isinstance(features, BagFeatures):
            chosen[name] = Modality(kind="bag", vocabulary=features.vocabulary)
        else:
            chosen[name] = Modality(kind="dense", width=features.values.shape[1])
    return chosen


def _end_of_training(folder: DatasetFolder) -> float | None:
    """Time of live data's latest training row, in seconds as in the file; None for static items."""
    times = folder.interactions("train").timestamps if folder.live is not None else None
    return None if times is None else float(times.max())


def _gifts(folder: DatasetFolder, rows: Rows, train: TrainingRows) -> Interactions:
    positives = rows.taken(rows.positive)
    return Interactions(
        positives.users,
        positives.authors,
        None if positives.live is None else positives.live.amounts,
        n_users=len(folder.user_tokens),
        n_authors=len(folder.item_tokens),
        later=train.later[rows.positive],
        times=positives.times,
    )


def _write_features(writer: ShardWriter, place: str, features: DenseFeatures | BagFeatures) -> None:
    writer.array(f"{place}/present", features.present)
    if isinstance(features, DenseFeatures):
        writer.array(f"{place}/values", standardise(features.values, features.present))
        return
    sizes = np.diff(features.indptr)
    kept = np.where(features.present, sizes, 0)
    writer.array(f"{place}/indptr", np.concatenate([[0], np.cumsum(kept)]).astype(np.int64))
    writer.array(f"{place}/words", features.words[np.repeat(features.present, sizes)])


def _write_lists(writer: ShardWriter, snapshot: Snapshot, fold: int | None) -> None:
    place = fold_folder(fold)
    for name in snapshot.columns if fold is not None else ():
        if snapshot.own_of_fold(name, fold):
            writer.array(f"{place}attributes/own/{name}", snapshot.own(name, fold))
    for side in dict.fromkeys(name[0] for name in snapshot.settings.metapaths):
        writer.lists(f"{place}lists/{side}", snapshot.lists(side, fold))
    for name in snapshot.settings.metapaths:
        for column, end in snapshot.columns.items():
            if Metapath.parse(name).end == end:
                mean = snapshot.attributes(column, name, fold)
                counted = np.asarray(mean.values) * np.asarray(mean.fraction)[:, None]
                writer.array(f"{place}attributes/{name}/{column}", counted)
    if snapshot.settings.reach_top_k:
        writer.lists(f"{place}reach", snapshot.reach_lists(fold))


def _write_rows(
    writer: ShardWriter,
    parts: dict[str, Rows],
    train: TrainingRows,
    rows_per_group: int,
    tasks: tuple[str, ...],
) -> None:
    kept, rows = train.kept, parts["train"]
    by_day = None
    if rows.times is not None:
        by_day = positions_by_day(rows.users, rows.times, rows.positive, len(train.histories.indptr) - 1)
    columns = {
        "user": rows.users[kept].astype(np.int32),
        "author": rows.authors[kept].astype(np.int32),
        "position": train.histories.positions[kept],
        "time": rows.times[kept] if rows.times is not None else None,
        "position_by_day": by_day[kept] if by_day is not None else None,
        "fold": train.folds[kept].astype(np.int16) if train.folds is not None else None,
        "label": rows.labels[kept] if rows.labels is not None else None,
        "segment": rows.live.segments[kept] if rows.live is not None else None,
    }
    if rows.live is not None:
        columns |= {TASK + name: rows.live.tasks[kept, place] for place, name in enumerate(tasks)}
    writer.table("train", columns, rows_per_group)
    for name in (name for name in parts if name != "train"):
        by_user = parts[name].taken(np.argsort(parts[name].users, kind="stable"))
        columns = {
            "user": by_user.users.astype(np.int32),
            "author": by_user.authors.astype(np.int32),
            "time": by_user.times,
            "label": by_user.labels,
            "segment": by_user.live.segments if by_user.live is not None else None,
        }
        writer.table(name, columns, rows_per_group)


def _write_sides(writer: ShardWriter, folder: DatasetFolder, rows: Rows, train: TrainingRows) -> None:
    """Writes histories, flags, counts, tokens and their hashes, by row of users and authors."""
    n_users, n_authors = len(folder.user_tokens), len(folder.item_tokens)
    histories = train.histories
    for name in ("indptr", "items", "repeats"):
        writer.array(f"histories/{name}", getattr(histories, name))
    if histories.times is not None:
        writer.array("histories/times", histories.times)
    writer.array("users/known", np.bincount(rows.users, minlength=n_users) > 0)
    writer.array("authors/known", np.bincount(rows.authors, minlength=n_authors) > 0)
    writer.array("authors/seen", train.learned(n_authors, rows.live is not None))
    writer.array("authors/drawn", np.append(0, train.counts(n_authors)))
    for side, tokens in (("users", folder.user_tokens), ("authors", folder.item_tokens)):
        writer.tokens(side, tokens)
        writer.array(f"{side}/keys", token_keys(tokens))


def _description(
    folder: DatasetFolder,
    parts: dict[str, Rows],
    train: TrainingRows,
    modalities: dict[str, Modality],
    snapshot: Snapshot | None,
    writer: ShardWriter,
) -> Description:
    folds, rows = snapshot.settings.folds if snapshot is not None else 0, parts["train"]
    fold = np.zeros(len(rows), dtype=np.int64) if train.folds is None else train.folds
    counted = {"rows": train.kept, "positives": train.kept & rows.positive}
    return Description.model_validate(
        {
            "kind": folder.kind,
            "provenance": folder.provenance(),
            "dataset": folder.hash,
            "snapshot": snapshot.manifest["key"] if snapshot is not None else None,
            "graph": None if snapshot is None else snapshot.settings,
            "users": len(folder.user_tokens),
            "authors": len(folder.item_tokens),
            "labelled": rows.labels is not None,
            "ordered": rows.times is not None,
            "until": None if rows.times is None else float(rows.times.max()),
            "categories": "authors/category.npy" in writer.files,
            "declared": folder.order.by == "rows",
            "folds": folds,
            "metapaths": snapshot.settings.metapaths if snapshot is not None else (),
            "top_k": snapshot.settings.top_k if snapshot is not None else 0,
            "exclude_own": snapshot is not None and snapshot.settings.exclude_own,
            "reach": snapshot is not None and snapshot.settings.reach_top_k > 0,
            "pooled_at": None if snapshot is None else snapshot.settings.pooled_at,
            "modalities": modalities,
            "statistics": {} if snapshot is None else _statistics(snapshot, modalities),
            "live": folder.live
            and Live(segments=folder.live.count, per_sample=folder.live.per_sample, tasks=folder.tasks),
            "evaluated": {name: len(part) for name, part in parts.items() if name != "train"},
            "files": {name: file.size for name, file in writer.files.items()},
            "content": writer.content,
        }
        | {
            name: np.bincount(fold[which], minlength=max(1, folds)).tolist()
            for name, which in counted.items()
        }
    )


def _statistics(snapshot: Snapshot, modalities: dict[str, Modality]) -> dict[str, dict[str, object]]:
    """Width and node type of the snapshot's columns that are no modality."""
    beside = {name: end for name, end in snapshot.columns.items() if name not in modalities}
    return {name: {"width": snapshot.own(name).shape[1], "end": end} for name, end in beside.items()}
