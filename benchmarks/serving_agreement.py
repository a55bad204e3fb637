"""Compares the scores that `mmbee serve` answers over HTTP with those of the trained model offline, from both stores:

python benchmarks/serving_agreement.py --redis=redis://localhost:6379/0

Trains MMBee for an epoch by RecBole, on the built-in sample (static items, by ranking) and on a small simulated log
(livesim: live authors with segments, by logistic loss), and by TorchRec on the latter, builds a bundle of each, and
asks for random users and authors as of the end of training: offline the adapter's own model, served two workers with
the mapped files, and two with Redis.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from mmbee_plugin.figures.services import Served
from mmbee_plugin.recbole.bundle import open_source as open_recbole
from mmbee_plugin.serving.bundle.build import build_bundle
from mmbee_plugin.serving.bundle.opened import open_bundle
from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.serving.bundle.source import Source
from mmbee_plugin.serving.client import Client
from mmbee_plugin.serving.scorer import DEGRADED
from mmbee_plugin.torchrec.checkpoints.bundle import open_source as open_torchrec

NEAR = 1e-5
"""tolerated difference of probabilities, or of logits relative to their size"""
WORKERS = 2
CONNECTIONS = 8
"""asked in turn, so that all workers answer"""
TRIES = 50
ANY_AGE = 1e10
"""seconds on the air: every author who had a segment is on the board"""


def main() -> None:
    """Trains and prints a line for each bundle and store."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--candidates", type=int, default=20)
    parser.add_argument("--users", type=int, default=1500, help="of the simulated log")
    parser.add_argument("--redis", metavar="URL", help="compare a Redis too")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        run("data", "simulate", "log", f"--users={given.users}", "--authors=150", "--days=8")
        run("data", "samples", "log", "datasets/livesim")
        for name, source in trained():
            compare(name, source, Shelf(Path(name.replace(" ", "-"))), given)


def trained() -> Iterator[tuple[str, Source]]:
    """The models, by adapter and dataset."""
    for dataset, options in (("tiktok", ()), ("livesim", ("--train_batch_size=1024",))):
        run("train", "--model=MMBee", f"--dataset={dataset}", "--epochs=1", *options)
        (last,) = Path("saved").glob(f"MMBee-{dataset}-*-last.pth")
        yield f"RecBole {dataset}", open_recbole(last.with_name(last.name.replace("-last", "")))
    run("data", "shards", "livesim", "shards/livesim", "--graphcl.width=32")
    job = ("--config", "torchrec_configs/livesim.yaml", "train.epochs=1", "train.batch_size=1024")
    launched = ("torchrun", "--standalone", "--nproc_per_node=1", "-m", "mmbee_plugin.torchrec.train")
    run(*launched, *job)
    checkpoints, shards = Path("saved/torchrec/livesim"), Path("shards/livesim")
    yield "TorchRec livesim", open_torchrec(checkpoints, shards, Path("datasets/livesim"))


def run(*command: str) -> None:
    """Runs a command of this package."""
    print("mmbee", *command, flush=True)
    done = subprocess.run([sys.executable, "-m", "mmbee_plugin.cli", *command], capture_output=True)
    if done.returncode:
        raise SystemExit(done.stdout.decode() + done.stderr.decode())


def compare(name: str, source: Source, shelf: Shelf, given: argparse.Namespace) -> None:
    """Prints how far served and offline scores are apart."""
    bundle = build_bundle(source, shelf, on_air=ANY_AGE)
    shelf.publish(bundle)
    stores: dict[str, tuple[str, ...]] = {"mapped": ()}
    if given.redis:
        from mmbee_plugin.serving.store.redis import drop, fill

        fill(given.redis, shelf.path / bundle, bundle)
        stores["Redis"] = (f"--store={given.redis}",)
    with contextlib.ExitStack() as stack:
        asked = {}
        for store, options in stores.items():
            served = Served(shelf.path, f"--workers={WORKERS}", *options)
            url = stack.enter_context(served).url
            asked[store] = [Client(url, timeout=60) for _ in range(CONNECTIONS)]
        now, authors = on_air(shelf, bundle, source, [clients[0] for clients in asked.values()])
        tell(name, source, asked, requests(source, authors, given), now)
    if given.redis:
        drop(given.redis, bundle)


