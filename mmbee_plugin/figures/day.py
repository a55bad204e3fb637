"""Figure 6, right: response time over a simulated day of load, baseline SIM against MMBee through the service."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import typer
from numpy.typing import NDArray

from mmbee_plugin.command.stages import stage_display
from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.colours import GREY, OF_MODELS
from mmbee_plugin.experiments.plots import Plot
from mmbee_plugin.experiments.sheet import Sheet
from mmbee_plugin.experiments.study import Answer, study
from mmbee_plugin.figures.load import Answered, Arrivals, day_of_arrivals, run_load
from mmbee_plugin.figures.random_source import RandomSource
from mmbee_plugin.figures.services import Segments, Served, score_bodies
from mmbee_plugin.livesim.rooms import HOURS
from mmbee_plugin.serving.bundle.build import build_bundle
from mmbee_plugin.serving.bundle.shelf import Shelf

SIDES = ("SIM", "MMBee")
TURN = 0.5
"""seconds after which the other service is asked"""
WARM_UP = 5.0
"""seconds at the highest rate that are not counted"""
FEW = 100
"""requests below which no p99 is given"""
HELD_UP = 5.0
"""milliseconds of the client's own lateness (p99) above which the machine was too busy to measure"""
BODIES = 2000
"""different requests a service"""
USERS, AUTHORS = 20_000, 5_000
"""of the random bundles"""


@dataclass(frozen=True)
class Day:
    """A measured day.

    Attributes:
        rates: (hours,) requests a second offered, to one service after the other.
        processor: (sides,) seconds of processor's time that the services used.
    """

    arrivals: Arrivals
    answered: Answered
    rates: NDArray[np.float64]
    processor: NDArray[np.float64]


@study(
    "figure 6-day",
    "figure-6-day",
    sim=typer.Option(metavar="BUNDLES", help="Of plain SIM; by default random ones of the paper's shapes."),
    mmbee=typer.Option(metavar="BUNDLES", help="Of MMBee; named together with --sim."),
    peak=typer.Option(min=0.1, help="Requests a second in the busiest hour."),
    seconds=typer.Option(min=1, help="Real seconds for an hour of the day."),
    candidates=typer.Option(min=1, help="Authors of a request."),
    live=typer.Option(min=1, help="Authors on the air."),
)
def day(
    sim: Path | None = None,
    mmbee: Path | None = None,
    peak: float = 60.0,
    seconds: float = 12.0,
    candidates: int = 200,
    live: int = 1000,
) -> Answer:
    """The time to answer a request over HTTP by hour of a simulated day, by plain SIM and by MMBee.

    Both run as mmbee serve does, on this machine, and are asked in turns of half a second.
    """
    if (sim is None) != (mmbee is None):
        raise InputError("--sim and --mmbee are named together, or neither is")
    with tempfile.TemporaryDirectory() as place, stage_display() as show:
        if sim is None or mmbee is None:
            show("random bundles")
            sim, mmbee = (_random(Path(place) / name, name == "MMBee") for name in SIDES)
        with ExitStack() as running:
            show("starting both services")
            served = [running.enter_context(Served(bundles)) for bundles in (sim, mmbee)]
            measured = measure(served, peak * HOURS / HOURS.max(), seconds, candidates, live, show)
        data = " · ".join(dict.fromkeys(one.manifest["data"]["provenance"] for one in served))
    return Answer(*day_figure(measured, candidates, live), f"Data: {data}")


def measure(
    served: list[Served],
    rates: NDArray[np.float64],
    seconds: float,
    candidates: int,
    live: int,
    show: Callable[[str], None] = lambda stage: None,
) -> Day:
    """Sends a day of requests to both services; see `day`.

    Raises:
        InputError: fewer authors than candidates, or authors without a score.
    """
    authors = served[1].sample("authors", live, 0)
    if len(authors) < candidates:
        raise InputError(f"{len(authors):,} authors are on the air, {candidates:,} are asked for")
    bodies = [score_bodies(one, authors, candidates, BODIES) for one in served]
    urls = [one.url for one in served]
    show("the authors' first segments")
    with ExitStack() as sending:
        feeds = [sending.enter_context(Segments(one, authors)) for one in served]
        show("warm-up")
        run_load(urls, day_of_arrivals(rates.max(keepdims=True), WARM_UP, TURN, len(served), 1), bodies)
        arrivals = day_of_arrivals(rates, seconds, TURN, len(served))
        show(f"{len(arrivals.due):,} requests, {len(rates) * seconds / 60:.1f} minutes")
        before = np.array([one.processor_seconds() for one in served])
        answered = run_load(urls, arrivals, bodies)
        used = np.array([one.processor_seconds() for one in served]) - before
    for feed in feeds:
        if feed.failed is not None:
            raise InputError(f"segments were not taken: {feed.failed}")
    unscored = (answered.status == 200) & ~answered.whole
    if unscored.any():
        raise InputError(f"{int(unscored.sum()):,} answers lack scores, so their times say nothing")
    return Day(arrivals, answered, rates, used)


