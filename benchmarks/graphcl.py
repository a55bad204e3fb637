"""Nodes per second of GraphCL next to PyTorch Geometric's MetaPath2Vec, at an equal link AUC.

    python benchmarks/graphcl.py                 # 10,000 users, 10,000 authors
    python benchmarks/graphcl.py --size paper    # 36,656 users, 76,085 authors

Both learn node vectors of one width from one graph with planted communities. A tenth of the gifts is held
out; a link is a user with another user of a held-out author (and the same for authors), where the training
graph has no author in common; a non-link pairs the same nodes at random. Both are trained until they reach
the target AUC, by dot products, averaged over the two types; checking it is not timed. A processed node is
one start node: of a pass over all nodes for GraphCL, of the random walks for MetaPath2Vec. The graph stage
that GraphCL needs is printed apart.
"""

import argparse
import time

import numpy as np
import torch
from scipy.sparse import csr_matrix

from mmbee_plugin.graph.donations import donation_graph
from mmbee_plugin.graph.metapaths import Metapath, expand
from mmbee_plugin.recbole.graphcl import GraphCLSettings, train_graphcl

SIZES = {"small": (10_000, 10_000, 200_000), "paper": (36_656, 76_085, 726_065)}
METAPATH = [("user", "gives", "author"), ("author", "taken", "user")]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--size", choices=SIZES, default="small")
    add("--width", type=int, default=64)
    add("--target", type=float, default=0.75, help="AUC at which both stop (default %(default)s)")
    add("--their-rate", type=float, default=0.05, help="MetaPath2Vec's learning rate (default %(default)s)")
    add("--threads", type=int, default=1, help="of PyTorch, for both (default %(default)s)")
    add("--limit", type=float, default=300, help="seconds of training after which one gives up")
    add("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    graph, held = planted(*SIZES[options.size], options.seed)
    links = [held_out_links(part, other, options.seed) for part, other in ((graph, held), (graph.T, held.T))]
    n_nodes = sum(graph.shape)
    print(f"{graph.shape[0]} users, {graph.shape[1]} authors, {graph.nnz} edges, width {options.width}")
    print(f"held-out links: {len(links[0][0])} of users, {len(links[1][0])} of authors")
    print(f"target AUC {options.target}")

    start = time.perf_counter()
    positives = [expand(Metapath.parse(name), graph, None, top_k=50) for name in ("u2a2u", "a2u2a")]
    print(f"graph stage for GraphCL (two metapaths, top 50): {time.perf_counter() - start:.1f} s")
    print(f"{'':<14}{'AUC':>7}{'train s':>9}{'nodes':>10}{'nodes/s':>10}")
    ours = Clock(links, options.target, options.limit)
    settings = GraphCLSettings(width=options.width, epochs=10_000)

    def after_epoch(epoch: int, loss: float, tables: tuple[np.ndarray, np.ndarray]) -> bool:
        return ours.stops(epoch * n_nodes, tables)

    train_graphcl(graph, *positives, settings, options.seed, progress=after_epoch)
    ours.print("GraphCL")
    theirs = Clock(links, options.target, options.limit)
    train_metapath2vec(graph, options.width, options.seed, options.their_rate, theirs)
    theirs.print("MetaPath2Vec")
    if ours.reached and theirs.reached:
        print(
            f"GraphCL: {ours.rate / theirs.rate:.1f} times the nodes per second, "
            f"{theirs.seconds / ours.seconds:.1f} times sooner at the target"
        )
    else:
        print("not both reached the target: no ratio at an equal AUC")


class Clock:
    """Counts training time, less the checks, and says when the target is reached."""

    def __init__(self, links: list[tuple[np.ndarray, ...]], target: float, limit: float) -> None:
        self.links, self.target, self.limit = links, target, limit
        self.seconds, self.nodes, self.auc = 0.0, 0, 0.0
        self.reached = False
        self.running_since = time.perf_counter()

    def stops(self, nodes: int, tables: tuple[np.ndarray, np.ndarray]) -> bool:
        self.seconds += time.perf_counter() - self.running_since
        self.nodes = nodes
        scores = [auc(table, *links) for table, links in zip(tables, self.links, strict=True)]
        self.auc = float(np.mean(scores))
        self.reached = self.auc >= self.target
        self.running_since = time.perf_counter()
        return self.reached or self.seconds > self.limit

    @property
    def rate(self) -> float:
        return self.nodes / self.seconds

    def print(self, name: str) -> None:
        row = f"{name:<14}{self.auc:>7.4f}{self.seconds:>9.2f}{self.nodes:>10}{self.rate:>10.0f}"
        print(row + ("" if self.reached else "  (target not reached)"), flush=True)


def planted(n_users: int, n_authors: int, draws: int, seed: int) -> tuple[csr_matrix, csr_matrix]:
    """Gifts of which 95 in a hundred stay in the user's community of about 200 users; a tenth is held out."""
    random = np.random.default_rng(seed)
    communities = n_users // 200
    chances = np.arange(1, n_users + 1) ** -0.5
    users = random.permutation(n_users)[random.choice(n_users, draws, p=chances / chances.sum())]
    strays = random.integers(0, communities, draws)
    community = np.where(random.random(draws) < 0.95, users % communities, strays)
    size = n_authors // communities
    chances = np.arange(1, size + 1) ** -0.75
    authors = random.choice(size, draws, p=chances / chances.sum()) * communities + community
    pairs = np.unique(users * n_authors + authors)
    held = random.random(len(pairs)) < 0.1
    return tuple(
        donation_graph(part // n_authors, part % n_authors, None, n_users, n_authors)
        for part in (pairs[~held], pairs[held])
    )


def held_out_links(graph: csr_matrix, held: csr_matrix, seed: int) -> tuple[np.ndarray, ...]:
    """Left and right nodes of links, then of non-links, none with a common neighbour in the training
    graph."""
    random = np.random.default_rng(seed)
    graph, held = graph.tocsr(), held.tocoo()
    ends = graph.T.tocsr()
    degrees = np.diff(ends.indptr)[held.col]
    left, middle, degrees = held.row[degrees > 0], held.col[degrees > 0], degrees[degrees > 0]
    right = ends.indices[ends.indptr[middle] + (random.random(len(middle)) * degrees).astype(np.int64)]
    other = random.permutation(right)

    def apart(one: np.ndarray, two: np.ndarray) -> np.ndarray:
        common = np.asarray(graph[one].multiply(graph[two]).sum(1)).ravel()
        return (common == 0) & (one != two)

    link, none = apart(left, right), apart(left, other)
    return left[link], right[link], left[none], other[none]


def auc(
    table: np.ndarray, left: np.ndarray, right: np.ndarray, other_left: np.ndarray, other_right: np.ndarray
) -> float:
    near = np.einsum("nd,nd->n", table[left], table[right])
    far = np.sort(np.einsum("nd,nd->n", table[other_left], table[other_right]))
    below = np.searchsorted(far, near, "left") + np.searchsorted(far, near, "right")
    return float(below.mean() / (2 * len(far)))


def train_metapath2vec(graph: csr_matrix, width: int, seed: int, rate: float, clock: Clock) -> None:
    """Walks over five nodes, a window of three, a negative each; batch and optimiser as in PyG's example."""
    from torch_geometric.nn import MetaPath2Vec

    torch.manual_seed(seed)
    rows, columns = (torch.from_numpy(np.asarray(part, dtype=np.int64)) for part in graph.nonzero())
    model = MetaPath2Vec(
        {METAPATH[0]: torch.stack([rows, columns]), METAPATH[1]: torch.stack([columns, rows])},
        embedding_dim=width,
        metapath=METAPATH,
        walk_length=4,
        context_size=3,
        walks_per_node=1,
        num_negative_samples=1,
        num_nodes_dict={"user": graph.shape[0], "author": graph.shape[1]},
        sparse=True,
    )
    optimiser = torch.optim.SparseAdam(list(model.parameters()), lr=rate)
    clock.running_since = time.perf_counter()
    nodes = 0
    while True:
        for positive, negative in model.loader(batch_size=128, shuffle=True):
            optimiser.zero_grad()
            model.loss(positive, negative).backward()
            optimiser.step()
        nodes += graph.shape[0]
        tables = tuple(model(kind).detach().numpy() for kind in ("user", "author"))
        if clock.stops(nodes, tables):
            return


if __name__ == "__main__":
    main()
