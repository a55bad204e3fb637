"""What of visits and gifts tells who gifts whom: scores without a model, on a live dataset folder's validation rows.

    python benchmarks/profiles.py --folder datasets/livesim

Prints AUC, UAUC and GAUC of the long walk, of the lift of a user's own visits, and of profiles
(:mod:`mmbee_plugin.graph.profiles`) by rank and by what they are made of; of simulated data also what planted circles
allow; then the weight that a logistic regression on the same rows gives a profile of the first days alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from scipy.sparse import csr_matrix
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.visits import Visits
from mmbee_plugin.evaluation.metrics import auc, gauc, uauc
from mmbee_plugin.graph.making import gifts_graph
from mmbee_plugin.graph.profiles import profiles
from mmbee_plugin.graph.reach import reach
from mmbee_plugin.graph.settings import GraphSettings, Interactions
from mmbee_plugin.graph.visits import lift_of_visits, pairs_counted
from mmbee_plugin.logs.folder import PLANTED

RANKS = (8, 16, 32, 64, 128)


class Rows(NamedTuple):
    """Labelled pairs, by file row."""

    users: np.ndarray
    authors: np.ndarray
    labels: np.ndarray

    def of(self, users: np.ndarray, authors: np.ndarray) -> np.ndarray:
        """Products of the pairs' vectors."""
        return np.einsum("ij,ij->i", users[self.users], authors[self.authors])

    def entries(self, graph: csr_matrix) -> np.ndarray:
        return np.asarray(graph[self.users, self.authors]).ravel()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("datasets/livesim"))
    folder = DatasetFolder(parser.parse_args().folder)
    print(folder.provenance())
    if folder.visits is None:
        raise SystemExit(f"{folder.path}: no visits; mmbee data samples LOGS DST --visits keeps them")
    valid, gifts = rows_of(folder, "valid"), training_gifts(folder)
    print("score | AUC | UAUC | GAUC")
    every = scored(valid, gifts, folder.visits)
    if (folder.path / PLANTED).is_dir():
        every = chain(every, of_circles(valid, gifts, folder))
    for name, scores in every:
        by_user = valid.users, valid.labels, scores
        measured = auc(valid.labels, scores), uauc(*by_user), gauc(*by_user)
        print(name, *(f"{value:.4f}" for value in measured), sep=" | ", flush=True)
    print("training's first share of time | share of its visits | weight | over the cube root of that share")
    ends = np.quantile(folder.visits.ends, (0, 1))
    for share in (1 / 6, 1 / 3, 1 / 2, 2 / 3, 1):
        until = ends[0] + share * (ends[1] - ends[0])
        known, given = folder.visits.until(until), before(gifts, until)
        found = profiles(pairs_counted(known, gifts), pairs_counted(given, gifts), 32)
        weight = LogisticRegression(C=100).fit(valid.of(*found)[:, None], valid.labels).coef_[0, 0]
        visits = len(known) / len(folder.visits)
        print(f"{share:.2f} | {visits:.2f} | {weight:.3f} | {weight / np.cbrt(visits):.3f}", flush=True)


def scored(rows: Rows, gifts: Interactions, visits: Visits) -> Iterator[tuple[str, np.ndarray]]:
    """Scores (n,) of the rows, by name."""
    u2a = gifts_graph(gifts, GraphSettings())
    yield "long walk, lifts", rows.entries(reach(u2a, 300, exclude_own=False, lift=True).matrix(u2a.shape[1]))
    seen, given = pairs_counted(visits, gifts), pairs_counted(gifts, gifts)
    yield "own visits, lifts", rows.entries(lift_of_visits(seen, prior=20.0))
    for rank in RANKS:
        yield f"profile, rank {rank}", rows.of(*profiles(seen, given, rank))
    yield "profile of visits alone, rank 32", rows.of(*profiles(seen, csr_matrix(seen.shape), 32))
    amounts = u2a.copy()
    amounts.data = np.expm1(amounts.data)  # profiles take log1p
    yield "profile of visits and amounts, rank 32", rows.of(*profiles(seen, amounts, 32))


def of_circles(rows: Rows, gifts: Interactions, folder: DatasetFolder) -> Iterator[tuple[str, np.ndarray]]:
    """What circles tell: the planted ones, and a user's by Bayes' rule from visits and gifts, all authors' known.

    The rule has each circle's share of all visits, and the odds that the truth gives a visit and a gift within one.
    """
    assert folder.visits is not None
    seen, given = pairs_counted(folder.visits, gifts), pairs_counted(gifts, gifts)
    authors, users = (
        pl.read_parquet(folder.path / PLANTED / f"{side}s.parquet").select(f"{side}_id", "circle").rows()
        for side in ("author", "user")
    )
    of_author = np.array([dict(authors)[token] for token in folder.item_tokens])
    of_user = np.array([dict(users)[token] for token in folder.user_tokens])
    yield "planted circle", (of_user[rows.users] == of_author[rows.authors]).astype(float)
    member = np.equal.outer(of_author, np.arange(of_author.max() + 1)).astype(float)
    own = np.equal.outer(of_user, np.arange(member.shape[1]))
    share = np.asarray(seen.sum(0)).ravel() @ member / seen.sum()
    likelihood = np.zeros(own.shape)
    for graph in (seen, given):
        counts = graph @ member
        within = counts[own].sum() / graph.sum()
        odds = within / (1 - within) / (share.mean() / (1 - share.mean()))
        likelihood += counts * np.log(odds) - counts.sum(1, keepdims=True) * np.log1p(share * (odds - 1))
    yield "circle by Bayes, authors' known", softmax(likelihood, 1)[rows.users, of_author[rows.authors]]


def rows_of(folder: DatasetFolder, split: str) -> Rows:
    pairs, live = folder.interactions(split), folder.rows(split)
    return Rows(pairs.users, pairs.items, live.labels.astype(bool))


def training_gifts(folder: DatasetFolder) -> Interactions:
    pairs, live = folder.interactions("train"), folder.rows("train")
    gift = live.labels.astype(bool)
    n_users, n_authors = len(folder.user_tokens), len(folder.item_tokens)
    columns = pairs.users[gift], pairs.items[gift], live.amounts[gift], n_users, n_authors
    return Interactions(*columns, times=pairs.timestamps[gift])


def before(gifts: Interactions, until: float) -> Interactions:
    assert gifts.times is not None
    early = gifts.times < until
    return Interactions(gifts.users[early], gifts.authors[early], None, gifts.n_users, gifts.n_authors)


if __name__ == "__main__":
    main()
