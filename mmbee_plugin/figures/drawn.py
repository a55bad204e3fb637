"""Figure 6 on a drawn graph, a synthetic sample: walking and reading at sizes that no data set here has."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import typer

from mmbee_plugin.command.stages import stage_display
from mmbee_plugin.experiments.study import Answer, study
from mmbee_plugin.figures.response import measure, response_figure
from mmbee_plugin.graph.build import build
from mmbee_plugin.graph.settings import GraphSettings, Interactions

USER_EXPONENT = 0.5


@study(
    "figure 6-drawn",
    "figure-6-drawn",
    users=typer.Option(min=1, help="Users drawn."),
    authors=typer.Option(min=1, help="Authors drawn."),
    gifts=typer.Option(min=1, help="Gifts drawn."),
    exponent=typer.Option(min=0, help="The r-th author receives in proportion to r^-exponent."),
    requests=typer.Option(min=1, help="Requests timed a metapath."),
    store=typer.Option(metavar="URL", help="Walk and read rows in this Redis or Valkey, not in files."),
    folder=typer.Option(metavar="DIR", help="Where the snapshot is kept; default: it is removed."),
)
def drawn(
    users: int = 800_000,
    authors: int = 200_000,
    gifts: int = 1_000_000,
    exponent: float = 0.75,
    requests: int = 2000,
    store: str | None = None,
    folder: Path | None = None,
) -> Answer:
    """Figure 6 on a drawn graph, a synthetic sample: the time of a walk and of a read at a million nodes.

    Users give in proportion to r^-0.5 of their rank, authors receive by theirs, independently. Lists have the stage's
    defaults.
    """
    sizes = f"{users:,} users, {authors:,} authors, {gifts:,} gifts, exponents {USER_EXPONENT} and {exponent}"
    with tempfile.TemporaryDirectory() as place, stage_display() as show:
        given = draw(users, authors, gifts, exponent)
        snapshot = build(given, GraphSettings(), place if folder is None else folder, progress=show)
        show("requests")
        said, sheet, plot = response_figure(snapshot, measure(snapshot, requests, store), store)
    return Answer(said, sheet, plot, f"A drawn graph, a synthetic sample: {sizes}")


def draw(users: int, authors: int, gifts: int, exponent: float, seed: int = 0) -> Interactions:
    """Gifts of random users to random authors, each of a Zipf law over ranks, ranks dealt at random."""
    random = np.random.default_rng(seed)
    ends = []
    for count, power in ((users, USER_EXPONENT), (authors, exponent)):
        upto = np.cumsum(np.arange(1, count + 1, dtype=np.float64) ** -power)
        ranks = np.searchsorted(upto, random.random(gifts) * upto[-1])
        ends.append(random.permutation(count)[np.minimum(ranks, count - 1)])
    return Interactions(ends[0], ends[1], None, users, authors)
