"""Metrics of a model with a modality missing or noisy at test time, against SIM without content."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import typer
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from mmbee_plugin.command.stages import stage_display
from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.cells import Job
from mmbee_plugin.experiments.colours import SERIES
from mmbee_plugin.experiments.comparison import METRICS
from mmbee_plugin.experiments.making import cells_of_rows
from mmbee_plugin.experiments.plots import LIMIT, Plot, error_bars, percentage
from mmbee_plugin.experiments.scoring import Trained, open_trained
from mmbee_plugin.experiments.sheet import SIGNIFICANT, Sheet, mean, p_text, percent
from mmbee_plugin.experiments.study import Answer, numbers, study
from mmbee_plugin.experiments.verdict import chance
from mmbee_plugin.modules.parts import BACKBONES, CONTENTS
from mmbee_plugin.studies.comparison import HEADINGS, Compared, compare
from mmbee_plugin.studies.degraded import Units, with_noise, without
from mmbee_plugin.tables.run import labelled_jobs

ALL = "all"
OF_THE_PROCESS = ("gpu_id", "show_progress", "checkpoint_dir", "state")
"""given settings that do not change a run's result"""
INTACT = "nothing changed"


@dataclass(frozen=True)
class Change:
    """A change of the content: ``modality`` (or :data:`ALL`) ``missing`` at a rate, or with ``noise`` of a level."""

    modality: str
    kind: str
    amount: float

    def __str__(self) -> str:
        if self.kind == "noise":
            return f"{self.modality}, noise {self.amount:g}"
        return f"{self.modality} missing, {self.amount:.0%}"


@dataclass(frozen=True)
class MissingStudy:
    """Results on the test rows: the model intact and under each change, and SIM.

    Attributes:
        rows: keyed by the text of each change, :data:`INTACT` and ``bare``.
        bare: name of the model without content and graph.
    """

    changes: tuple[Change, ...]
    rows: dict[str, Compared]
    bare: str
    by: str
    counts: tuple[int, int]
    """test rows, and gifts among them."""
    tested: bool
    """whether differences get p-values; False for generated samples."""


@study(
    "study missing",
    "missing",
    rates=typer.Option(metavar="SHARES", help="Shares of authors or segments that lack a modality."),
    noise=typer.Option(metavar="LEVELS", help="Noise, in deviations of each column."),
    by=typer.Option(metavar="author|segment", help="What loses a modality as one."),
    seed=typer.Option(help="Of the draws of who is hit and of the noise."),
)
def missing(
    checkpoint: Path,
    cells: Path,
    rates: str = "0.25,0.5,1",
    noise: str = "0.5,1,2",
    by: str = "author",
    seed: int = 0,
) -> Answer:
    """Score the test rows with each modality missing or noisy, beside SIM without content, which is trained once."""
    shares, levels = numbers(rates, "--rates", float), numbers(noise, "--noise", float)
    with stage_display() as show:
        show("opening the model")
        trained = open_trained(checkpoint)
    trained.folder.check_part("test")
    name, job = bare_job(trained)
    changes = planned(list(trained.network.content.tables), shares, levels)
    alone = cells_of_rows({name: [job]}, cells)[name][0].arrays["test scores"]
    with stage_display() as show:
        found = measure(trained, changes, (name, alone), by, seed, show)
    return Answer(*missing_figure(found), trained.folder, f"Checkpoint: {checkpoint.name}")


def planned(modalities: Sequence[str], rates: Sequence[float], levels: Sequence[float]) -> tuple[Change, ...]:
    """Each modality missing at each rate and noisy at each level, then all modalities missing at each rate.

    Raises:
        InputError: a rate outside (0, 1], or a level that is not positive and finite.
    """
    for rate in rates:
        if not 0 < rate <= 1:
            raise InputError(f"--rates {rate:g}: a share above 0 and at most 1 is expected")
    for level in levels:
        if not 0 < level < float("inf"):
            raise InputError(f"--noise {level:g}: a number above 0 is expected, in deviations of each column")
    steps = [("missing", rate) for rate in sorted(set(rates))] + [
        ("noise", level) for level in sorted(set(levels))
    ]
    each = [Change(name, kind, amount) for name in modalities for kind, amount in steps]
    together = [Change(ALL, "missing", rate) for rate in sorted(set(rates))] if len(modalities) > 1 else []
    return (*each, *together)


def bare_job(trained: Trained) -> tuple[str, Job]:
    """Name and job of the checkpoint's backbone alone: same settings and seed, without content and graph.

    Raises:
        InputError: a checkpoint without content.
    """
    config = trained.config
    if not CONTENTS[config["content"]].reads_modalities:
        raise InputError(f"{trained.path}: a model without content has no modality that could be missing")
    given = {name: value for name, value in config.external_config_dict.items() if name not in OF_THE_PROCESS}
    bare = {**given, "content": "none", "interest": "none"}
    name = BACKBONES[config["backbone"]].title
    return name, labelled_jobs(name, "MMBee", trained.folder, bare, [config["seed"]])[0]


