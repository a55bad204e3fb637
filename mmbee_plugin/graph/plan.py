"""Predicts what the graph stage costs on a population that is not there yet: processor time, memory and bytes."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from mmbee_plugin.graph.population import Floats, Population

COSTS = {
    "visit": 1.8,  # a pair of an author's users with other authors too, which Swing counts
    "update": 6.9,  # a pair of authors that a pair of users has
    "gather": 0.3,  # a pair of authors that a user has
    "entry": 105.0,  # a stored similarity or neighbour
    "edge": 800.0,  # an edge of U2A
    "store": 55.0,  # a multiply-add of a product that is stored
    "light": 12.7,  # a multiply-add of a row that reaches few columns
    "far": 12.4,  # the same with more columns than a cache holds
    "heavy": 0.3,  # a multiply-add of a row that reaches many
    "scan": 0.3,  # a column of such a row
    "node": 1900.0,  # a node in a pass of GraphCL
    "likeness": 1.0,  # a pair of authors whose content is compared
    "feature": 0.13,  # a number of one of them in that
}
"""nanoseconds of processor time of one operation, fitted by ``benchmarks/graph_plan.py --fit``"""
CACHED = 2**17
"""columns whose sums, 8 bytes each, a core's cache holds"""


@dataclass(frozen=True)
class Stage:
    """One stage's predicted cost.

    Attributes:
        name: ``swing``, a metapath, ``nodes``, or ``content``.
        operations: how many of each of `COSTS`.
        memory: bytes that one process holds at once, A2A among them, without lists that are written.
        output: bytes written. whole_output: without rows that users of one author share.
    """

    name: str
    operations: dict[str, float] = field(default_factory=dict)
    memory: float = 0.0
    output: float = 0.0
    whole_output: float = 0.0

    @property
    def seconds(self) -> float:
        """Processor seconds."""
        return sum(COSTS[name] * count for name, count in self.operations.items()) * 1e-9


def plan(
    people: Population,
    cap: int | None = None,
    top_k: int = 50,
    swing_top_k: int | None = None,
    passes: int = 10,
    width: int = 64,
    content_width: int = 0,
    content_top_k: int = 10,
) -> Iterator[Stage]:
    """The costs of Swing, the paper's metapaths and GraphCL, and of the authors' neighbours by content.

    Args:
        people: the users, authors and gifts.
        cap: users of an author that Swing pairs and walks lead to at most; None for all.
        top_k: neighbours kept a list. swing_top_k: authors kept a row of A2A; None for all.
        passes: of GraphCL over all nodes. width: of its vectors.
        content_width: of the authors' features; 0 for no neighbours by content. content_top_k: how many of these.
    """
    users, authors = people.users.counts, people.authors.counts
    kept = np.minimum(1, (cap or np.inf) / np.maximum(people.of_authors, 1))
    edges, sampled = people.edges, kept * people.of_authors
    both_ways = 16 * edges + 8 * (people.n_users + people.n_authors)

    common = people.common * np.outer(kept, kept)
    similar = -np.expm1(-common) @ authors
    of_users = people.edge @ (authors * kept)
    pairs = float(users @ of_users**2) / 2
    rows_kept = np.minimum(similar, swing_top_k or np.inf)
    a2a = 8 * float(authors @ rows_kept)
    yield Stage(
        "swing",
        {
            "visit": float(authors @ (kept * (people.of_authors - people.single)) ** 2) / 2,
            "update": float(authors @ common**2 @ authors) / 4,
            "gather": 2 * pairs + edges,
            "entry": float(authors @ similar),
            "edge": edges,
        },
        both_ways + 8 * pairs + 16 * people.n_authors + a2a,
        *(a2a, a2a),
    )
    walked = -np.expm1(-people.common * kept[:, None]) @ authors
    steps = float(authors @ (kept * (people.edge.T @ (users * (people.of_users + 1)))))
    for name, sums, columns in (
        ("u2a2u", sampled, people.n_users),
        ("u2a2u2a", walked, people.n_authors),
        ("u2a2a", rows_kept, people.n_authors),
    ):
        counts, work = people.histories(sums)
        operations = _best(counts, work, columns) | {"edge": edges}
        right = 20 * float(authors @ sums)  # 12 an entry, and 8 by rank
        if name == "u2a2u2a":
            operations["store"] = steps
        entries = float(counts @ np.minimum(work, top_k))
        whole = float(users @ np.minimum(people.edge @ (authors * sums), top_k))
        yield Stage(
            name,
            operations | {"entry": entries},
            both_ways + a2a + right + 16 * columns,
            8 * entries,
            8 * whole,
        )
    present = np.maximum(-np.expm1(-people.of_authors), 1e-300)  # chance of any gift
    for name, sums in (("a2a", rows_kept), ("a2u2a", walked)):  # the second's product is u2a2u2a's
        entries = float(
            (authors * present) @ np.minimum(sums / present - 1, top_k)
        )  # without the author itself
        operations = _best(authors, sums, people.n_authors) | {"entry": entries}
        memory = both_ways + a2a + 12 * float(authors @ sums)
        yield Stage(name, operations, memory, 8 * entries, 8 * entries)
    nodes = people.n_users + people.n_authors
    tables = 4.0 * nodes * width
    yield Stage("nodes", {"node": float(nodes * passes)}, tables + 8 * nodes, tables, tables)
    if content_width:
        likenesses, steps = float(people.n_authors) ** 2, 12.0 * people.n_authors * content_top_k
        yield Stage(
            "content",
            {"likeness": likenesses, "feature": likenesses * content_width},
            4.0 * people.n_authors * (content_width + 1) + steps,
            steps,
            steps,
        )


def _best(counts: Floats, work: Floats, columns: int) -> dict[str, float]:
    """Operations of the best entries of rows, given how many have how much work."""
    heavy = work > columns // 4
    return {
        "light" if columns <= CACHED else "far": float(counts[~heavy] @ work[~heavy]),
        "heavy": float(counts[heavy] @ work[heavy]),
        "scan": float(counts[heavy].sum()) * columns,
    }
