"""GraphCL in one process: trains the two node tables from metapath neighbours (MMBee, Algorithm 1)."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from scipy.sparse import csr_matrix

from mmbee_plugin.errors import InputError, one_line
from mmbee_plugin.files import replaced
from mmbee_plugin.graph.lists import NodeLists
from mmbee_plugin.graph.metapaths import Neighbours
from mmbee_plugin.graph.pairs import PairBatch, PairSampler
from mmbee_plugin.graph.settings import NodeStage
from mmbee_plugin.offline.contrast import contrast
from mmbee_plugin.offline.node_table import NodeTable
from mmbee_plugin.randomness.orders import random_order
from mmbee_plugin.settings.section import Section

REVISION = 2
"""of the training; a change that moves the vectors, by a last digit too, raises it, and snapshots get other keys"""


VECTORS = ("users", "authors", "nodes_user", "nodes_author")
"""arrays of a file of node vectors: the tokens (n,), and the vectors (n, d) in their order"""


class NodeTraining(Section):
    """How node vectors are trained by GraphCL (Algorithm 1)."""

    epochs: int = Field(default=10, ge=1)
    """gamma, passes over all nodes"""
    batch_size: int = Field(default=2048, ge=1)
    """nodes of both types together in a step"""
    learning_rate: float = Field(default=0.2, gt=0)
    """alpha"""
    optimiser: Literal["adagrad", "sgd"] = "adagrad"
    """adagrad: one squared-gradient sum a row | sgd: Algorithm 1's plain step"""
    positives: int = Field(default=4, ge=1)
    """metapath neighbours drawn a node"""
    negatives: int = Field(default=64, ge=1)
    """random nodes of the same type drawn a step"""
    by_weight: bool = True
    """draw neighbours by their scores; false: evenly"""
    nce_weight: float = 1.0
    """lambda, line 16"""
    temperature: float = Field(default=1.0, gt=0)
    """of the contrast"""
    normalise: bool = False
    """contrast unit vectors"""
    start: str | None = None
    """file of node vectors by token, as the daily loop keeps them, from which known nodes start; ~: all at random"""


class LocalTraining(NodeTraining):
    """GraphCL in one process, which has a term that tables on several lack."""

    user_author: bool = False
    """add the same loss between users and the authors they gave to; the paper has no term that ties the tables"""
    all_neighbours: bool = False
    """draw positives from all two-step neighbours, whose lists stay in memory, 8 bytes an entry; false: from the stored
    lists, the graph.top_k best"""


class GraphCLSettings(LocalTraining):
    """What one GraphCL run depends on besides its graph and seed."""

    width: int = Field(default=64, ge=1)
    """d, the width of a node vector"""