def measure(
    trained: Trained,
    changes: Sequence[Change],
    bare: tuple[str, NDArray],
    by: str = "author",
    seed: int = 0,
    show: Callable[[str], None] = lambda stage: None,
) -> MissingStudy:
    """Scores the test rows intact and under every change.

    Args:
        bare: name and scores (n,) of the baseline without content.
        by: ``author`` or ``segment``, the unit of the rates.
        show: called with each change as its scoring starts.

    Raises:
        InputError: segments for static items, noise for a bag of words.
    """
    units = Units(trained.network, by, seed)
    scores: dict[str, list[NDArray]] = {}
    for change in (None, *changes):
        name = INTACT if change is None else str(change)
        show(name)
        with nullcontext() if change is None else _made(trained, change, units, seed):
            scores[name] = [trained.scores("test")]
    name, alone = bare
    against = dict.fromkeys(scores, name)
    samples = trained.samples("test")
    rows = compare(samples, {**scores, name: [alone]}, against)
    return MissingStudy(
        tuple(changes), rows, name, by, (len(samples.labels), int(samples.labels.sum())), trained.tested
    )


def _made(trained: Trained, change: Change, units: Units, seed: int) -> AbstractContextManager[None]:
    network = trained.network
    names = list(network.content.tables) if change.modality == ALL else [change.modality]
    if change.kind == "noise":
        return with_noise(network, names, change.amount, seed)
    return without(network, names, units.hit(change.amount))


def missing_figure(found: MissingStudy) -> tuple[str, Sheet, Plot]:
    """The verdict, the table, and a plot of each metric against the rates and levels."""
    rows = tuple((name, *compared.cells()) for name, compared in found.rows.items())
    unit = "authors" if found.by == "author" else "segments"
    notes = (
        f"Missing: a share of the {unit} lacks the modality, at every rate the same and more. Noise: normal, in "
        "deviations of each column.",
        "Changed is what a sample shows; the neighbours' mean attributes in the graph are those of training.",
        f"{found.bare}: the same settings and seed without content and graph. Impr.: over {found.bare}; p: paired "
        "bootstrap over users, of one seed, Holm-corrected over the rows.",
        "Measured on test, with settings that were chosen on validation.",
        *_verdict(found),
    )
    title = (
        f"A modality missing or noisy at test time: {found.counts[0]:,} samples, {found.counts[1]:,} gifts"
    )
    plot = Plot(
        f"Gain over {found.bare} against what is missing",
        "How fast the gain goes as content goes or gets noisy: a flat line is a modality that the model does without. "
        f"At the dashed line {found.bare} alone is as good. Lines are 95 % intervals of the difference over users.",
        _plots(found),
    )
    return _worst(found), Sheet(title, ("content", *HEADINGS), rows, notes), plot


def _worst(found: MissingStudy) -> str:
    """The change with the lowest GAUC, against the bare model."""
    name = min(map(str, found.changes), key=lambda one: _mean(found, one, "gauc"))
    row = found.rows[name]
    told = f"under the worst change ({name}) the model's GAUC is {percent(row.gains['gauc'])} from {found.bare}'s"
    if not found.tested:
        return told
    return f"{told}, {chance(row.p_values['gauc'])}"


def _verdict(found: MissingStudy) -> Iterator[str]:
    """Whether the model stays above the bare one without any one modality; a line for each metric."""
    gone = [one for one in found.changes if one.kind == "missing" and one.amount == 1 and one.modality != ALL]
    for metric in METRICS if gone else ():
        rows = {one.modality: found.rows[str(one)] for one in gone}
        below = [name for name, row in rows.items() if row.gains[metric] <= 0]
        unsure = [
            name
            for name, row in rows.items()
            if row.gains[metric] > 0 and not row.p_values[metric] < SIGNIFICANT
        ]
        line = f"{metric.upper()} with any one modality gone: "
        line += f"not above {found.bare} without {', '.join(below)}" if below else f"above {found.bare}"
        if unsure and found.tested:
            line += f"{'; above,' if below else ','} but not beyond chance, without {', '.join(unsure)}"
        least = percent(min(row.gains[metric] for row in rows.values()))
        largest = p_text(np.max([row.p_values[metric] for row in rows.values()]))
        yield f"{line} (least gain {least}{f', largest p {largest}' if found.tested else ''})."


def _plots(found: MissingStudy) -> go.Figure:
    kinds = [kind for kind in ("missing", "noise") if any(one.kind == kind for one in found.changes)]
    metrics = list(METRICS)
    titles = [f"{metric.upper()}, {kind}" for kind in kinds for metric in metrics]
    figure = make_subplots(len(kinds), len(metrics), subplot_titles=titles)
    modalities = list(dict.fromkeys(one.modality for one in found.changes))
    for row, kind in enumerate(kinds, start=1):
        for column, metric in enumerate(metrics, start=1):
            for number, modality in enumerate(modalities):
                own = [one for one in found.changes if (one.kind, one.modality) == (kind, modality)]
                if not own:
                    continue
                spans = [found.rows[name].spans[metric] for name in (INTACT, *map(str, own))]
                apart = 0.015 * max(one.amount for one in own) * number
                line = go.Scatter(
                    x=[apart + amount for amount in (0, *(one.amount for one in own))],
                    y=[percentage(one.mean) for one in spans],
                    error_y=error_bars(spans, percentage),
                    name=modality,
                    legendgroup=modality,
                    showlegend=(row, column) == (1, 1),
                    line_color=SERIES[number % len(SERIES)],
                )
                figure.add_trace(line, row=row, col=column)
            figure.add_hline(0, line=LIMIT, row=row, col=column)
            figure.update_yaxes(title_text=f"points over {found.bare}", row=row, col=column)
        text = "noise, in deviations of a column" if kind == "noise" else f"share of {found.by}s without it"
        figure.update_xaxes(title_text=text, row=row)
    return figure.update_layout(height=330 * len(kinds))


def _mean(found: MissingStudy, name: str, metric: str) -> float:
    return mean(found.rows[name].pooled[metric])
