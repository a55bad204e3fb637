"""What a cap on hubs costs: the overlap of capped lists with the exact ones, and the processor time that it saves."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_matrix

from mmbee_plugin.graph.expansion import expand
from mmbee_plugin.graph.hubs import capped
from mmbee_plugin.graph.making import author_graph
from mmbee_plugin.graph.metapaths import Metapath, Neighbours
from mmbee_plugin.graph.settings import GraphSettings


@dataclass
class CapCost:
    """A cap on hubs: at most so many users of an author in Swing and in a walk's steps from authors to users.

    Attributes:
        cap: users of an author; None for the exact lists.
        hubs: number of authors with more users.
        edges: share of U2A's edges that is kept.
        seconds: processor seconds by metapath, and of Swing as "swing".
        overlap: by metapath the mean share of a node's exact list that is in its capped one, over nodes with an exact
            list.
        overlap_of_hubs: the same over hubs, on paths from users over those with a gift to a hub; NaN without any.
    """

    cap: int | None
    hubs: int
    edges: float
    seconds: dict[str, float] = field(default_factory=dict)
    overlap: dict[str, float] = field(default_factory=dict)
    overlap_of_hubs: dict[str, float] = field(default_factory=dict)


def cap_costs(u2a: csr_matrix, settings: GraphSettings, caps: Sequence[int]) -> Iterator[CapCost]:
    """The costs of caps with a stage's other settings: first the exact lists, then each cap's.

    Raises:
        InputError: a cap below 1.
    """
    exact: dict[str, Neighbours] = {}
    degrees = np.bincount(u2a.indices, minlength=u2a.shape[1])
    for cap in (None, *caps):
        chosen = settings.replace(swing_max_users=cap, walk_max_users=cap)
        hub = degrees > (np.inf if cap is None else cap)
        start = time.process_time()
        sample, a2a = capped(u2a, cap, chosen.hub_seed), author_graph(u2a, chosen)
        cost = CapCost(cap, int(hub.sum()), sample.nnz / max(u2a.nnz, 1))
        cost.seconds["swing"] = time.process_time() - start
        near = {"a": hub, "u": (u2a != 0) @ hub}
        for name in chosen.metapaths:
            path = Metapath.parse(name)
            start = time.process_time()
            lists = expand(
                path,
                u2a,
                a2a,
                top_k=chosen.top_k,
                normalisation=chosen.normalisation,
                exclude_own=chosen.exclude_own,
                sample=sample,
            )
            cost.seconds[name] = time.process_time() - start
            shares = overlap(exact.setdefault(name, lists), lists)
            cost.overlap[name] = mean(shares)
            cost.overlap_of_hubs[name] = mean(shares[near[path.start]])
        yield cost


def overlap(exact: Neighbours, found: Neighbours) -> np.ndarray:
    """(n_nodes,) share of each list of the first that is in the second's; NaN where it is empty.

    Example:
        >>> lists = [Neighbours(np.array([0, 2, 2]), np.array(ids), np.ones(2)) for ids in ([4, 5], [5, 6])]
        >>> overlap(*lists).tolist()
        [0.5, nan]
    """
    n_ends = 1 + max(int(lists.ids.max(initial=0)) for lists in (exact, found))
    nodes, keys = [], []
    for lists in (exact, found):
        nodes.append(np.repeat(np.arange(lists.n_nodes), np.diff(lists.indptr)))
        keys.append(nodes[-1] * n_ends + lists.ids)
    lengths = np.diff(exact.indptr)
    common = np.bincount(nodes[0], weights=np.isin(*keys), minlength=exact.n_nodes)
    return np.divide(common, lengths, out=np.full(len(lengths), np.nan), where=lengths > 0)


def mean(shares: np.ndarray) -> float:
    """Of those that are not NaN; NaN without any."""
    known = shares[~np.isnan(shares)]
    return float(known.mean()) if len(known) else float("nan")
