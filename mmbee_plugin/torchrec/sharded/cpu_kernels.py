"""Two workarounds for slow backward passes of fbgemm's CPU kernels; results stay equal bit for bit.

Both change how this process calls the kernels of a sharded module. GPUs need neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import accumulate, groupby, pairwise
from typing import Any

import torch
from fbgemm_gpu.split_table_batched_embeddings_ops_common import PoolingMode
from fbgemm_gpu.split_table_batched_embeddings_ops_training import SplitTableBatchedEmbeddingBagsCodegen
from torchrec.distributed import DistributedModelParallel
from torchrec.distributed.embedding import ShardedEmbeddingCollection
from torchrec.distributed.embeddingbag import ShardedEmbeddingBagCollection

from mmbee_plugin.torchrec.sharded.tables import Tables


def speed_up(model: DistributedModelParallel) -> None:
    """Applies both workarounds to a TrainModel distributed over CPU processes."""
    tables: Tables = model.module.tables
    bags_of_one(tables.sequences)
    if tables.pools is not None:
        without_weight_gradients(tables.pools)


def without_weight_gradients(pools: ShardedEmbeddingBagCollection) -> None:
    """Skips the gradients of the weights of weighted bags: unused, they would take most of the backward pass."""

    def spare(kernel: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any]:
        features = len(kernel.feature_table_map)
        return arguments, named | {"feature_requires_grad": torch.zeros(features, dtype=torch.int32)}

    for kernel in _kernels(pools):
        kernel.register_forward_pre_hook(spare, with_kwargs=True)


def bags_of_one(sequences: ShardedEmbeddingCollection) -> None:
    """Looks up the ids of sequences as sums over bags of one row, whose backward pass is several times faster than that
    of unpooled rows."""
    for kernel in _kernels(sequences):
        kernel.pooling_mode = PoolingMode.SUM
        kernel.forward = partial(_rows_as_sums, kernel.forward, tuple(kernel.feature_table_map))


def _rows_as_sums(
    forward: Any, tables: tuple[int, ...], indices: torch.Tensor, offsets: torch.Tensor, **named: Any
) -> torch.Tensor:
    """indices (n,) of features in turn, offsets (features · stride + 1,) of their bags -> rows (n, d).

    The kernel requires the same number of bags of each feature. A table's ids are dealt to its features in equal runs,
    whichever feature they came from; what is missing at the end are empty bags.

    Args:
        tables: the table of each feature, ascending.
    """
    stride = (len(offsets) - 1) // len(tables)
    # Where each feature's ids begin, and the end; then the same of each table.
    edges = offsets[:: max(1, stride)][: len(tables) + 1]
    features = [sum(1 for _ in run) for _, run in groupby(tables)]
    ends = edges[torch.tensor([0, *accumulate(features)])].tolist()
    counts = [end - begin for begin, end in pairwise(ends)]
    longest = max(1, *(-(-count // shared) for count, shared in zip(counts, features, strict=True)))
    begins = [
        begin + torch.arange(shared * longest).clamp(max=count)
        for begin, count, shared in zip(ends, counts, features, strict=False)
    ]
    sums = forward(indices, torch.cat([*begins, edges[-1:]]), **named)  # (longest, features · d)
    by_table = sums.unflatten(1, (len(tables), -1)).split(features, dim=1)
    rows = [part.transpose(0, 1).flatten(0, 1)[:count] for part, count in zip(by_table, counts, strict=True)]
    return rows[0] if len(rows) == 1 else torch.cat(rows)


def _kernels(
    module: ShardedEmbeddingBagCollection | ShardedEmbeddingCollection,
) -> Iterator[SplitTableBatchedEmbeddingBagsCodegen]:
    for lookup in module._lookups:
        for part in lookup.modules():
            if isinstance(part, SplitTableBatchedEmbeddingBagsCodegen):
                yield part
