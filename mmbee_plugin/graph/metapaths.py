"""Metapaths over U2A and A2A: their names, normalised steps and walks (MMBee, section 5.3)."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Annotated, Literal, get_args

import numpy as np
from pydantic import AfterValidator, BeforeValidator
from scipy.sparse import csr_matrix

from mmbee_plugin.data.ragged import ragged
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.blocks import over_blocks
from mmbee_plugin.kernels import kernel
from mmbee_plugin.settings.section import Names

PAPER_METAPATHS = ("u2a2u", "u2a2u2a", "u2a2a", "a2a", "a2u2a")
POSITIVES = {"u": "u2a2u", "a": "a2u2a"}
"""metapath of GraphCL's positives, by type of node"""
MAX_HOPS = 3

Normalisation = Literal["row", "symmetric"]


@dataclass(frozen=True)
class Metapath:
    """A walk of one to three steps over users (u) and authors (a), such as ``u2a2u``.

    Steps u2a and a2u follow the graph U2A, a2a follows A2A.
    """

    nodes: str

    @classmethod
    def parse(cls, name: str) -> "Metapath":
        """Reads a name such as ``u2a2u2a``.

        Raises:
            InputError: a name other than u and a joined by 2, a step u2u, no step or more than three.

        Example:
            >>> path = Metapath.parse("u2a2a")
            >>> path.start, path.end, path.hops, path.steps
            ('u', 'a', 2, ('u2a', 'a2a'))
        """
        if re.fullmatch(f"[ua](2[ua]){{1,{MAX_HOPS}}}", name) and "u2u" not in name:
            return cls(name.replace("2", ""))
        raise InputError(
            f"metapath {name!r}: expected one to three of the steps u2a, a2u, a2a joined like u2a2u; "
            f"the paper's five are {', '.join(PAPER_METAPATHS)}"
        )

    @property
    def name(self) -> str:
        return "2".join(self.nodes)

    @property
    def start(self) -> str:
        """Type of the start node, u or a."""
        return self.nodes[0]

    @property
    def end(self) -> str:
        """Type of the end node, u or a."""
        return self.nodes[-1]

    @property
    def hops(self) -> int:
        return len(self.nodes) - 1

    @property
    def steps(self) -> tuple[str, ...]:
        """The step of each hop, such as ``("u2a", "a2u")``."""
        return tuple(f"{start}2{end}" for start, end in pairwise(self.nodes))