class Draws:
    """Random draws of a run, start vectors excepted: the nodes of each step and their pairs.

    Equal settings and seeds give equal draws, for tables in one process or on several.

    Args:
        users: the users' positives, u2a2u; may be memory-mapped.
        authors: the authors' positives, a2u2a.
        settings: the run's settings.
        seed: of all draws.

    Attributes:
        users, authors: samplers of the pairs.
    """

    def __init__(self, users: NodeLists, authors: NodeLists, settings: GraphCLSettings, seed: int) -> None:
        self.settings = settings
        self.seeds = [int(word) for word in np.random.SeedSequence(seed).generate_state(4)]
        self.users = self.sampler(users, users.n_nodes, 0)
        self.authors = self.sampler(authors, authors.n_nodes, 1)
        self.random = np.random.default_rng(self.seeds[3])

    def sampler(self, neighbours: NodeLists, n_nodes: int, term: int, same_type: bool = True) -> PairSampler:
        """Pair sampler of the loss term with index ``term``, 0 to 2."""
        chosen = self.settings
        draws = chosen.positives, chosen.negatives, chosen.by_weight
        return PairSampler(neighbours, n_nodes, self.seeds[term], *draws, same_type=same_type)

    def epoch(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """User rows and author rows of each step of the next pass over all nodes, in random order."""
        n_users = self.users.n_nodes
        total = n_users + self.authors.n_nodes
        for batch in random_order(total, self.settings.batch_size, self.random):
            yield batch[batch < n_users], batch[batch >= n_users] - n_users


def train_graphcl(
    u2a: csr_matrix,
    users: NodeLists,
    authors: NodeLists,
    settings: GraphCLSettings,
    seed: int,
    progress: Callable[[int, float, tuple[np.ndarray, np.ndarray]], bool | None] | None = None,
    start: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Trains user and author vectors by GraphCL (MMBee, Algorithm 1).

    A step touches only the rows of its batch, so its time does not grow with the tables.

    Args:
        u2a: (n_users, n_authors) donation graph; only the ``user_author`` term uses its edges.
        users: the users' positives, u2a2u.
        authors: the authors' positives, a2u2a.
        settings: the run's settings.
        seed: of start vectors, node order and pairs; equal seeds give equal tables on one machine.
        progress: called after each epoch with its number from 1, its mean loss and views of the two tables; training
            stops if it returns True.
        start: (n_users, d) and (n_authors, d) vectors to start from; rows of NaN, or all by default, start at random.

    Returns:
        float32 (n_users, d) and (n_authors, d); a node without positives keeps its start vector.
    """
    generator = torch.Generator().manual_seed(seed)
    tables = []
    for side, count in enumerate(u2a.shape):
        rows = torch.randn(count, settings.width, generator=generator).numpy() / np.float32(
            settings.width**0.5
        )
        if start is not None:
            rows = np.where(np.isnan(start[side]), rows, start[side])
        tables.append(NodeTable(rows, settings.learning_rate, settings.optimiser))
    draws = Draws(users, authors, settings, seed)
    # (sampler, table of the nodes, table of their positives and negatives)
    terms = [(draws.users, tables[0], tables[0]), (draws.authors, tables[1], tables[1])]
    if settings.user_author:
        gifts = Neighbours(u2a.indptr.astype(np.int64), u2a.indices.astype(np.int32), u2a.data)
        terms.append((draws.sampler(gifts, u2a.shape[1], 2, same_type=False), tables[0], tables[1]))
    for epoch in range(1, settings.epochs + 1):
        losses = []
        for batch in draws.epoch():
            by_table = {id(table): rows for table, rows in zip(tables, batch, strict=True)}
            for sampler, table, other in terms:
                pairs = sampler.sample(by_table[id(table)])
                if len(pairs.nodes):
                    losses.append(_step(pairs, table, other, settings))
        if progress is not None:
            mean = float(np.mean(losses)) if losses else float("nan")
            if progress(epoch, mean, (tables[0].weight, tables[1].weight)):
                break
    return tables[0].weight, tables[1].weight


def node_stage(
    settings: GraphCLSettings, seed: int, start: tuple[np.ndarray, np.ndarray] | None = None
) -> NodeStage:
    """GraphCL as the last stage of building a snapshot; ``start`` as of `train_graphcl`."""
    key: dict[str, object] = {"kind": "graphcl", "revision": REVISION, "seed": seed}
    unread = (
        set() if settings.all_neighbours else {"all_neighbours"}
    )  # keys from before this setting stay valid
    key |= settings.model_dump(exclude={"start", *unread})
    if start is not None:
        digest = hashlib.sha256()
        for table in start:
            digest.update(np.ascontiguousarray(table).data)
        key["start"] = digest.hexdigest()
    return NodeStage(
        key,
        lambda u2a, users, authors: train_graphcl(u2a, users, authors, settings, seed, start=start),
        uncut=settings.all_neighbours,
    )


def write_vectors(
    path: Path, users: list[str], authors: list[str], tables: tuple[np.ndarray, np.ndarray]
) -> None:
    """Writes node vectors with the tokens of their rows. Raises OSError."""
    content = dict(zip(VECTORS, (np.array(users), np.array(authors), *tables), strict=True))
    with replaced(path, "wb") as file:
        np.savez(file, **content)


def read_vectors(
    path: Path, users: list[str], authors: list[str], width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (n, d) of these users and authors in a file of `write_vectors`, NaN for those that it lacks.

    Raises:
        InputError: no such file, one of another kind, or vectors of another width.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            old_users, old_authors, *tables = (content[name] for name in VECTORS)
    except (OSError, ValueError, KeyError, BadZipFile, EOFError) as error:
        raise InputError(f"{path}: not a file of node vectors ({one_line(error)})") from None
    found = []
    for tokens, old, table in ((users, old_users, tables[0]), (authors, old_authors, tables[1])):
        if table.shape != (len(old), width):
            raise InputError(f"{path}: vectors of shape {table.shape}, expected {(len(old), width)}")
        place = pd.Index(old.astype(object)).get_indexer(pd.Index(tokens, dtype=object))
        rows = table[place].astype(np.float32)
        rows[place < 0] = np.nan
        found.append(rows)
    return found[0], found[1]


def _step(pairs: PairBatch, nodes: NodeTable, others: NodeTable, settings: GraphCLSettings) -> float:
    """Makes one update from the pairs of a batch; returns its mean loss.

    Args:
        pairs: of at least one node.
        nodes: the table of the batch's nodes.
        others: that of their positives and negatives, which may be the same.
        settings: the run's settings.
    """
    ids = [pairs.nodes, pairs.positives, pairs.negatives]
    # Gradients of the sum over nodes, as in Algorithm 1: a node's step does not shrink with the batch.
    loss, *gradients = contrast(
        nodes.rows(pairs.nodes),
        others.rows(pairs.positives),
        others.rows(pairs.negatives),
        pairs.mask,
        settings.nce_weight,
        settings.temperature,
        settings.normalise,
    )
    if nodes is others:
        nodes.step(ids, gradients)
    else:
        nodes.step(ids[:1], gradients[:1])
        others.step(ids[1:], gradients[1:])
    return loss / len(pairs.nodes)
