"""`mmbee study headroom`: the table and the plots of how far each planted cause has been learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import typer
from plotly.subplots import make_subplots

from mmbee_plugin.command.stages import stage_display
from mmbee_plugin.evaluation.bootstrap import Interval
from mmbee_plugin.experiments.colours import GREY, OWN, SERIES
from mmbee_plugin.experiments.plots import LIMIT, Plot, Scale, error_bars, percentage
from mmbee_plugin.experiments.scoring import open_trained
from mmbee_plugin.experiments.sheet import Sheet, p_text, percent, with_ends
from mmbee_plugin.experiments.study import Answer, study
from mmbee_plugin.experiments.training import check_split
from mmbee_plugin.livesim.planted import planted_parts
from mmbee_plugin.studies.headroom import ALL, BEST, MODEL, NOISELESS, HeadRoom, degree_groups, head_room


@study(
    "study headroom",
    "headroom",
    split=typer.Option(
        metavar="valid|test", help="Whose rows are scored; valid while anything is still chosen."
    ),
)
def headroom(checkpoint: Path, split: str = "valid") -> Answer:
    """Find which planted causes of gifts a model has learned, and how far, on simulated data.

    The model's score is set against the parts of the simulator's log-odds within each user, by author and user degree.
    The model itself never reads them.
    """
    check_split(split)
    with stage_display() as show:
        show("opening the model")
        trained = open_trained(checkpoint)
        show("planted truth")
        parts = planted_parts(trained.folder, split)
        show("scoring")
        samples, logits = trained.samples(split), trained.logits(split)
        show("causes")
        found = head_room(samples, logits, parts, degree_groups(trained.folder, split))
    return Answer(*headroom_figure(found, split), trained.folder, f"Checkpoint: {checkpoint.name}")


def headroom_figure(found: HeadRoom, split: str) -> tuple[str, Sheet, Plot]:
    """The verdict, the table by group of rows and cause, and the plots."""
    rows = [
        (
            *(str(group), name, f"{cause.model.mean:.3f}", f"{cause.best.mean:.3f}", _span(cause.learned)),
            *(_gain(found, name) if group == ALL else ("", "")),
        )
        for group, causes in found.causes.items()
        for name, cause in causes.items()
    ]
    rows += [(str(ALL), name, "", "", "", *_gain(found, name)) for name in (NOISELESS, BEST)]
    counts = [f"{group}: {rows:,} rows of {users:,} users" for group, (rows, users) in found.counts.items()]
    notes = [
        "Concordance: of a user's pairs of rows in which the cause differs, the share that a score orders as the cause "
        "does; .5 is none, and the best possible stays below 1 where other causes speak against it. Users are weighted "
        "by their rows, as in GAUC.",
        "Learned: nats of the model's logit for a planted nat, by least squares within users on all causes at once, "
        "with the 95 % interval over users; the planted truth has 1, and what few gifts say of a cause allows less.",
        f"Told: change of GAUC, in percentage points, were that cause right and all else the model's; {NOISELESS}: of "
        "what it has learned of the causes, and nothing else. p: paired bootstrap over users, Holm-corrected.",
        *(f"{name}: the same in all rows of a user, so no part of their order." for name in found.same),
        f"Degree: of users the authors that they gifted in training, of authors their users. {'; '.join(counts)}; on "
        f"{split}.",
    ]
    headings = ("rows", "cause", "concordance", "best possible", "learned", "told", "p")
    plot = Plot(
        "How far each cause is learned",
        "A model that has learned a cause stands beside the best possible, and at 1 on the scale of nats; at the "
        "dashed line of .5 or 0 it is blind to it. Lines are 95 % intervals over users.",
        _plots(found),
    )
    return (
        _verdict(found),
        Sheet("Head-room by planted cause", headings, tuple(rows), tuple(notes), names=2),
        plot,
    )


def _span(one: Interval) -> str:
    return with_ends(one, "{:.2f}".format)


def _gain(found: HeadRoom, name: str) -> tuple[str, str]:
    told = found.told[name]
    return percent(told.gains["gauc"]), p_text(told.p_values["gauc"])


def _verdict(found: HeadRoom) -> str:
    """GAUC beside the best possible, the cause learned least, and the one that would bring most."""
    value = {name: told.mean("gauc") for name, told in found.told.items()}
    worth = {name: told.gains["gauc"] for name, told in found.told.items() if name != MODEL}
    learned = {name: cause.learned.mean for name, cause in found.causes[ALL].items()}
    least, most = min(learned, key=learned.__getitem__), max(learned, key=worth.__getitem__)
    gain = percent(worth[most])
    return (
        f"the model's GAUC is {value[MODEL]:.4f} where {value[BEST]:.4f} is possible; it has learned {least} "
        f"least ({learned[least]:.2f} of a planted nat), and being told {most} would gain most ({gain}); "
        f"its own noise costs {percentage(worth[NOISELESS]):.2f} %"
    )


def _plots(found: HeadRoom) -> go.Figure:
    names, sides = list(found.causes[ALL]), ("user", "author")
    titles = ["Order within a user", "GAUC if told", *(f"Learned, by {side}'s degree" for side in sides)]
    figure = make_subplots(2, 2, subplot_titles=titles)
    for score, colour in ((MODEL, OWN), (BEST, GREY)):
        spans = [
            cause.model if score == MODEL else cause.best
            for cause in (found.causes[ALL][name] for name in names)
        ]
        figure.add_trace(_bars(names, spans, colour, name=score), row=1, col=1)
    told = [*names, NOISELESS]
    gains = _bars(told, [found.told[name].spans["gauc"] for name in told], OWN, percentage, showlegend=False)
    figure.add_trace(gains, row=1, col=2)
    for column, side in enumerate(sides, start=1):
        groups = [group for group in found.causes if group.side == side]
        for name, colour in zip(names, SERIES, strict=False):
            own = {group.degree: found.causes[group].get(name) for group in groups}
            spans = [cause.learned for cause in own.values() if cause is not None]
            line = go.Scatter(
                x=[degree for degree, cause in own.items() if cause is not None],
                y=[one.mean for one in spans],
                error_y=error_bars(spans),
                name=name,
                legendgroup=name,
                showlegend=column == 1,
                line_color=colour,
            )
            figure.add_trace(line, row=2, col=column)
        figure.add_hline(y=0, line=LIMIT, row=2, col=column)
        figure.update_xaxes(title_text=f"{side}'s degree", type="category", row=2, col=column)
        figure.update_yaxes(title_text="nats a planted nat", row=2, col=column)
    figure.add_hline(y=0.5, line=LIMIT, row=1, col=1)
    figure.update_xaxes(title_text="cause", type="category", row=1)
    figure.update_yaxes(title_text="concordance", row=1, col=1)
    figure.update_yaxes(title_text="change, percentage points", row=1, col=2)
    return figure.update_layout(height=760)


def _bars(names: list[str], spans: list[Interval], colour: str, scale: Scale = float, **given: Any) -> go.Bar:
    heights = [scale(one.mean) for one in spans]
    return go.Bar(x=names, y=heights, error_y=error_bars(spans, scale), marker_color=colour, **given)
