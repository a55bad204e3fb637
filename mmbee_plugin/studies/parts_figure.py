"""`mmbee study parts`: the table and the plot of what each part brings, over several data sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import plotly.graph_objects as go
import typer

from mmbee_plugin.builtin.sample import ensure
from mmbee_plugin.experiments.cells import seeds_of
from mmbee_plugin.experiments.colours import GREY, OWN
from mmbee_plugin.experiments.making import cells_of_rows
from mmbee_plugin.experiments.plots import LIMIT, Plot, interval_bars, percentage, side_by_side
from mmbee_plugin.experiments.sheet import (
    SIGNIFICANT,
    UNTESTED,
    Sheet,
    drawn_over,
    mean_of_seeds,
    p_text,
    seeds_text,
    with_ends,
)
from mmbee_plugin.experiments.study import Answer, study
from mmbee_plugin.experiments.training import check_split, settings_given
from mmbee_plugin.experiments.verdict import listed
from mmbee_plugin.studies.parts import Brought, measured_parts, planned_parts
from mmbee_plugin.tables.command import MODEL


@study(
    "study parts",
    "parts",
    datasets=typer.Option("--dataset", metavar="NAME", help="A folder in --data-path; may be repeated."),
    seeds=typer.Option(min=1, help="Trainings of each model."),
    split=typer.Option(metavar="valid|test", help="valid while anything is still chosen."),
    only=typer.Option(metavar="PART", help="This part; may be repeated."),
)
def parts(
    datasets: list[str],
    data_path: Path,
    arguments: list[str],
    jobs: int,
    cells: Path,
    seeds: int = 3,
    split: str = "valid",
    only: list[str] | None = None,
) -> Answer:
    """Compare what each part of MMBee brings, over one or several data sets.

    Trains MMBee with each data set's settings, and without one part at a time; they are cells of mmbee table, kept in
    --cells, so it goes on after an interruption. Settings of all models may follow, as for a run: --epochs=3.
    """
    check_split(split)
    given = settings_given(MODEL, arguments)
    folders = [ensure(name, data_path) for name in dict.fromkeys(datasets)]
    for folder in folders:
        folder.check_part(split)
    planned, names = planned_parts(folders, given, only or (), seeds_of(seeds))
    wanted = {(place, name): own for place, one in enumerate(planned) for name, own in one.jobs.items()}
    made = cells_of_rows(wanted, cells, jobs, fresh=True)
    brought = [
        measured_parts(one, {name: made[place, name] for name in one.jobs}, split)
        for place, one in enumerate(planned)
    ]
    return Answer(
        *parts_figure(brought, names, seeds, split),
        folders,
        f"Settings given: {given or 'none'}",
        seeds=seeds,
    )


def parts_figure(
    brought: Sequence[Brought], names: Sequence[str], seeds: int, split: str
) -> tuple[str, Sheet, Plot]:
    """The verdict, the table with a column a data set, and a plot with a panel a data set.

    Args:
        names: the parts in order.
    """
    headings = [text for one in brought for text in (_title(one), "p")]
    whole = [text for one in brought for text in (seeds_text(one.full), "")]
    rows = [(name, *(text for one in brought for text in _cells(one, name))) for name in names]
    notes = [
        f"{MODEL} minus {MODEL} without the part, in percentage points of each data set's own validation metric, on "
        f"{split}; with 95 % intervals over {drawn_over(seeds)}. Above zero the part brings something.",
        f"{mean_of_seeds(seeds)}. p: paired bootstrap over {drawn_over(seeds)}, Holm-corrected over the parts of a "
        "data set.",
        *_absent(brought, names),
        *(
            f"{_name(one)}: with the tuned settings of {one.planned.tuned}."
            for one in brought
            if one.planned.tuned
        ),
    ]
    if len({one.tested for one in brought}) > 1:
        notes.append(UNTESTED)
    sheet = Sheet(
        f"What each part brings, {split} split", ("part", *headings), ((MODEL, *whole), *rows), tuple(notes)
    )
    plot = Plot(
        f"{MODEL} minus {MODEL} without the part",
        "A part whose bar lies right of the dashed line, with its whole interval, brings something on that data set; "
        f"one left of it costs. Grey: within chance. Lines are 95 % intervals over {drawn_over(seeds)}.",
        _plots(brought, names),
    )
    return _verdict(brought, names), sheet, plot


def _name(one: Brought) -> str:
    return one.planned.folder.name


def _title(one: Brought) -> str:
    return f"{_name(one)}, {one.planned.metric}"


def _cells(one: Brought, name: str) -> tuple[str, ...]:
    if name not in one.parts:
        return "-", ""
    found = one.parts[name].found[one.key].interval
    text = with_ends(found, lambda value: f"{percentage(value):+.2f}")
    p = one.p(name)
    return text, "" if p is None else p_text(p)


def _absent(brought: Sequence[Brought], names: Sequence[str]) -> Iterator[str]:
    """Why parts are missing, a line for each data set and reason."""
    for one in brought:
        reasons: dict[str, list[str]] = {}
        for name in names:
            if name in one.planned.lacking:
                reasons.setdefault(one.planned.lacking[name], []).append(name)
        for why, own in reasons.items():
            yield f"{_name(one)}, -: {', '.join(own)}: {why}."


def _sure(one: Brought, name: str) -> bool:
    """Whether a part makes a difference beyond chance; of data without tests, whether there is any difference."""
    if name not in one.parts:
        return False
    p = one.p(name)
    return p < SIGNIFICANT if p is not None else one.parts[name].gain(one.key) != 0


def _verdict(brought: Sequence[Brought], names: Sequence[str]) -> str:
    """Which parts bring something on some data set, which cost something, and which do neither on any.

    Generated samples are left out beside other data.
    """
    judged = [one for one in brought if one.tested] or brought
    bring: list[str] = []
    cost: list[str] = []
    nothing: list[str] = []
    for name in names:
        sure = {_name(one): one.parts[name].gain(one.key) for one in judged if _sure(one, name)}
        for told, sign in ((bring, 1), (cost, -1)):
            if where := [data for data, gain in sure.items() if sign * gain > 0]:
                told.append(name if len(judged) == 1 else f"{name} on {listed(where)}")
        if not sure and any(name in one.parts for one in judged):
            nothing.append(name)
    found = f"over {listed([_name(one) for one in judged])}, {listed(bring or ['no part'])} "
    found += f"{'brings' if len(bring) < 2 else 'bring'} something"
    found += " beyond chance" if judged[0].tested else ""
    found += f"; {listed(cost)} {'costs' if len(cost) < 2 else 'cost'} something" if cost else ""
    chance = "within chance everywhere" if judged[0].tested else "no difference anywhere"
    return f"{found}; {chance}: {listed(nothing)}" if nothing else found


def _plots(brought: Sequence[Brought], names: Sequence[str]) -> go.Figure:
    figure = side_by_side([_title(one) for one in brought], len(names))
    for column, one in enumerate(brought, start=1):
        found = {name: one.parts[name].found[one.key].interval for name in names if name in one.parts}
        colours = [OWN if _sure(one, name) else GREY for name in found]
        figure.add_trace(interval_bars(found, colours, percentage), row=1, col=column)
        figure.add_vline(x=0, line=LIMIT, row=1, col=column)
    figure.update_yaxes(categoryorder="array", categoryarray=list(names))
    return figure.update_xaxes(title_text="percentage points")