def _parsed(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        Metapath.parse(name)
    return names


Metapaths = Annotated[
    Names, BeforeValidator(lambda given: () if given is None else given), AfterValidator(_parsed)
]
"""setting that lists metapaths by name; null: none"""


def every_metapath(hops: int = MAX_HOPS) -> tuple[Metapath, ...]:
    """All metapaths of up to ``hops`` steps, from users first, then shorter first; 16 for three.

    Example:
        >>> [path.name for path in every_metapath(hops=2)]
        ['u2a', 'u2a2u', 'u2a2a', 'a2u', 'a2a', 'a2u2a', 'a2a2u', 'a2a2a']
    """
    names = ("2".join(nodes) for count in range(2, hops + 2) for nodes in product("ua", repeat=count))
    paths = [Metapath.parse(name) for name in names if "u2u" not in name]
    return tuple(sorted(paths, key=lambda path: path.start == "a"))


def in_turn(names: Iterable[str]) -> list[str]:
    """Distinct metapaths, those of three steps first, each before the path of its last two, whose product they share.

    Example:
        >>> in_turn(PAPER_METAPATHS)
        ['u2a2u2a', 'a2u2a', 'u2a2u', 'u2a2a', 'a2a']
    """
    paths = [Metapath.parse(name) for name in dict.fromkeys(names)]
    products = list(dict.fromkeys(path.steps[-2:] for path in paths if path.hops == MAX_HOPS))

    def turn(path: Metapath) -> tuple[int, int]:
        last = path.steps[-2:]
        return products.index(last) if last in products else len(products), -path.hops

    return [path.name for path in sorted(paths, key=turn)]


@dataclass(frozen=True)
class Neighbours:
    """One list of neighbours per node in CSR form, best first unless noted.

    Shapes:
        - indptr: (n_nodes + 1,) int64; node v's list is ``indptr[v] : indptr[v + 1]``
        - ids: (n,) int32, file rows of the neighbours
        - weights: (n,) float32, scores; above zero, but for the long walk with profiles
    """

    indptr: np.ndarray
    ids: np.ndarray
    weights: np.ndarray

    @property
    def n_nodes(self) -> int:
        return len(self.indptr) - 1

    def of(self, node: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids and weights of a node's neighbours."""
        row = slice(self.indptr[node], self.indptr[node + 1])
        return self.ids[row], self.weights[row]

    def take(self, nodes: np.ndarray) -> "Neighbours":
        """The lists of nodes (b,), in this order."""
        starts, stops = self.indptr[nodes], self.indptr[nodes + 1]
        entry = ragged(starts, stops)[1]
        indptr = np.concatenate([[0], np.cumsum(stops - starts)])
        return Neighbours(indptr, self.ids[entry], self.weights[entry])

    def matrix(self, n_ends: int) -> csr_matrix:
        """The lists as a CSR matrix (n_nodes, n_ends); entries keep their order."""
        return csr_matrix((self.weights, self.ids, self.indptr), shape=(self.n_nodes, n_ends))


@dataclass(frozen=True)
class ScoredPath:
    """A walk: file rows of its nodes from start to end, and its share of the score."""

    nodes: tuple[int, ...]
    weight: float


def explain(
    path: Metapath,
    u2a: csr_matrix,
    a2a: csr_matrix | None,
    start: int,
    end: int,
    *,
    normalisation: Normalisation = "row",
    sample: csr_matrix | None = None,
) -> list[ScoredPath]:
    """All walks from ``start`` to ``end``, heaviest first, ties by lower nodes.

    Their weights sum to the score of ``end`` among the neighbours of ``start`` (``expansion.expand``), whose other
    arguments these are.

    Raises:
        InputError: as ``expand``, or a node outside its graph.

    Example:
        >>> u2a = csr_matrix([[1.0, 1.0], [0.0, 2.0], [4.0, 0.0]])
        >>> explain(Metapath.parse("u2a2u"), u2a, None, start=0, end=2)
        [ScoredPath(nodes=(0, 0, 2), weight=0.4)]
    """
    matrices = step_graphs(path, u2a, a2a, normalisation, sample)
    for name, node, count in (("start", start, matrices[0].shape[0]), ("end", end, matrices[-1].shape[1])):
        if not 0 <= node < count:
            raise InputError(f"{name}: node {node} is outside 0..{count - 1}")
    walks: list[tuple[tuple[int, ...], float]] = [((start,), 1.0)]
    matrices[-1] = matrices[-1].tocsc()[:, [end]].tocsr()
    for matrix in matrices:
        walks = [
            ((*nodes, int(matrix.indices[entry])), weight * float(matrix.data[entry]))
            for nodes, weight in walks
            for entry in range(matrix.indptr[nodes[-1]], matrix.indptr[nodes[-1] + 1])
        ]
    paths = [ScoredPath((*nodes[:-1], end), weight) for nodes, weight in walks]
    return sorted(paths, key=lambda found: (-found.weight, found.nodes))


def step_graphs(
    path: Metapath,
    u2a: csr_matrix,
    a2a: csr_matrix | None,
    normalisation: Normalisation,
    sample: csr_matrix | None = None,
) -> list[csr_matrix]:
    """Normalised float64 graphs of a path's steps, with sorted columns. Raises InputError as ``expand``.

    Steps a2u follow ``sample``, U2A with capped hubs (:func:`~mmbee_plugin.graph.hubs.capped`), if it is given.
    """
    if normalisation not in get_args(Normalisation):
        expected = " or ".join(get_args(Normalisation))
        raise InputError(f"normalisation: {normalisation!r} is unknown, expected {expected}")
    graphs = {"u2a": u2a, "a2u": (u2a if sample is None else sample).T}
    if a2a is not None:
        if a2a.shape != (u2a.shape[1], u2a.shape[1]):
            raise InputError(f"A2A is {a2a.shape}, expected {(u2a.shape[1],) * 2} to fit U2A's {u2a.shape}")
        graphs["a2a"] = a2a
    elif "a2a" in path.steps:
        raise InputError(f"metapath {path.name}: it has an a2a step, but there is no A2A graph")
    scaled = {step: normalised(graphs[step].tocsr(), normalisation) for step in set(path.steps)}
    return [scaled[step] for step in path.steps]


def normalised(graph: csr_matrix, normalisation: Normalisation) -> csr_matrix:
    """A graph in float64 with sorted columns, its weights divided as ``expand`` says; shares the columns."""
    if not graph.has_sorted_indices:
        graph = graph.sorted_indices()  # a copy: the scaled graph shares its columns
    scaled = csr_matrix((graph.data.astype(np.float64), graph.indices, graph.indptr), shape=graph.shape)
    scaled.has_sorted_indices = True
    starts = np.asarray(scaled.sum(1)).ravel()
    if normalisation == "row":
        over_blocks(_divide, scaled.indptr, scaled.data, starts)
    else:
        degrees = np.diff(scaled.indptr)
        ends = np.asarray(scaled.sum(0)).ravel()
        scaled.data /= np.sqrt(np.repeat(starts, degrees) * ends[scaled.indices])
    return scaled


@kernel()
def _divide(first: int, step: int, indptr: np.ndarray, data: np.ndarray, by: np.ndarray) -> None:
    """Divides each row's values, without a divisor for each of them in memory."""
    for row in range(first, len(by), step):
        for entry in range(indptr[row], indptr[row + 1]):
            data[entry] /= by[row]
