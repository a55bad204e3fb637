"""The ways around slow CPU kernels change nothing but the time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fbgemm_gpu.split_table_batched_embeddings_ops_common import PoolingMode
from fbgemm_gpu.split_table_batched_embeddings_ops_training import SplitTableBatchedEmbeddingBagsCodegen
from torch import nn

from mmbee_plugin.torchrec.batches.inputs import Inputs, open_store
from mmbee_plugin.torchrec.batches.maker import BatchMaker
from mmbee_plugin.torchrec.batches.reader import TrainReader
from mmbee_plugin.torchrec.processes.launch import process_group
from mmbee_plugin.torchrec.settings import parse_settings
from mmbee_plugin.torchrec.sharded import cpu_kernels, sharding
from mmbee_plugin.torchrec.sharded.initial import InitialRows, local_parts, write_initial
from mmbee_plugin.torchrec.sharded.model import TrainModel

Trained = tuple[list[torch.Tensor], list[torch.Tensor], list[tuple[PoolingMode, bool]]]


@pytest.fixture
def train(sample_shards: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], Trained]:
    """The tables before and after a step of a model, and how each kernel was called: its pooling, and whether it was
    spared the gradients of weights."""
    told: list[tuple[PoolingMode, bool]] = []
    stock = SplitTableBatchedEmbeddingBagsCodegen.forward

    def forward(self: nn.Module, *arguments: Any, **named: Any) -> torch.Tensor:
        wanted = named.get("feature_requires_grad")
        told.append((self.pooling_mode, wanted is not None and not wanted.any()))
        return stock(self, *arguments, **named)

    monkeypatch.setattr(SplitTableBatchedEmbeddingBagsCodegen, "forward", forward)

    def trained(model_settings: dict[str, Any]) -> Trained:
        content = {"data": {"shards": str(sample_shards)}, "model": {"width": 16, **model_settings}}
        settings = parse_settings(content, "test")
        store = open_store(settings)
        rows = next(TrainReader(store, settings.data, 40, 0).batches(0))
        batch = BatchMaker(store, settings).train(rows, epoch=0)
        torch.manual_seed(0)
        inputs = Inputs.of(settings.model, store)
        with process_group(60) as process:
            model, _ = sharding.shard(TrainModel(inputs), settings, process.device)
            write_initial(model.module.tables, InitialRows(inputs, 0))

            def rows_now() -> list[torch.Tensor]:
                tables = model.module.tables.state_dict().values()
                return [part.clone() for table in tables for part, _ in local_parts(table)]

            before = rows_now()
            told.clear()
            model(batch)[0].backward()
            return before, rows_now(), list(told)

    return trained


@pytest.mark.parametrize("interest", ["gie", "bdr"])
def test_tables_move_the_same_whichever_way_they_are_looked_up(
    train: Callable[[dict[str, Any]], Trained], monkeypatch: pytest.MonkeyPatch, interest: str
) -> None:
    """BDR has several features, of several tables, that are read row by row."""
    start, mended, called = train({"interest": interest})
    monkeypatch.setattr(sharding, "speed_up", lambda model: None)
    again, stock, called_before = train({"interest": interest})
    for before, also, one, other in zip(start, again, mended, stock, strict=True):
        assert torch.equal(before, also) and torch.equal(one, other)
    assert any(not torch.equal(before, one) for before, one in zip(start, mended, strict=True))
    assert PoolingMode.NONE in dict(called_before) and PoolingMode.NONE not in dict(called)
    spared = [unweighted for _, unweighted in called]
    assert any(spared) == (interest == "gie") and not any(unweighted for _, unweighted in called_before)


@pytest.mark.parametrize("tables", [(0, 0, 0), (0, 0, 1), (0, 1, 1), (0, 1, 2)])
def test_rows_of_features_of_any_size_come_in_their_order(tables: tuple[int, ...]) -> None:
    """Features of 0, 3 and 1 ids, and no id at all, each table with rows of its own."""
    rows = torch.arange(60.0).view(3, 10, 2)

    def sums(indices: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        stride, edges = (len(offsets) - 1) // 3, offsets.tolist()
        bags = [
            rows[tables[bag // stride], indices[edges[bag] : edges[bag + 1]]].sum(dim=0)
            for bag in range(3 * stride)
        ]
        return torch.stack(bags).view(3, stride, 2).transpose(0, 1).reshape(stride, 6)

    ids = torch.tensor([7, 2, 2, 5])
    offsets = torch.tensor([0, 0, 0, 2, 3, 3, 4])  # two bags a feature
    of = torch.tensor(tables)[torch.tensor([1, 1, 1, 2])]
    assert torch.equal(cpu_kernels._rows_as_sums(sums, tables, ids, offsets), rows[of, ids])
    assert cpu_kernels._rows_as_sums(sums, tables, ids[:0], torch.zeros(7, dtype=torch.long)).shape == (0, 2)
