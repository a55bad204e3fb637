"""Permutation importance of every metapath of up to three hops (MMBee, section 5.3).

One model is trained with all of them. Then one metapath's lists are permuted among users or authors; its importance is
the loss of the metrics on validation, without retraining (Breiman, Random Forests, 2001). Redundant metapaths share
their importance, so all metapaths of a side are permuted together too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.resampling import ResampledUsers
from mmbee_plugin.experiments.cells import Cell, CellStore, seeds_of
from mmbee_plugin.experiments.comparison import METRICS
from mmbee_plugin.experiments.scoring import Trained
from mmbee_plugin.experiments.training import EVALUATED, prepared
from mmbee_plugin.graph.metapaths import every_metapath
from mmbee_plugin.modules.parts import INTERESTS
from mmbee_plugin.recbole.run import build_config
from mmbee_plugin.tables.command import MODEL
from mmbee_plugin.tables.run import labelled_jobs

SIDES = {"u": "all from users", "a": "all from authors"}

Show = Callable[[str], None]


def importances(
    folder: DatasetFolder,
    given: Mapping[str, Any],
    seeds: int,
    permutations: int,
    store: CellStore,
    show: Show,
) -> list[Cell]:
    """Cells of :func:`importance_cell`, one a seed, from the store or made.

    Args:
        given: settings of the runs, without ``metapaths``.
        show: called with each step.

    Raises:
        InputError: settings invalid for the model, the data or this study.
    """
    if "metapaths" in given:
        raise InputError("setting 'metapaths': this study sets it, to every path of up to three hops")
    names = [path.name for path in every_metapath()]
    chosen = {**given, "metapaths": names}
    config = build_config(MODEL, folder, chosen)
    if not INTERESTS[config["interest"]].takes_means:
        raise InputError("interest: only gie reads metapaths of choice, so there is nothing to select")
    if config["pooling"] == "set":
        raise InputError("pooling set: no metapath has a mean of its own to permute; set pooling to concat")
    cells = []
    numbers = seeds_of(seeds)
    for seed, job in zip(numbers, labelled_jobs("all", MODEL, folder, chosen, numbers), strict=True):
        key = {**job.key, "kind": "importance 1", "permutations": permutations}
        cell = store.get(key)
        if cell is None:
            cell = importance_cell(folder, chosen, seed, permutations, _of_seed(seed, show))
            store.put(key, cell)
        cells.append(cell)
    return cells


def importance_cell(
    folder: DatasetFolder, given: Mapping[str, Any], seed: int, permutations: int, show: Show
) -> Cell:
    """Trains a model and measures the importance of its metapaths on the validation rows.

    Returns:
        arrays: ``<metric>`` () of the intact model; ``<metric> <path>`` (permutations,) with the metapath permuted;
        ``<metric> draws <path>`` (draws,) losses on resampled users, averaged over the permutations; the same for all
        metapaths of a side, under the names of :data:`SIDES`.
        facts: those of the training, and metapaths, samples, positives, users.
    """
    show("training")
    with prepared(MODEL, folder.path, given, seed) as training:
        training.fit()
        loaders = dict(zip(EVALUATED, training.evaluated, strict=True))
        model = training.config, training.network, training.train.dataset
        cell = measured(Trained(folder.path, folder, *model, loaders), permutations, seed, show)
        return Cell(cell.arrays, {**training.facts(), **cell.facts})


def measured(trained: Trained, permutations: int, seed: int, show: Show) -> Cell:
    """As :func:`importance_cell`, for a trained model."""
    show("scoring")
    samples, scores = trained.samples("valid"), trained.scores("valid")
    resampled = ResampledUsers(samples.users, samples.labels)
    whole, drawn = samples.pooled(scores), resampled.values(scores)
    arrays: dict[str, NDArray] = {metric: np.array(value) for metric, value in whole.items()}
    of_side = {SIDES[side]: trained.network.interest.names(side) for side in SIDES}
    names = [name for paths in of_side.values() for name in paths]
    together = {name: (name,) for name in names} | of_side
    for place, (name, paths) in enumerate(together.items()):
        rng = np.random.default_rng([seed, place])
        values, losses = [], []
        for turn in range(permutations):
            show(f"{name} ({place + 1} of {len(together)}), permutation {turn + 1} of {permutations}")
            with permuted(trained, paths, rng):
                scores = trained.scores("valid")
            values.append(samples.pooled(scores))
            other = resampled.values(scores)
            losses.append({metric: drawn[metric] - other[metric] for metric in METRICS})
        for metric in METRICS:
            arrays[f"{metric} {name}"] = np.array([value[metric] for value in values])
            arrays[f"{metric} draws {name}"] = np.mean([loss[metric] for loss in losses], axis=0)
    facts = {
        "metapaths": names,
        "samples": len(samples.labels),
        "positives": int(samples.labels.sum()),
        "users": len(np.unique(samples.users)),
    }
    return Cell(arrays, facts)


@contextmanager
def permuted(trained: Trained, paths: Sequence[str], rng: np.random.Generator) -> Iterator[None]:
    """Permutes neighbour lists among the users (or authors) of the validation rows; restores them on exit.

    All ``paths`` start from one side and are permuted together, each with its neighbours, counts and mean attributes.
    All rows of a node get the same list, as in the data.
    """
    rows = trained.rows("valid")
    field = rows.uid_field if paths[0][0] == "u" else rows.iid_field
    nodes = rows.inter_feat[field].unique()
    dealt = nodes[torch.from_numpy(rng.permutation(len(nodes)))]
    lists = [trained.network.interest.lists[path] for path in paths]
    read = "ids_None", "weights_None", "rows"  # the last finds mean attributes
    kept = [(one, key, one.get_buffer(key)) for one in lists for key in read]
    try:
        for one, key, whole in kept:
            changed = whole.clone()
            changed[nodes] = whole[dealt]
            setattr(one, key, changed)
        yield
    finally:
        for one, key, whole in kept:
            setattr(one, key, whole)


def _of_seed(seed: int, show: Show) -> Show:
    return lambda what: show(f"seed {seed}: {what}")
