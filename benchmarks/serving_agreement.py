"""Compares the scores that are served with those of the trained model offline, from both stores:

python benchmarks/serving_agreement.py --redis=redis://localhost:6379/0

Trains MMBee for an epoch through the command ``mmbee train``, on the built-in sample (static items, by ranking) and on
a small simulated log (livesim: live authors with segments, by logistic loss), builds a bundle of each, and scores
random users and authors as of the end of training: offline by RecBole's model, served by the scorer of a bundle.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from mmbee_plugin.recbole.bundle import RecBoleSource, open_source
from mmbee_plugin.serving.board import board as boards
from mmbee_plugin.serving.bundle.build import build_bundle
from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.serving.scorer import Scorer
from mmbee_plugin.serving.swap.follower import Follower

TRAINED = (("tiktok", ()), ("livesim", ("--train_batch_size=1024",)))
NEAR = 1e-5
"""tolerated difference of probabilities, or of logits relative to their size"""


def main() -> None:
    """Trains and prints a line for each dataset and store."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--candidates", type=int, default=20)
    parser.add_argument("--redis", metavar="URL", help="compare a Redis too")
    given = parser.parse_args()
    torch.set_num_threads(1)
    boards.ON_AIR = 10**9  # segment lengths: every author who had a segment is on the board
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        run("data", "simulate", "log", "--users=1500", "--authors=150", "--days=8")
        run("data", "samples", "log", "datasets/livesim")
        for dataset, options in TRAINED:
            run("train", "--model=MMBee", f"--dataset={dataset}", "--epochs=1", *options)
            (last,) = Path("saved").glob(f"MMBee-{dataset}-*-last.pth")
            checkpoint = last.with_name(last.name.replace("-last", ""))
            compare(dataset, open_source(checkpoint), Shelf(Path(f"of-{dataset}")), given)


def run(*command: str) -> None:
    """Runs a command of this package."""
    print("mmbee", *command, flush=True)
    done = subprocess.run([sys.executable, "-m", "mmbee_plugin.cli", *command], capture_output=True)
    if done.returncode:
        raise SystemExit(done.stdout.decode() + done.stderr.decode())


def compare(dataset: str, source: RecBoleSource, shelf: Shelf, given: argparse.Namespace) -> None:
    """Prints how far served and offline scores are apart."""
    bundle = build_bundle(source, shelf)
    shelf.publish(bundle)
    scorers = {"mapped": opened(shelf)}
    if given.redis:
        from mmbee_plugin.serving.store.redis import drop, fill

        fill(given.redis, shelf.path / bundle, bundle)
        scorers["Redis"] = opened(shelf, given.redis)
    now = scorers["mapped"].bundle.until or 0.0
    authors = np.flatnonzero([not missing for missing in missing_of(scorers["mapped"], source, now)])
    rng = np.random.default_rng(0)
    apart: dict[str, list[float]] = {name: [] for name in scorers}
    same = True
    for _ in range(given.requests):
        user = int(rng.integers(len(source.exchange.users)))
        rows = rng.choice(authors, min(given.candidates, len(authors)), replace=False)
        tokens = [source.exchange.authors[row] for row in rows]
        with torch.inference_mode():
            offline = source.logits(np.full(len(rows), user), rows).numpy()
        served = {
            name: scorer.score(source.exchange.users[user], tokens, now).logits
            for name, scorer in scorers.items()
        }
        for name, logits in served.items():
            apart[name].append(float(difference(logits, offline, source.facts.chances)))
        same &= len({logits.tobytes() for logits in served.values()}) == 1
    kind = "probabilities" if source.facts.chances else "logits, by their size"
    for name, every in apart.items():
        above, size = sum(one > NEAR for one in every), min(given.candidates, len(authors))
        print(
            f"{dataset}, {name}: {len(every):,} requests of {size} authors; {kind} differ by at most "
            f"{max(every):.1e}, in {above} requests by more than {NEAR:g}",
            flush=True,
        )
    if given.redis:
        print(f"{dataset}: Redis {'equals' if same else 'DIFFERS FROM'} mapped, bit for bit", flush=True)
        drop(given.redis, bundle)


def opened(shelf: Shelf, store: str | None = None) -> Scorer:
    """A scorer of the published bundle, with all authors on its board who have segments."""
    follower = Follower(shelf, store)
    follower.look()
    assert follower.scorer is not None, follower.refused
    board = follower.scorer.board
    if isinstance(board, boards.LiveBoard):
        tokens = [board.author(row) for row in range(1, len(board.bundle.tokens) + 1)]
        known = {token: board.stored(row) for row, token in enumerate(tokens, start=1)}
        follower.take([(token, segments[-1]) for token, segments in known.items() if segments])
    return follower.scorer


def missing_of(scorer: Scorer, source: RecBoleSource, now: float) -> list[str | None]:
    """By author, why it cannot be scored."""
    missing = scorer.board.places(source.exchange.authors, now)[1]
    return [missing.get(place) for place in range(len(source.exchange.authors))]


def difference(served: np.ndarray, offline: np.ndarray, chances: bool) -> np.floating:
    """The largest difference of probabilities, or of logits over one more than their size."""
    if chances:
        sigmoids = [torch.from_numpy(one).sigmoid().numpy() for one in (served, offline)]
        return np.abs(sigmoids[0] - sigmoids[1]).max()
    return (np.abs(served - offline) / (1 + np.abs(offline))).max()


if __name__ == "__main__":
    main()
