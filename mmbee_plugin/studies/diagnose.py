"""Diagnoses a trained model for silent failures of its parts: collapsed queries, ignored modalities, generic lists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from mmbee_plugin.command.stages import stage_display
from mmbee_plugin.experiments.colours import GREY, OWN
from mmbee_plugin.experiments.plots import LIMIT, Plot, error_bars, percentage
from mmbee_plugin.experiments.scoring import Trained, open_trained
from mmbee_plugin.experiments.sheet import Sheet
from mmbee_plugin.experiments.study import Answer, study
from mmbee_plugin.experiments.verdict import count, listed
from mmbee_plugin.studies.findings import Finding
from mmbee_plugin.studies.modality_checks import (
    Attention,
    Hidden,
    hide_each,
    modality_findings,
    read_attention,
)
from mmbee_plugin.studies.neighbour_checks import (
    OVERLAP,
    POPULAR,
    Generic,
    generic,
    neighbour_findings,
    read_lists,
)
from mmbee_plugin.studies.query_checks import (
    COSINE,
    Clusters,
    Queries,
    cluster,
    query_findings,
    read_queries,
    within_cosines,
)

SPLIT = "valid"
"""a diagnosis leads to choices, so it does not read the test rows"""
TOKENS, OVERLAPPING, MOST_LISTED = (
    "Tokens of an author",
    "Overlap of two nodes' lists",
    "Entries at the 1 % most listed",
)
BOUNDS = {OVERLAPPING: OVERLAP, MOST_LISTED: POPULAR}
"""panels whose bars should stay below a bound"""


@dataclass(frozen=True)
class Diagnosis:
    """All measurements; None or empty for parts that the model lacks."""

    findings: tuple[Finding, ...]
    queries: Queries | None
    clusters: Clusters | None
    attention: Attention | None
    hidden: Hidden | None
    paths: dict[str, Generic]


@study("diagnose", "diagnosis")
def diagnosis(checkpoint: Path) -> Answer:
    """Check a trained model for parts that fail silently: queries, modalities, neighbours; ok or look at this."""
    with stage_display() as show:
        show("opening the model")
        trained = open_trained(checkpoint)
        found = diagnose(trained, show)
    return Answer(*diagnosis_figure(found), trained.folder, f"Checkpoint: {checkpoint.name}")


def diagnose(trained: Trained, show: Callable[[str], None] = lambda stage: None) -> Diagnosis:
    """Runs the checks of all parts that the model has; calls ``show`` with each stage as it starts.

    Raises:
        InputError: too few authors with enough training rows for the check of queries, or no scikit-learn.
    """
    findings: list[Finding] = []
    show("queries")
    queries = read_queries(trained, SPLIT)
    clusters = None if queries is None else cluster(queries)
    if queries is not None and clusters is not None:
        findings += query_findings(queries, clusters)
    attention, hidden = None, None
    if trained.network.content.tables:
        show("attention")
        attention = read_attention(trained, SPLIT)
        hidden = hide_each(trained, SPLIT, show)
        findings += modality_findings(attention, hidden)
    show("neighbours")
    paths = {name: generic(lists) for name, lists in read_lists(trained).items()}
    findings += neighbour_findings(paths)
    return Diagnosis(tuple(findings), queries, clusters, attention, hidden, paths)


def diagnosis_figure(found: Diagnosis) -> tuple[str, Sheet, Plot]:
    """The verdict, the sheet of findings, and a plot for each part that was checked."""
    rows = tuple((one.part, one.what, one.value, one.bound, one.verdict) for one in found.findings)
    flagged = [one for one in found.findings if not one.good]
    lacking = [
        part
        for part, there in (("queries", found.queries), ("content", found.hidden), ("graph", found.paths))
        if not there
    ]
    notes = []
    if lacking:
        notes.append(f"The model has no {' and no '.join(lacking)}, so nothing to check there.")
    notes.append(
        "On validation rows. Queries of authors with 20 training rows or more. p: paired bootstrap over users, "
        "Holm-corrected over the modalities. The bounds are rules of thumb."
    )
    sheet = Sheet("Diagnosis", ("part", "what", "value", "expected", "verdict"), rows, tuple(notes), names=2)
    plot = Plot(
        "What was checked",
        "An author's tokens are of use where their cosine is left of the dashed bound, clusters of queries where their "
        "gifts differ, a modality where it gets attention and the metric falls without it, lists where they differ "
        "from node to node. Lines are 95 % intervals, where a value has one.",
        _plots(found),
    )
    parts = listed(list(dict.fromkeys(one.part for one in flagged)))
    asks = f"{'asks' if len(flagged) < 2 else 'ask'} for a look{f', at {parts}' if flagged else ''}"
    return f"{len(flagged) or 'none'} of {count(len(rows), 'check')} of this checkpoint {asks}", sheet, plot


def _plots(found: Diagnosis) -> go.Figure:
    panels: dict[str, tuple[list[go.Bar | go.Histogram], str, str]] = {}
    if found.queries is not None and found.clusters is not None:
        cosines = go.Histogram(x=within_cosines(found.queries.tokens), nbinsx=40, marker_color=OWN)
        panels[TOKENS] = [cosines], "mean cosine of an author's tokens", "authors"
        rates, errors = found.clusters.rates, found.clusters.errors
        names = [f"{number + 1}: {size} authors" for number, size in enumerate(found.clusters.sizes)]
        bars = go.Bar(x=names, y=rates, error_y={"array": 1.96 * errors}, marker_color=OWN)
        panels["Gifts by cluster of queries"] = [bars], "cluster", "gifts a sample"
    if found.attention is not None:
        both = [
            _bar(found.attention.mass, OWN, "attention"),
            _bar(found.attention.fair, GREY, "share of the tokens"),
        ]
        panels["Attention by modality"] = both, "modality", "share"
    if found.hidden is not None:
        spans = {name: found.hidden.rows[name].spans["gauc"] for name in found.hidden.moved}
        bars = _bar({name: percentage(one.mean) for name, one in spans.items()}, OWN)
        bars.error_y = error_bars(spans.values(), percentage)
        panels["GAUC without a modality"] = [bars], "modality", "change, percentage points"
    if found.paths:
        overlap = _bar({name: one.overlap for name, one in found.paths.items()}, OWN)
        panels[OVERLAPPING] = [overlap], "metapath", "share of a list"
        popular = _bar({name: one.popular for name, one in found.paths.items()}, OWN)
        panels[MOST_LISTED] = [popular], "metapath", "share of the entries"
    columns = min(3, max(1, len(panels)))
    lines = max(1, -(-len(panels) // columns))
    figure = make_subplots(lines, columns, subplot_titles=list(panels))
    for place, (title, (traces, x, y)) in enumerate(panels.items()):
        at = {"row": place // columns + 1, "col": place % columns + 1}
        for trace in traces:
            figure.add_trace(trace, **at)
        figure.update_xaxes(title_text=x, **at).update_yaxes(title_text=y, **at)
        if title == TOKENS:
            figure.add_vline(x=COSINE, line=LIMIT, **at).update_xaxes(nticks=4, **at)
        elif title in BOUNDS:
            figure.add_hline(y=BOUNDS[title], line=LIMIT, **at)
    return figure.update_layout(height=340 * lines)


def _bar(values: dict[str, float], color: str, name: str | None = None) -> go.Bar:
    return go.Bar(x=list(values), y=list(values.values()), marker_color=color, name=name)