def day_figure(measured: Day, candidates: int, live: int) -> tuple[str, Sheet, Plot]:
    """The verdict, the table by hour, and a plot of p50, p99 and the load."""
    hours = len(measured.rates)
    rows = [_row(measured, f"{hour:02}", measured.arrivals.hour == hour) for hour in range(hours)]
    rows.append(_row(measured, "day", np.full(len(measured.arrivals.hour), True)))
    late = np.quantile(measured.answered.late, [0.5, 0.99]) if len(measured.answered.late) else (0.0, 0.0)
    counts = np.bincount(measured.arrivals.side, minlength=len(SIDES)).clip(1)
    each = zip(SIDES, 1000 * measured.processor / counts, strict=True)
    used = ", ".join(f"{name} {one:.2f} ms" for name, one in each)
    headings = (
        "hour",
        "a second",
        *(f"{name} {part}" for name in SIDES for part in ("requests", "p50", "p99")),
    )
    notes: tuple[str, ...] = (
        "Milliseconds over HTTP from when a request was due, sent or not, to its whole answer; "
        f"{candidates:,} candidates of {live:,} authors on the air. A second: offered to the service whose turn it "
        "is, by the simulator's rate by hour.",
        f"The services are asked in turns of {TURN:g} s, so that both meet the same machine ({os.cpu_count()} cores, "
        "which client and services share); a warm-up is not counted.",
        f"Processor's time of all of a service's processes, authors encoded included, by its requests: {used}.",
        f"Refused: with 429 or 503, and not in the times. No p99 of fewer than {FEW} requests. The client was late "
        f"by {late[0]:.2f} ms (p50) and {late[1]:.2f} ms (p99), which is in the times.",
    )
    if late[1] > HELD_UP:
        notes += (
            "The client was held up, so other work on the machine is in these times: do not trust them.",
        )
    title = "Figure 6, right: response time over a simulated day of load"
    plot = Plot(
        "Response time over the day",
        "Whether times rise with the load, drawn in grey: lines that stay flat have room left. Time is logarithmic; "
        "p99 is missing in hours of few requests.",
        _lines(measured),
    )
    sheet = Sheet(title, (*headings, "p50 MMBee - SIM", "refused"), tuple(rows), notes)
    return _verdict(measured, held_up=late[1] > HELD_UP), sheet, plot


def _verdict(measured: Day, held_up: bool) -> str:
    each = []
    for side, name in enumerate(SIDES):
        p50, p99, _ = _summary(measured, measured.arrivals.side == side)
        slow = "" if np.isnan(p99) else f" (p99 {_ms(p99)} ms)"
        each.append(f"{name} answers in {_ms(p50)} ms at the median{slow}")
    told = f"over the simulated day {' and '.join(each)}"
    return f"other work on the machine is in these times, so nothing follows: {told}" if held_up else told


def _row(measured: Day, name: str, kept: NDArray[np.bool_]) -> tuple[str, ...]:
    arrivals = measured.arrivals
    cells, medians = [], []
    for side in range(len(SIDES)):
        p50, p99, count = _summary(measured, kept & (arrivals.side == side))
        medians.append(p50)
        cells += [f"{count:,}", _ms(p50), _ms(p99)]
    rate = measured.rates.mean() if name == "day" else measured.rates[int(name)]
    refused = int((measured.answered.status[kept] != 200).sum())
    difference = medians[1] - medians[0]
    return name, f"{rate:.1f}", *cells, "-" if np.isnan(difference) else f"{difference:+.2f}", f"{refused:,}"


def _summary(measured: Day, kept: NDArray[np.bool_]) -> tuple[float, float, int]:
    """p50 and p99 in milliseconds, NaN of too few, and number of the answered requests among ``kept``."""
    times = measured.answered.milliseconds[kept & (measured.answered.status == 200)]
    if not len(times):
        return np.nan, np.nan, 0
    return (
        float(np.median(times)),
        float(np.quantile(times, 0.99)) if len(times) >= FEW else np.nan,
        len(times),
    )


def _ms(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


def _lines(measured: Day) -> go.Figure:
    figure, hours = go.Figure(), np.arange(len(measured.rates))
    load = go.Bar(
        x=hours, y=measured.rates, name="requests offered", marker_color=GREY, opacity=0.3, yaxis="y2"
    )
    figure.add_trace(load)
    for side, name in enumerate(SIDES):
        own = measured.arrivals.side == side
        found = [_summary(measured, own & (measured.arrivals.hour == hour)) for hour in hours]
        for part, dash in ((0, "solid"), (1, "dot")):
            line = {"color": OF_MODELS[name], "dash": dash}
            values = [one[part] for one in found]
            figure.add_trace(go.Scatter(x=hours, y=values, name=f"{name} p{(50, 99)[part]}", line=line))
    figure.update_layout(
        height=440,
        xaxis={"title": "hour of the simulated day", "dtick": 1 if len(hours) < 12 else 3},
        yaxis={"title": "response time, ms", "type": "log", "overlaying": "y2", "side": "left"},
        yaxis2={"title": "requests a second offered", "side": "right", "showgrid": False},
    )
    return figure


def _random(place: Path, mmbee: bool) -> Path:
    """A folder with a published bundle of random numbers."""
    shelf = Shelf(place)
    shelf.publish(build_bundle(RandomSource(USERS, AUTHORS, mmbee), shelf))
    return place
