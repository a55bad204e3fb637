"""`mmbee data info`: content of a dataset folder, health of its features, leaks and the popularity baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mmbee_plugin.data.arrays import read_array
from mmbee_plugin.data.features import BagFeatures
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.inspect.health import FeatureHealth, bag_health, dense_health
from mmbee_plugin.data.inspect.leaks import item_order, older_rows, shared_pairs
from mmbee_plugin.data.inspect.popularity import rank_by_popularity
from mmbee_plugin.data.order import chosen_row_order, order_lines
from mmbee_plugin.data.splits import check_split, chosen_split, split_rows, split_words
from mmbee_plugin.data.writer import SPLITS, Interactions
from mmbee_plugin.evaluation.metrics import auc, gauc, uauc

QUANTILES = (0.0, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)


@dataclass(frozen=True)
class DatasetInfo:
    """Content of the report on a dataset.

    Shapes:
        - user_degrees (n_users,), item_degrees (n_items,): training interactions of each; in live data, gifts

    Attributes:
        parts: interactions of training, validation and test; of live data the gifts only.
        samples: number of rows of each part of live data; {} for other data.
        features: health of each modality.
        split: lines on the split and, for data without an order, on the one assumed.
        leaks: lines on leaks between the parts; findings begin with "warning: ".
        popularity: metrics of the popularity baseline, by held-out part.
    """

    folder: DatasetFolder
    parts: dict[str, Interactions]
    samples: dict[str, int]
    user_degrees: np.ndarray
    item_degrees: np.ndarray
    features: dict[str, FeatureHealth]
    split: list[str]
    leaks: list[str]
    popularity: dict[str, dict[str, float]]


def read_info(folder: DatasetFolder, settings: Mapping[str, Any] | None = None) -> DatasetInfo:
    """Checks every row of the folder and gathers the report.

    Args:
        settings: of a run; data of one file are split by its `eval_args` and `row_order`.

    Raises:
        InputError: a bad row, or a split impossible for the data.
    """
    settings = settings or {}
    row_order = chosen_row_order(folder.order, settings.get("row_order"), folder.name)
    eval_args = chosen_split(folder.order, settings.get("eval_args"))
    if folder.splits is None:
        check_split(folder.order, row_order, eval_args, folder.name)
    folder.validate_interactions()
    n_users, n_items = len(folder.user_tokens), len(folder.item_tokens)
    parts, samples = _parts(folder, eval_args)
    train = parts["train"]
    counts = np.bincount(train.items, minlength=n_items)
    leaks: list[str | None] = []
    popularity = {}
    if folder.live is None:
        leaks += shared_pairs(parts, n_items)
    for name in list(parts)[1:]:
        leaks.append(older_rows(train, parts[name], name, n_users))
        if folder.live is None:
            order = item_order(train, parts[name], n_users, n_items)
            leaks.append(None if order is None else order.line(name))
            popularity[name] = rank_by_popularity(train, parts[name], n_items)
        else:
            rows, labels = folder.interactions(name), folder.rows(name).labels
            grouped = {"auc": auc(labels, counts[rows.items])}
            for metric, of in (("uauc", uauc), ("gauc", gauc)):
                grouped[metric] = of(rows.users, labels, counts[rows.items])
            popularity[name] = grouped
    return DatasetInfo(
        folder,
        parts,
        samples,
        np.bincount(train.users, minlength=n_users),
        counts,
        {modality: _health(folder, modality) for modality in folder.modalities},
        [
            split_words(folder.order, folder.files if folder.splits else None, eval_args),
            *order_lines(folder.order, row_order, settings),
        ],
        [line for line in leaks if line is not None],
        popularity,
    )


def warnings(info: DatasetInfo) -> list[str]:
    """What is wrong with the data: leaks, columns that are not read, rows of features without a number."""
    found = [f"warning: {line}" for line in info.folder.unread]
    found += [line for line in info.leaks if line.startswith("warning")]
    return found + [
        f"warning: {modality}: {health.not_finite:,} of {health.rows:,} rows are not finite"
        for modality, health in info.features.items()
        if health.not_finite
    ]


def report(info: DatasetInfo) -> list[str]:
    """Lines printed by `mmbee data info`."""
    folder, train = info.folder, info.parts["train"]
    n_users, n_items = len(info.user_degrees), len(info.item_degrees)
    cells = n_users * n_items
    pairs = {name: len(np.unique(part.users * n_items + part.items)) for name, part in info.parts.items()}
    lines = [folder.provenance(), f"hash {folder.hash[:16]}"]
    lines += [f"note: {note}" for note in folder.notes]
    lines += [f"warning: {line}" for line in folder.unread]
    if folder.live is not None:
        lines.append("live data: the counts below are of gifts")
        if folder.visits is not None:
            lines.append(f"visits before the end of training, for graph.visits: {len(folder.visits):,}")
    lines += info.split
    filled = sum(pairs.values())
    lines.append(f"sparsity {1 - filled / cells:.4%} ({filled / cells:.2e} of {cells:,} cells filled)")
    lines += [
        "",
        f"{'part':<7}{'rows':>12}{'pairs':>12}{'users':>10}{'items':>10}{'new users':>11}{'new items':>11}",
    ]
    for name, part in info.parts.items():
        lines.append(
            f"{name:<7}{len(part):>12,}{pairs[name]:>12,}{len(np.unique(part.users)):>10,}"
            f"{len(np.unique(part.items)):>10,}{_new(part.users, train.users):>11,}{_new(part.items, train.items):>11,}"
        )
    if info.samples:
        rates = (
            f"{name} {len(info.parts[name]) / rows:.2%} of {rows:,}" for name, rows in info.samples.items()
        )
        lines.append(f"samples that are gifts: {', '.join(rates)}")
    lines += ["", f"{'in training':<12}{'none':>8}{'mean':>9}" + "".join(f"{q:>9.0%}" for q in QUANTILES)]
    for name, degrees in (("per user", info.user_degrees), ("per item", info.item_degrees)):
        values = "".join(
            f"{value:>9,.0f}" for value in np.quantile(degrees, QUANTILES, method="inverted_cdf")
        )
        lines.append(f"{name:<12}{int((degrees == 0).sum()):>8,}{degrees.mean():>9.2f}{values}")
    lines += [
        f"the top 1 % of items hold {_top_share(info.item_degrees):.1%} of the training interactions",
        "",
    ]
    lines += info.leaks
    lines += ["", *(f"{modality}: {health.line()}" for modality, health in info.features.items())]
    lines += [] if info.features else ["no features"]
    lines += [
        "",
        "popularity baseline" + (", full ranking, training items masked" if folder.live is None else ""),
    ]
    for name, metrics in info.popularity.items():
        shown = ", ".join(f"{metric} {value:.4f}" for metric, value in metrics.items() if metric != "users")
        users = f" over {metrics['users']:,.0f} users" if "users" in metrics else ""
        lines.append(f"{name}{users}: {shown}")
    return [*lines, *([folder.get_real] if folder.get_real else [])]


def _parts(
    folder: DatasetFolder, eval_args: Mapping[str, Any]
) -> tuple[dict[str, Interactions], dict[str, int]]:
    if folder.live is not None:
        rows = {name: folder.interactions(name) for name in folder.splits or ()}
        gifts = {name: _chosen(part, folder.rows(name).labels) for name, part in rows.items()}
        return gifts, {name: len(part) for name, part in rows.items()}
    if folder.splits is not None:
        return {name: folder.interactions(name) for name in folder.splits}, {}
    everything = folder.interactions()
    number = split_rows(everything.users, everything.timestamps, eval_args)
    return {name: _chosen(everything, number == part) for part, name in enumerate(SPLITS)}, {}


def _chosen(rows: Interactions, chosen: np.ndarray) -> Interactions:
    times = None if rows.timestamps is None else rows.timestamps[chosen]
    return Interactions(rows.users[chosen], rows.items[chosen], timestamps=times)


def _health(folder: DatasetFolder, modality: str) -> FeatureHealth:
    if folder.live is not None:
        return dense_health(folder.segments.values(modality))
    if folder.modalities[modality]["kind"] == "dense":
        # `folder.features` would refuse the non-finite values that are counted here.
        return dense_health(
            read_array(folder.path / folder.modalities[modality]["file"], dimensions=2, kinds="f")
        )
    features = folder.features(modality)
    assert isinstance(features, BagFeatures)
    return bag_health(features)


def _new(ids: np.ndarray, known: np.ndarray) -> int:
    return len(np.setdiff1d(ids, known))


def _top_share(degrees: np.ndarray) -> float:
    top = np.sort(degrees)[::-1][: max(1, len(degrees) // 100)]
    return float(top.sum() / max(1, degrees.sum()))
