"""What each part of MMBee brings on a data set: the full model minus the model without the part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.resampling import ResampledUsers
from mmbee_plugin.experiments import comparison
from mmbee_plugin.experiments.cells import Cell, Job, alike
from mmbee_plugin.experiments.comparison import Difference, Samples, differences, scored
from mmbee_plugin.experiments.rows import chosen, over
from mmbee_plugin.experiments.training import OF_THE_RUN
from mmbee_plugin.graph.settings import GraphStage
from mmbee_plugin.recbole.config.modalities import chosen_modalities
from mmbee_plugin.recbole.config.settings import MMBeeSettings
from mmbee_plugin.recbole.config.sources import merged
from mmbee_plugin.recbole.config.tuned import is_stale, read_tuning, tunings_folder
from mmbee_plugin.recbole.run import build_config
from mmbee_plugin.tables.command import MODEL
from mmbee_plugin.tables.parts import (
    BY_CONTENT,
    CONTENT,
    MATCH,
    QUERIES,
    VISITS,
    Part,
    modality_parts,
    model_parts,
)
from mmbee_plugin.tables.ranking import measures as ranking
from mmbee_plugin.tables.ranking.rows import RankedRow
from mmbee_plugin.tables.ranking.run import check_finite, ranking_jobs
from mmbee_plugin.tables.run import labelled_jobs

STUDY = "this study"
OFF = "off in its settings"
CURE = "this study needs one split for all seeds: a pre-split folder, or eval_args.order TO"


@dataclass(frozen=True)
class Planned:
    """The cells of one data set.

    Attributes:
        metric: the data set's validation metric, such as ``Recall@20``.
        ranks: whether it is measured on full rankings, else on labelled samples.
        jobs: :data:`MODEL` and part -> its jobs by seed.
        lacking: part -> why the model has none of it there.
        tuned: name of the file with tuned settings, and what they were found under if not this; empty for none.
    """

    folder: DatasetFolder
    metric: str
    ranks: bool
    jobs: Mapping[str, Sequence[Job]]
    lacking: Mapping[str, str]
    tuned: str


@dataclass(frozen=True)
class Brought:
    """What the parts bring on one data set.

    Attributes:
        full: the metric of the full model, one value a seed.
        parts: part -> the full model minus the model without it, in the metric ``key``.
    """

    planned: Planned
    full: list[float]
    parts: Mapping[str, Difference]
    key: str

    @property
    def tested(self) -> bool:
        """Whether differences get p-values: False for generated samples."""
        return self.planned.folder.kind != "sample"

    def p(self, part: str) -> float | None:
        """The p-value of a part; None without a test."""
        return self.parts[part].p_values[self.key] if self.tested else None


def planned_parts(
    folders: Sequence[DatasetFolder], given: Mapping[str, Any], only: Sequence[str], seeds: Sequence[int]
) -> tuple[list[Planned], list[str]]:
    """The cells of each data set, and the parts in order.

    Args:
        given: settings of all models, over the data sets'; of one without a part, under those that leave it out.
        only: parts to leave out; all for none.

    Raises:
        InputError: an unknown part, settings invalid for the data, a metric that is not compared, or a data set that
            has none of the parts.
    """
    configs = [build_config(MODEL, folder, dict(given)) for folder in folders]
    metapaths = dict.fromkeys(name for config in configs for name in MMBeeSettings.among(config).metapaths)
    modalities = dict.fromkeys(
        name
        for config, folder in zip(configs, folders, strict=True)
        for name in chosen_modalities(config, folder)
    )
    every = (*model_parts(tuple(metapaths)), *modality_parts(tuple(modalities)))
    rows = chosen([RankedRow(part.name, part.without) for part in every], only, STUDY)
    names = [row.name for row in rows]
    return [
        _planned(folder, config, given, names, seeds) for folder, config in zip(folders, configs, strict=True)
    ], names


def measured_parts(planned: Planned, cells: Mapping[str, Sequence[Cell]], split: str) -> Brought:
    """The differences on one data set, over users and seeds, Holm-corrected over its parts.

    Args:
        cells: :data:`MODEL` and part -> one cell a seed.

    Raises:
        InputError: cells of other rows, or a training whose loss was no number.
    """
    key = planned.metric.lower()
    if planned.ranks:
        check_finite(cells)
        ranked = ranking.measure(cells, split, len(cells[MODEL]), {}, MODEL)
        return Brought(planned, ranked.rows[MODEL].seeds[key], ranked.differences[ranking.ALL], key)
    arrays = alike(cells, split, ("users", "labels"), "scored {} rows", CURE).arrays
    samples = Samples(arrays[f"{split} users"], arrays[f"{split} labels"], None)
    resampled = ResampledUsers(samples.users, samples.labels)
    rows = {
        name: scored(samples, resampled, [cell.arrays[f"{split} scores"] for cell in of_row])
        for name, of_row in cells.items()
    }
    found = differences(rows, {name: (MODEL, name) for name in rows if name != MODEL})
    return Brought(planned, rows[MODEL].pooled[key], found, key)


def _planned(
    folder: DatasetFolder, config: Any, given: Mapping[str, Any], names: Sequence[str], seeds: Sequence[int]
) -> Planned:
    ranks = set(config["eval_args"]["mode"].values()) != {"labeled"}
    tuning = read_tuning(tunings_folder(folder) / f"{MODEL}.json") if ranks else None
    tuned = ""
    if tuning is not None and tuning.chosen is not None:
        tuned = tuning.file.name
        if tuning.data["hash"] != folder.hash:
            tuned += ", which were found on other files of this dataset's name"
        elif is_stale(tuning, folder, given, OF_THE_RUN):
            tuned += ", which were found under other settings than today's"
        given = merged(tuning.chosen, given)
    modalities = chosen_modalities(config, folder)

    def model_of(without: Mapping[str, Any]) -> MMBeeSettings:
        return MMBeeSettings.among(build_config(MODEL, folder, over(given, without)))

    def jobs_of(name: str, without: Mapping[str, Any]) -> list[Job]:
        title = f"{folder.name}, {name}"
        if ranks:
            return ranking_jobs(RankedRow(title, without, model=MODEL), folder, given, seeds)
        return labelled_jobs(title, MODEL, folder, over(given, without), seeds)

    model = model_of({})
    jobs, lacking = {MODEL: jobs_of(MODEL, {})}, {}
    settings = jobs[MODEL][0].key["settings"]
    own = {part.name: part for part in (*model_parts(model.metapaths), *modality_parts(modalities))}
    for name in names:
        why = _lacking(own.get(name), name, model, modalities)
        if why is None and model_of(own[name].without) == model:
            why = OFF
        if why is None:
            jobs[name] = jobs_of(f"without {name}", own[name].without)
        else:
            lacking[name] = why
    if len(jobs) == 1:
        raise InputError(f"{folder.path}: the model has none of the parts {', '.join(names)} there")
    metric = settings["valid_metric"].removeprefix("Labelled")
    known = ranking.METRICS if ranks else tuple(comparison.METRICS)
    if metric.lower() not in known:
        raise InputError(
            f"{folder.name}: valid_metric {metric} is not compared; known are {', '.join(known)}"
        )
    return Planned(folder, metric, ranks, jobs, lacking, tuned)


def _lacking(part: Part | None, name: str, model: MMBeeSettings, modalities: Sequence[str]) -> str | None:
    """Why a model with these settings has not this part, or cannot do without it."""
    if part is None:
        return "not in the data or settings"
    if part.kind == CONTENT:
        if not modalities or not model.reads_modalities:
            return "no content" if not modalities else "no content encoder in its settings"
        if name in (QUERIES, MATCH) and not model.reads_queries:
            return "no queries in its content encoder"
        return "the only modality" if modalities == (name,) else None
    if not model.lists:
        return "no graph in its settings"
    graph = model.graph or GraphStage()
    if not {VISITS: graph.pools_visits, BY_CONTENT: graph.steps_by_content}.get(name, True):
        return OFF
    return "the only metapath" if model.metapaths == (name,) else None