def on_air(shelf: Shelf, bundle: str, source: Source, clients: list[Client]) -> tuple[float, list[int]]:
    """Puts all authors who had a segment on the boards; the end of training, and their rows of the source."""
    opened = open_bundle(shelf.path / bundle, shelf.verify(bundle))
    if opened.live is None:
        return opened.until or 0.0, list(range(len(source.exchange.authors)))
    windows = source.windows(np.arange(len(source.exchange.authors)))
    rows = np.flatnonzero(np.isfinite(windows.starts[:, -1])).tolist()
    segments = [
        {
            "author": source.exchange.authors[row],
            "start": float(windows.starts[row, -1]),
            "end": float(windows.ends[row, -1]),
            "features": {
                modality: values[row, -1].tolist()
                for modality, values in windows.values.items()
                if windows.present[modality][row, -1]
            },
        }
        for row in rows
    ]
    for client in clients:
        client.segments(segments)
    assert opened.until is not None
    return opened.until, rows


def requests(
    source: Source, authors: list[int], given: argparse.Namespace
) -> Iterator[tuple[int, np.ndarray]]:
    """Random users with candidates, rows of the source."""
    rng = np.random.default_rng(0)
    for _ in range(given.requests):
        user = int(rng.integers(len(source.exchange.users)))
        yield user, rng.choice(authors, min(given.candidates, len(authors)), replace=False)


def tell(
    name: str,
    source: Source,
    asked: dict[str, list[Client]],
    requests: Iterator[tuple[int, np.ndarray]],
    now: float,
) -> None:
    """Asks both stores for each request, and prints how far their scores are from the offline ones."""
    apart: dict[str, list[float]] = {store: [] for store in asked}
    again = dict.fromkeys(asked, 0)
    same, size = True, 0
    for number, (user, rows) in enumerate(requests):
        tokens, size = [source.exchange.authors[row] for row in rows], len(rows)
        with torch.inference_mode():
            offline = source.logits(np.full(len(rows), user), rows).numpy()
        answers = []
        for store, clients in asked.items():
            client = clients[number % len(clients)]
            scores, missed = whole_answer(client, source.exchange.users[user], tokens, now)
            again[store] += missed
            logits = np.array(list(scores.values()), dtype=np.float32).T
            apart[store].append(float(difference(logits, offline, source.facts.chances)))
            answers.append(logits.tobytes())
        same &= len(set(answers)) == 1
    kind = "probabilities" if source.facts.chances else "logits, by their size"
    for store, every in apart.items():
        above = sum(not one <= NEAR for one in every)
        print(
            f"{name}, {store}: {len(every):,} requests of {size} authors over HTTP; {kind} differ by at most "
            f"{max(every):.1e}, in {above} requests by more than {NEAR:g}; {again[store]:,} answers without the store, "
            "asked again",
            flush=True,
        )
    if len(asked) > 1:
        print(f"{name}: Redis {'equals' if same else 'DIFFERS FROM'} mapped, bit for bit", flush=True)


def whole_answer(
    client: Client, user: str, authors: list[str], now: float
) -> tuple[dict[str, list[float]], int]:
    """Logits by author, and how many answers before were flagged as made without the user's record, as those are whose
    read did not come back within the store's deadline."""
    for missed in range(TRIES):
        answer = client.score(user, authors, time=now, logits=True)
        if DEGRADED not in answer["flags"]:
            return answer["scores"], missed
        time.sleep(0.1)
    raise SystemExit(f"the store did not answer {TRIES} times in a row")


def difference(served: np.ndarray, offline: np.ndarray, chances: bool) -> np.floating:
    """The largest difference of probabilities, or of logits over one more than their size."""
    if chances:
        sigmoids = [torch.from_numpy(one).sigmoid().numpy() for one in (served, offline)]
        return np.abs(sigmoids[0] - sigmoids[1]).max()
    return (np.abs(served - offline) / (1 + np.abs(offline))).max()


if __name__ == "__main__":
    main()
