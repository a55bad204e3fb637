"""Whether authors' queries say anything: they can collapse into one, or have nothing to do with gifting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mmbee_plugin.command.extras import check_extra
from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.scoring import Trained
from mmbee_plugin.figures.queries import MIN_ROWS, normalised
from mmbee_plugin.recbole.data.training_rows import training_rows
from mmbee_plugin.studies.findings import Finding, above, below

COSINE = 0.9
"""Mean cosine from which vectors are called one."""
WITHIN_RANK = 1.5
"""Effective rank of one author's tokens below which they are called one."""
BETWEEN_RANK = 0.1
"""The same of all authors' queries, as a share of the largest possible."""
CLUSTERS = 8
"""At most; each has two authors or more on average."""
SHUFFLES = 1000
MIN_AUTHORS = 4


@dataclass(frozen=True)
class Queries:
    """The query tokens of authors with enough training rows, and what became of the authors in a split.

    Shapes:
        - tokens: (n, N, d) as they read the content; own: (n, N d) what the author adds to those that all share;
          rows, gifts: (n,) samples and gifts of each author in the split
    """

    tokens: NDArray[np.float32]
    own: NDArray[np.float32]
    rows: NDArray[np.int64]
    gifts: NDArray[np.int64]


@dataclass(frozen=True)
class Clusters:
    """Clusters of queries and how much is given in them.

    Attributes:
        of_author: (n,) cluster of each author, numbered by ascending rate.
        rates: (k,) gifts per sample. errors: (k,) their standard errors. sizes: (k,) authors.
        explained: share of the variance of the authors' rates, samples weighted alike, that lies between clusters.
        chance: what 95 % of shuffled clusters stay below.
    """

    of_author: NDArray[np.int64]
    rates: NDArray[np.float64]
    errors: NDArray[np.float64]
    sizes: NDArray[np.int64]
    explained: float
    chance: float


def read_queries(trained: Trained, split: str = "valid", min_rows: int = MIN_ROWS) -> Queries | None:
    """The queries of a model's authors with ``min_rows`` training rows; None for a model without queries.

    Raises InputError for too few such authors.
    """
    content, train = trained.network.content, trained.train
    if not content.num_queries:
        return None
    items = train.inter_feat[train.iid_field].numpy()[training_rows(train).kept]
    ids = np.flatnonzero(np.bincount(items, minlength=train.item_num) >= min_rows)
    if len(ids) < MIN_AUTHORS:
        raise InputError(
            f"{trained.path}: {len(ids)} authors have {min_rows} training rows or more; at least {MIN_AUTHORS} are "
            "needed to look at their queries"
        )
    rows = trained.rows(split)
    scored, given = rows.inter_feat[rows.iid_field].numpy(), rows.positive_rows()
    counts = [np.bincount(part, minlength=train.item_num)[ids] for part in (scored, scored[given])]
    own = content.queries.weight.detach()[ids]
    tokens = trained.network.gtr.content.queries(own.unflatten(1, (content.num_queries, -1)))
    return Queries(tokens.detach().float().cpu().numpy(), own.float().cpu().numpy(), *counts)


def within_cosines(tokens: NDArray) -> NDArray:
    """(n, N, d) -> (n,) mean cosine of two different tokens of one author."""
    unit = normalised(tokens)
    pairs = unit @ unit.transpose(0, 2, 1)
    count = tokens.shape[1]
    return (pairs.sum(axis=(1, 2)) - np.trace(pairs, axis1=1, axis2=2)) / max(1, count * (count - 1))


def between_cosine(own: NDArray) -> float:
    """(n, N d) -> mean cosine of two authors' vectors."""
    unit, count = normalised(own), len(own)
    return float((np.square(unit.sum(axis=0)).sum() - np.square(unit).sum()) / (count * (count - 1)))


def effective_rank(matrices: NDArray) -> NDArray:
    """(..., rows, columns) -> (...) exp of the entropy of the normalised singular values (Roy and Vetterli, 2007)."""
    values = torch.linalg.svdvals(torch.as_tensor(matrices, dtype=torch.float64))
    shares = values / values.sum(dim=-1, keepdim=True).clamp(min=1e-300)
    return torch.exp(torch.special.entr(shares).sum(dim=-1)).numpy()


def cluster(queries: Queries, seed: int = 0) -> Clusters:
    """k-means of what the authors add to the shared queries, at unit length, against the authors' gifts.

    Raises InputError without scikit-learn.
    """
    check_extra("sklearn", "a clustering of queries")
    from sklearn.cluster import KMeans

    unit = normalised(queries.own)
    count = min(CLUSTERS, len(unit) // 2)
    found = KMeans(count, n_init=10, random_state=seed).fit_predict(unit)
    rows, gifts = (np.bincount(found, part, count) for part in (queries.rows, queries.gifts))
    order = np.argsort(gifts / np.maximum(rows, 1), kind="stable")
    found, rows, gifts = np.argsort(order)[found], rows[order], gifts[order]
    rates = gifts / np.maximum(rows, 1)
    rng = np.random.default_rng(seed)
    shuffled = [_explained(queries, rng.permutation(found)) for _ in range(SHUFFLES)]
    return Clusters(
        found,
        rates,
        np.sqrt(rates * (1 - rates) / np.maximum(rows, 1)),
        np.bincount(found, minlength=count),
        _explained(queries, found),
        float(np.quantile(shuffled, 0.95)),
    )


def query_findings(queries: Queries, clusters: Clusters) -> Iterator[Finding]:
    """The verdicts on collapse and on gifting."""
    part, tokens, own = "queries", queries.tokens, queries.own
    authors, count, width = tokens.shape
    if count > 1:
        yield below(part, "mean cosine of an author's tokens", float(within_cosines(tokens).mean()), COSINE)
        rank = float(effective_rank(tokens).mean())
        yield above(part, f"effective rank of an author's {count} tokens", rank, WITHIN_RANK, ".2f")
    yield below(part, "mean cosine of two authors' queries", between_cosine(own), COSINE)
    largest = min(authors, count * width)
    rank = float(effective_rank(own))
    what = f"effective rank of all authors' queries, of {largest}"
    yield above(part, what, rank, BETWEEN_RANK * largest, ".1f")
    what = f"variance of gifting rates between {len(clusters.rates)} clusters of queries"
    bound = f"above {clusters.chance:.3f}, 95 % of shuffles"
    yield Finding(part, what, f"{clusters.explained:.3f}", bound, clusters.explained > clusters.chance)


def _explained(queries: Queries, found: NDArray) -> float:
    """Between-cluster share of the weighted variance of the authors' rates."""
    known = queries.rows > 0
    weights, found = queries.rows[known].astype(np.float64), found[known]
    rates = queries.gifts[known] / weights
    middle = np.average(rates, weights=weights)
    total = (weights * np.square(rates - middle)).sum()
    sums, mass = np.bincount(found, weights * rates), np.bincount(found, weights)
    between = (mass * np.square(sums / np.maximum(mass, 1) - middle)).sum()
    return float(between / total) if total else 0.0
