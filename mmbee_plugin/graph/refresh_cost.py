"""What a refresh costs: the overlap of its lists with the exact ones, and processor time beside that of a rebuild."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from mmbee_plugin.graph.caps import mean, overlap
from mmbee_plugin.graph.expansion import Expansion
from mmbee_plugin.graph.hubs import capped
from mmbee_plugin.graph.making import author_graph
from mmbee_plugin.graph.metapaths import Metapath
from mmbee_plugin.graph.refresh import Refresh
from mmbee_plugin.graph.settings import GraphSettings

SWING = "swing"


@dataclass(frozen=True)
class RefreshCost:
    """Of one metapath, or of Swing, which both do in full.

    Attributes:
        refreshed: share of the nodes that get new lists; NaN for Swing.
        overlap: mean share of a node's exact list that is in its refreshed one, over nodes with an exact list.
        overlap_of_kept: the same over nodes that keep an earlier list.
        exact_seconds, seconds: processor seconds of a rebuild and of the refresh.
    """

    path: str
    refreshed: float
    overlap: float
    overlap_of_kept: float
    exact_seconds: float
    seconds: float


def refresh_costs(u2a: csr_matrix, settings: GraphSettings, refresh: Refresh) -> Iterator[RefreshCost]:
    """The costs of a refresh to the graph ``u2a``, (n_users, n_authors): Swing's first, then each metapath's."""
    start = time.process_time()
    a2a = author_graph(u2a, settings)
    spent = time.process_time() - start
    yield RefreshCost(SWING, np.nan, np.nan, np.nan, spent, spent)
    start = time.process_time()
    kept = refresh.on(u2a)
    matching = time.process_time() - start
    sample = capped(u2a, settings.walk_max_users, settings.hub_seed)
    rebuild, partly = (Expansion(u2a, a2a, settings.normalisation, sample) for _ in range(2))
    for name in settings.metapaths:
        path = Metapath.parse(name)
        start = time.process_time()
        exact = rebuild.lists(path, settings.top_k, settings.exclude_own)
        middle = time.process_time()
        found = kept.lists(partly, path, settings)
        end = time.process_time()
        shares = overlap(exact.along(name).all(), found.along(name).all())
        new = kept.users if path.start == "u" else kept.authors
        seconds = end - middle + matching
        yield RefreshCost(name, float(new.mean()), mean(shares), mean(shares[~new]), middle - start, seconds)
        matching = 0.0  # once, with the first path
