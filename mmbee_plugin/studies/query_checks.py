"""Checks of the authors' queries: collapse into one vector, and relation to gifting rates."""

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
"""vectors count as collapsed from this mean cosine on"""
WITHIN_RANK = 1.5
"""least effective rank of one author's tokens"""
BETWEEN_RANK = 0.1
"""least effective rank of all authors' queries, as a share of the largest possible"""
CLUSTERS = 8
"""largest number of clusters; at most half the authors"""
SHUFFLES = 1000
MIN_AUTHORS = 4


@dataclass(frozen=True)
class Queries:
    """Query tokens of authors with enough training rows, and these authors' samples in a split.

    Shapes:
        - tokens: (n, N, d) as they attend to the content; own: (n, N d) the author's offset to the shared queries
        - rows, gifts: (n,) samples and gifts of each author in the split
    """

    tokens: NDArray[np.float32]
    own: NDArray[np.float32]
    rows: NDArray[np.int64]
    gifts: NDArray[np.int64]


@dataclass(frozen=True)
class Clusters:
    """Clusters of queries and their gifting rates.

    Attributes:
        of_author: (n,) cluster of each author, numbered by ascending rate.
        rates: (k,) gifts per sample. errors: (k,) their standard errors. sizes: (k,) authors.
        explained: between-cluster share of the variance of the authors' rates, weighted by their samples.
        chance: 95th percentile of ``explained`` for shuffled clusters.
    """

    of_author: NDArray[np.int64]
    rates: NDArray[np.float64]
    errors: NDArray[np.float64]
    sizes: NDArray[np.int64]
    explained: float
    chance: float


def read_queries(trained: Trained, split: str = "valid", min_rows: int = MIN_ROWS) -> Queries | None:
    """Queries of the authors with at least ``min_rows`` training rows; None for a model without queries.

    Raises:
        InputError: fewer than :data:`MIN_AUTHORS` such authors.
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
    """(n, N d) -> mean cosine of two different authors' vectors."""
    unit, count = normalised(own), len(own)
    return float((np.square(unit.sum(axis=0)).sum() - np.square(unit).sum()) / (count * (count - 1)))


def effective_rank(matrices: NDArray) -> NDArray:
    """(..., rows, columns) -> (...) exp of the entropy of the normalised singular values (Roy and Vetterli, 2007)."""
    values = torch.linalg.svdvals(torch.as_tensor(matrices, dtype=torch.float64))
    shares = values / values.sum(dim=-1, keepdim=True).clamp(min=1e-300)
    return torch.exp(torch.special.entr(shares).sum(dim=-1)).numpy()


def cluster(queries: Queries, seed: int = 0) -> Clusters:
    """k-means on the authors' offsets to the shared queries, at unit length, and the clusters' gifting rates.

    Raises:
        InputError: scikit-learn is not installed.
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
    """Findings on collapse and on gifting rates."""
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
