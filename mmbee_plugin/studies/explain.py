"""Explains one score of a checkpoint: what it loses without each behaviour, metapath, modality or segment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import torch
import typer

from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.chances import chances_in_log
from mmbee_plugin.experiments.colours import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION
from mmbee_plugin.experiments.plots import Plot
from mmbee_plugin.experiments.scoring import Trained, open_trained
from mmbee_plugin.experiments.sheet import Sheet
from mmbee_plugin.experiments.study import Answer, study
from mmbee_plugin.modules import occlusion
from mmbee_plugin.moments import clock, parsed_time
from mmbee_plugin.recbole.config.stock_settings import trained_share

COLOURS = {
    occlusion.BEHAVIOUR: BLUE,
    occlusion.USER_LISTS: ORANGE,
    occlusion.AUTHOR_LISTS: VERMILLION,
    occlusion.WALK: SKY,
    occlusion.MODALITY: GREEN,
    occlusion.SEGMENT: PURPLE,
}


@dataclass(frozen=True)
class Moment:
    """A user and an author at a time.

    Attributes:
        user, item: RecBole's ids.
        segment: row of the author's newest segment by then, -1 for none; None for the end of training.
        words: note on the choice of the time.
        time: seconds since the data's first interaction; None for the end of training.
    """

    user: int
    item: int
    segment: int | None
    words: str
    time: float | None = None


@dataclass(frozen=True)
class Explanation:
    """A score and its fall without each part.

    Attributes:
        share: of the log's negatives that were training rows; None where training drew its own, or without a log.
        is_chance: whether the loss is logistic, so that a logit has a chance.
    """

    moment: Moment
    occluded: occlusion.Occluded
    share: float | None
    is_chance: bool

    @property
    def logit(self) -> float:
        """Of the first task, with all parts."""
        return self.occluded.logits[0]

    def chance(self, logit: float) -> float:
        """Of a gift, by a logit; in the log if the share is known."""
        return float(chances_in_log(logit, 1.0 if self.share is None else self.share))


@study(
    "explain",
    "explain",
    user=typer.Option(metavar="ID", help="The user, by its token in the data."),
    author=typer.Option(metavar="ID", help="The author, by its token."),
    time=typer.Option(
        metavar="WHEN", help="Seconds since 1970 or 2025-05-12T20:15:30 (UTC). Default: a test row's."
    ),
)
def explanation(checkpoint: Path, user: str, author: str, time: str | None = None) -> Answer:
    """Which behaviours, metapaths, modalities and segments carried the score of one user for one author."""
    moment = None if time is None else parsed_time(time)
    trained = open_trained(checkpoint)
    found = explain(trained, find_moment(trained, user, author, moment))
    return Answer(*explanation_figure(trained, found), trained.folder, f"Checkpoint: {checkpoint.name}")


def find_moment(trained: Trained, user: str, author: str, time: float | None = None) -> Moment:
    """The pair's ids and the author's segment at a time.

    Args:
        time: seconds since 1970. By default that of the pair's last gift in the test split, else of its last row there,
            else the end of training.

    Raises:
        InputError: an unknown id; a time for data without segments, or one before the end of training.
    """
    train, folder = trained.train, trained.folder
    pair = _id_of(trained, train.uid_field, user, "user"), _id_of(trained, train.iid_field, author, "author")
    if time is not None:
        segment = _segment_at(trained, pair[1], time)
        return Moment(*pair, segment, f"As of {clock(time)}.", time - trained.origin)
    if folder.live is not None and "test" in (folder.splits or ()):
        rows, live = folder.interactions("test"), folder.rows("test")
        own = np.flatnonzero(
            (rows.users == train.user_rows[pair[0]]) & (rows.items == train.item_rows[pair[1]])
        )
        if len(own):
            row = max(own, key=lambda one: (live.labels[one], one))
            outcome = f"gave {live.amounts[row]:g}" if live.labels[row] else "left without a gift"
            assert rows.timestamps is not None
            moment = f"As of {clock(rows.timestamps[row])}, a row of the test part: the user {outcome}."
            time = float(rows.timestamps[row]) - trained.origin
            return Moment(*pair, int(live.segments[row]), moment, time)
        return Moment(*pair, None, "The pair has no row in the test part: as of the end of training.")
    return Moment(*pair, None, "As of the end of training.")


@torch.no_grad()
def explain(trained: Trained, moment: Moment) -> Explanation:
    """Scores the pair with all parts, and without each; see `occlusion`."""
    network, train = trained.network, trained.train
    device = network.device
    ids, lengths, times = train.histories.all(np.array([moment.user]), network.history_length)
    length = int(lengths[0])
    stamps = None if times is None else times[0, :length]
    gifted = train.field2id_token[train.iid_field][ids[0, :length].numpy()].tolist()
    items = torch.tensor([moment.item], device=device)
    newest = None if moment.segment is None else torch.tensor([moment.segment], device=device)
    user = network.user_side(
        torch.tensor([moment.user], device=device),
        ids.to(device),
        None if times is None else times.to(device),
        moments=None
        if moment.time is None
        else torch.tensor([moment.time], dtype=torch.float64, device=device),
        apart=True,
    )
    author = network.author_side(items, segments=newest)
    clocks = None if stamps is None else (trained.origin + stamps).tolist()
    candidates = [
        *occlusion.behaviours(gifted, clocks),
        *occlusion.graph(network.gtr, user, author),
        *occlusion.content(author, _segment_starts(trained, items, newest)),
    ]
    found = occlusion.occlude(network.gtr, user, author, candidates)
    share = trained_share(trained.config, trained.folder.live)
    return Explanation(moment, found, share, network.objective.loss == "bce")


def explanation_figure(trained: Trained, found: Explanation) -> tuple[str, Sheet, Plot]:
    """The verdict, the table of parts by descending absolute change, and a bar chart."""
    train = trained.train
    user = train.field2id_token[train.uid_field][found.moment.user]
    author = train.field2id_token[train.iid_field][found.moment.item]

    def row(kind: str, name: str, fall: str, logit: float) -> tuple[str, ...]:
        chance = f"{found.chance(logit):.4f}" if found.is_chance else "-"
        return kind, name, fall, f"{logit:.3f}", chance

    rows = [row("nothing", "", "", found.logit)]
    for one in found.occluded.falls:
        rows.append(row(one.kind, one.name, f"{one.falls[0]:+.3f}", found.logit - one.falls[0]))
    notes = [
        found.moment.words,
        "Fall: of the logit when this part alone is left out; below zero, the score rises. "
        "Parts overlap, so falls do not add up.",
        "History and graph are those of the end of training, as for every test row.",
    ]
    if found.occluded.absent:
        notes.append(f"Not there to be left out: {'; '.join(found.occluded.absent)}.")
    if found.is_chance and found.share is not None:
        notes.append(f"The probability is in the log, of whose negatives {found.share:.3g} were trained on.")
    headings = ("left out", "which", "fall", "logit without", "probability without")
    sheet = Sheet(
        f"What carried the score of user {user} for author {author}",
        headings,
        tuple(rows),
        tuple(notes),
        names=2,
    )
    plot = Plot(
        "Fall of the score without each part",
        "Bars to the right carried the score, bars to the left held it down. The logit's fall is exact for this model "
        "and pair, so it has no interval; parts overlap, so bars do not add up.",
        _bars(found),
    )
    top = max(found.occluded.falls, key=lambda one: abs(one.falls[0]), default=None)
    score = f"the score of user {user} for author {author} is a logit of {found.logit:.3f}"
    if top is None:
        return f"{score}, with no part to leave out", sheet, plot
    return f"{score} and changes most without {top.kind} {top.name} ({-top.falls[0]:+.3f})", sheet, plot


def _id_of(trained: Trained, field: str, token: str, what: str) -> int:
    known = trained.train.field2id_token[field]
    place = np.flatnonzero(known[1:] == token)
    if not len(place):
        raise InputError(
            f"{trained.folder.path}: no {what} {token!r} among its {len(known) - 1:,}, such as {str(known[1])!r}"
        )
    return int(place[0]) + 1


def _segment_at(trained: Trained, item: int, time: float) -> int:
    """Row of the author's newest segment that a row of that ``time`` would know, -1 for none."""
    folder, until = trained.folder, trained.train.trained_until
    if folder.live is None:
        raise InputError(f"{folder.path}: its content does not change with time, so leave out the time")
    if time < until:
        raise InputError(
            f"time {clock(time)} is before the end of training, {clock(until)}; history and graph are as of then"
        )
    segments = folder.segments
    known = segments.known_from(folder.live.known) <= time
    known &= segments.authors == trained.train.item_rows[item]
    return int(np.flatnonzero(known)[-1]) if known.any() else -1


def _segment_starts(trained: Trained, items: torch.Tensor, newest: torch.Tensor | None) -> list[float | None]:
    """Starts (L,) of the author's segments in seconds since 1970, None for none; empty for static items."""
    window = trained.network.content.windows
    if window is None:
        return []
    starts = trained.folder.segments.starts
    return [float(starts[row]) if row >= 0 else None for row in window(items, newest)[0].tolist()]


def _bars(found: Explanation) -> go.Figure:
    figure = go.Figure()
    falls = found.occluded.falls
    labels = [f"{one.kind}: {one.name}" for one in falls]
    for kind, colour in COLOURS.items():
        own = [place for place, one in enumerate(falls) if one.kind == kind]
        figure.add_trace(
            go.Bar(
                x=[falls[place].falls[0] for place in own],
                y=[labels[place] for place in own],
                orientation="h",
                name=kind,
                marker_color=colour,
            )
        )
    figure.update_yaxes(categoryorder="array", categoryarray=labels[::-1], automargin=True)
    figure.update_yaxes(type="category").update_xaxes(title_text="fall of the logit")
    return figure.update_layout(height=100 + 24 * len(labels), barmode="overlay")
