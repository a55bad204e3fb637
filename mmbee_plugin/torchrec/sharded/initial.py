"""Initial rows of the tables, independent of the sharding and of the number of processes.

TorchRec would initialise every shard by itself. Here each block of rows has a generator seeded by seed, table and
block, so that a process draws only the blocks of its shards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.distributed._shard.sharded_tensor import ShardedTensor

from mmbee_plugin.errors import InputError
from mmbee_plugin.modules.exchange import WORD_TABLES
from mmbee_plugin.modules.mfq import initial_queries
from mmbee_plugin.torchrec.batches.inputs import Inputs
from mmbee_plugin.torchrec.shards.layout import NODES

BLOCK = 8192
"""rows that share a generator."""
WORD_STD = 0.1

NodeVectors = tuple[NDArray[np.float32], NDArray[np.float32]]
"""stored vectors (n_users, d) and (n_authors, d)."""


class InitialRows:
    """Rows of any table before the first step.

    Id vectors are normal with standard deviation ``init_std``, word vectors with `WORD_STD`; query tokens come from
    :func:`~mmbee_plugin.modules.mfq.initial_queries`. Node vectors are GraphCL's, scaled to ``node_std``, or normal
    with it. Row 0, except of words, and the rows of ``unseen_rows`` are zero.

    Args:
        inputs: for widths of the tables and standard deviations.
        seed: of the job.
        nodes: stored node vectors; None draws them.

    Raises:
        InputError: stored vectors of another width.
    """

    def __init__(self, inputs: Inputs, seed: int, nodes: NodeVectors | None = None) -> None:
        self.model, self.seed = inputs.model, seed
        self.from_author = inputs.num_queries > 0 and inputs.query_start == "author"
        self.counts = {"user": inputs.n_users, "author": inputs.n_authors}
        self.nodes = dict(zip((NODES["u"], NODES["a"]), nodes, strict=True)) if nodes is not None else {}
        for table, vectors in self.nodes.items():
            if vectors.shape[1] != self.model.width:
                raise InputError(
                    f"{table}: stored vectors have width {vectors.shape[1]}, the model {self.model.width}; "
                    "train them with that width, or set model.node_tables=fresh"
                )
        self._scale = {
            table: self.model.node_std / _deviation(vectors) for table, vectors in self.nodes.items()
        }

    def rows(self, table: str, start: int, stop: int, width: int) -> Iterator[tuple[int, torch.Tensor]]:
        """Yields rows ``start`` to ``stop`` of a table in pieces: number of the first row, values (rows, width)."""
        for block in range(start // BLOCK, -(-stop // BLOCK)):
            values = self._block(table, block, width)
            if block == 0 and not table.startswith(WORD_TABLES):
                values[0] = 0
            if table in self.counts:
                values[max(0, self.counts[table] + 1 - block * BLOCK) :] = 0
            first = max(start, block * BLOCK)
            yield first, values[first - block * BLOCK : stop - block * BLOCK]

    def _block(self, table: str, block: int, width: int) -> torch.Tensor:
        if table in self.nodes:
            stored = self.nodes[table]
            first = block * BLOCK  # id r + 1 is row r
            vectors = torch.zeros(BLOCK, width)
            found = torch.from_numpy(np.array(stored[max(0, first - 1) : first + BLOCK - 1]))
            offset = 1 if block == 0 else 0
            vectors[offset : offset + len(found)] = found * self._scale[table]
            return vectors
        drawn = torch.randn(BLOCK, width, generator=_generator(self.seed, table, block))
        if table == "query":
            authors = self._block("author", block, self.model.width) if self.from_author else None
            return initial_queries(drawn, self.model.shared_queries, authors)
        return drawn * self._std(table)

    def _std(self, table: str) -> float:
        if table.startswith(WORD_TABLES):
            return WORD_STD
        return self.model.node_std if table in NODES.values() else self.model.init_std


@torch.no_grad()
def write_initial(tables: nn.Module, initial: InitialRows) -> None:
    """Writes the rows of this process's shards of a :class:`~mmbee_plugin.torchrec.sharded.tables.Tables`, or of the
    whole tables if they are not sharded."""
    for name, weight in tables.state_dict().items():
        table = name.split(".")[-2]
        width = weight.shape[1]
        for tensor, (row, column) in local_parts(weight):
            stop = row + tensor.shape[0]
            for first, values in initial.rows(table, row, stop, width):
                columns = values[:, column : column + tensor.shape[1]]
                tensor[first - row : first - row + len(values)].copy_(columns)


def local_parts(tensor: torch.Tensor | ShardedTensor) -> Iterator[tuple[torch.Tensor, tuple[int, ...]]]:
    """This process's parts of a tensor, such as a table, each with the row and column at which it begins."""
    if not isinstance(tensor, ShardedTensor):
        yield tensor, (0,) * tensor.dim()
        return
    for shard in tensor.local_shards():
        yield shard.tensor, tuple(shard.metadata.shard_offsets)


def _generator(seed: int, table: str, block: int) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}/{table}/{block}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def _deviation(vectors: NDArray[np.float32]) -> float:
    """Standard deviation of all entries, read piece by piece."""
    total = squares = 0.0
    for start in range(0, len(vectors), BLOCK):
        piece = np.asarray(vectors[start : start + BLOCK], dtype=np.float64)
        total += float(piece.sum())
        squares += float((piece**2).sum())
    count = vectors.size
    return float(np.sqrt(max(squares - total**2 / count, 0) / max(count - 1, 1))) or 1.0
