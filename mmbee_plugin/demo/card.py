"""The model card of the demo: what the model is, what it was trained on, its metrics with intervals, and its limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import mmbee_plugin
from mmbee_plugin.demo.folder import SAMPLES, SEED, SETTINGS, SIMULATION
from mmbee_plugin.experiments.comparison import METRICS, scored
from mmbee_plugin.experiments.sheet import BEST, Sheet, lines, with_ends

if TYPE_CHECKING:
    from mmbee_plugin.experiments.scoring import Trained

CARD = """# Model card: the demo's model

Written by `mmbee demo --no-serve`, which makes the model in seconds; the same file stands in its folder, beside the
bundle.

| | |
| --- | --- |
| What it is | MMBee (Deng et al., KDD 2024): the chance that a visit to a live room brings a gift; version {version} |
| Made by | `mmbee demo`: simulation with seed {simulated}, run with seed {seed} |
| Settings | `recbole_configs/livesim.yaml`, with {settings} |
| Size | {parameters:,} parameters; the bundle has {users:,} users and {authors:,} authors |
| Licence | Apache 2.0, as the package; the data are made by the package and hold nothing of anybody |

## Data

**A simulation.** {provenance}.

`livesim` draws {days} days of visits to live rooms in which every gift has known causes: taste, circles, loyalty,
generosity, and what the room shows. Gifts are {density:g} times as frequent as on KuaiLive, so that a few days hold
enough of them. The first {training} days train, one validates, the last one tests. Of the visits without a gift
{kept:.0%} are kept to train on and {tested:.0%} to measure on.

## Metrics

{metrics}

{best} is the simulator's own chance of each row as its score: no model can be expected to be above it. In
brackets the 95 % interval of the bootstrap over users. The learning rate and the number of epochs were chosen on the
validation part, so the test part alone says how it does on a day that it has not seen.

## What it is for, and what not

{purpose}

Results with what they are compared to are in `docs/results.md`.

## Limits

* Its chances are those of the simulation, where gifts are made frequent: a score is no chance on any platform.
* It knows nothing of users and authors outside the simulation; an unknown user gets
  the scores of a user without a past, an unknown author none.
* One run with one seed. Another machine's arithmetic changes the last digits, and with them which epoch is best.
"""


PURPOSE = """It shows what the reports and the console look like on a model that has learned something. It must not
score people, nor be the start of another model, nor be cited as a result of MMBee: its users do not exist, they are too
few for the graph to carry much, and it was trained for a few seconds."""


def card(trained: Trained) -> str:
    """The card in Markdown."""
    folder = trained.folder
    settings = ", ".join(f"`{name}={value}`" for name, value in SETTINGS.items() if "gpu" not in name)
    return CARD.format(
        version=mmbee_plugin.__version__,
        simulated=SIMULATION.seed,
        seed=SEED,
        settings=settings,
        parameters=sum(weight.numel() for weight in trained.network.parameters()),
        users=folder.counts["users"],
        authors=folder.counts["items"],
        provenance=folder.provenance(),
        days=SIMULATION.days,
        density=SIMULATION.density,
        training=SAMPLES.train_days - 1,
        kept=SAMPLES.train_negatives,
        tested=SAMPLES.test_negatives,
        purpose=PURPOSE,
        metrics="\n".join(lines(metrics_sheet(trained))[2:]),
        best=BEST.capitalize(),
    )


def metrics_sheet(trained: Trained) -> Sheet:
    """Metrics of both evaluated parts with 95 % intervals over users, and the best possible."""
    from mmbee_plugin.evaluation.resampling import ResampledUsers
    from mmbee_plugin.tables.measures import best_possible

    rows = []
    for split in trained.loaders:
        samples = trained.samples(split)
        found = scored(samples, ResampledUsers(samples.users, samples.labels), [trained.scores(split)])
        intervals = [found.interval(metric) for metric in METRICS]
        counts = f"{len(samples.labels):,}, {int(samples.labels.sum()):,}"
        rows.append(
            (
                split,
                "MMBee",
                counts,
                *(with_ends(one, "{:.3f}".format) for one in intervals),
            )
        )
        best = best_possible(trained.folder, split)["pooled"]
        rows.append((split, BEST, "", *(f"{best[metric]:.3f}" for metric in METRICS)))
    headings = ("part", "scores", "rows, gifts", *(metric.upper() for metric in METRICS))
    return Sheet("The demo's model", headings, tuple(rows), (), 3)
