"""Bundles of random models, opened in this process, and walks without a store: what `serving.py` measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_matrix

from mmbee_plugin.figures.random_source import AUTHOR_PATHS, NOW, USER_PATHS, D, RandomSource
from mmbee_plugin.graph.neighbourhoods import WalkedNeighbours
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.graph.topology import Topology
from mmbee_plugin.serving.board.segment import Segment
from mmbee_plugin.serving.bundle.build import build_bundle
from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.serving.swap.follower import Follower


def opened(source: RandomSource, place: Path) -> tuple[Shelf, Follower]:
    """Builds, publishes and serves a bundle of the source, with its live authors on the board."""
    shelf = Shelf(place)
    shelf.publish(build_bundle(source, shelf))
    follower = Follower(shelf)
    follower.look()
    assert follower.scorer is not None, follower.refused
    if source.live is not None:
        follower.take([(author, Segment(NOW, NOW + 30)) for author in source.exchange.authors])
    return shelf, follower


def walked(source: RandomSource, gifts: int = 30) -> Callable[[int, Sequence[int]], list[torch.Tensor]]:
    """A request's work without a store: walks random graphs along the metapaths of a user and of the candidates, and
    pools the neighbours."""
    rng, users, authors = np.random.default_rng(1), len(source.exchange.users), len(source.exchange.authors)
    favoured = np.minimum(rng.zipf(1.3, users * gifts) - 1, authors - 1)
    edges = (np.ones(users * gifts, np.float32), (np.repeat(np.arange(users), gifts), favoured))
    u2a = csr_matrix(edges, shape=(users, authors))
    near = csr_matrix(
        (
            np.ones(authors * 20, np.float32),
            rng.integers(0, authors, authors * 20),
            np.arange(0, authors * 20 + 1, 20),
        )
    )
    near.resize(authors, authors)
    names = (*USER_PATHS, *AUTHOR_PATHS)
    settings = GraphSettings(metapaths=names, exclude_own=False)
    walker = WalkedNeighbours.of(Topology.of(u2a, near, settings))
    nodes = {"u": torch.randn(users, D), "a": torch.randn(authors, D)}

    def pooled(name: str, row: int) -> torch.Tensor:
        ids, weights = walker.neighbours(row, name)
        shares = torch.from_numpy(weights / weights.sum())
        return shares @ nodes[name[-1]][torch.from_numpy(ids.astype(np.int64))]

    def walk(user: int, candidates: Sequence[int]) -> list[torch.Tensor]:
        pairs = [("u", user), *(("a", author) for author in candidates)]
        return [pooled(name, row) for kind, row in pairs for name in names if name[0] == kind]

    return walk
