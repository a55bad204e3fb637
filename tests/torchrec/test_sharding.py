"""What sharding adds to TorchRec's own: weighted bags without the gradients of their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from fbgemm_gpu.split_table_batched_embeddings_ops_training import SplitTableBatchedEmbeddingBagsCodegen
from torch import nn

from mmbee_plugin.torchrec import sharding
from mmbee_plugin.torchrec.initial import InitialRows, local_parts, write_initial
from mmbee_plugin.torchrec.inputs import Inputs, open_store
from mmbee_plugin.torchrec.launch import process_group
from mmbee_plugin.torchrec.maker import BatchMaker
from mmbee_plugin.torchrec.model import TrainModel
from mmbee_plugin.torchrec.reader import TrainReader
from mmbee_plugin.torchrec.settings import parse_settings


def test_tables_move_the_same_without_gradients_of_the_bags_weights(
    sample_shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = parse_settings({"data": {"shards": str(sample_shards)}, "model": {"width": 16}}, "test")
    store = open_store(settings)
    rows = next(TrainReader(store, settings.data, 40, 0).batches(0))
    batch = BatchMaker(store, settings).train(rows, epoch=0)
    assert batch.pools is not None

    def trained() -> tuple[list[torch.Tensor], list[torch.Tensor], int]:
        """The node tables before and after a step, and how many lookups were spared gradients."""
        torch.manual_seed(0)
        inputs = Inputs.of(settings.model, store)
        with process_group(60) as process:
            model, _ = sharding.shard(TrainModel(inputs), settings, process.device)
            write_initial(model.module.tables, InitialRows(inputs, 0))
            tables = model.module.tables.pools.state_dict().values()
            before = [part.clone() for table in tables for part, _ in local_parts(table)]
            told.clear()
            model(batch)[0].backward()
            after = [part.clone() for table in tables for part, _ in local_parts(table)]
            return before, after, len([given for given in told if given is not None and not given.any()])

    told: list[torch.Tensor | None] = []
    stock = SplitTableBatchedEmbeddingBagsCodegen.forward

    def forward(self: nn.Module, *arguments: Any, **named: Any) -> torch.Tensor:
        told.append(named.get("feature_requires_grad"))
        return stock(self, *arguments, **named)

    monkeypatch.setattr(SplitTableBatchedEmbeddingBagsCodegen, "forward", forward)
    start, spared, with_hook = trained()
    monkeypatch.setattr(sharding, "without_weight_gradients", lambda pools: None)
    again, whole, without = trained()
    for before, also, one, other in zip(start, again, spared, whole, strict=True):
        assert torch.equal(before, also) and (before != one).any()
        assert torch.equal(one, other)
    assert with_hook > without == 0
