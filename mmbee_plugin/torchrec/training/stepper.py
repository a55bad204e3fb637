"""Training steps over a stream of batches: sequential, or pipelined to hide the exchange of ids on a GPU."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

import torch
from torchrec.distributed import DistributedModelParallel
from torchrec.distributed.train_pipeline import TrainPipelineSparseDist
from torchrec.optim.keyed import KeyedOptimizer

from mmbee_plugin.torchrec.batches.batch import Batch


class Stepper(ABC):
    """Forward, backward and update of each batch.

    Args:
        model: its forward returns the loss first.
        optimizer: its ``step`` updates the dense part; tables are updated inside the backward pass.
        device: of this process.
    """

    def __init__(
        self, model: DistributedModelParallel, optimizer: KeyedOptimizer, device: torch.device
    ) -> None:
        self.model, self.optimizer, self.device = model, optimizer, device

    @abstractmethod
    def steps(self, batches: Iterator[Batch], seed: Callable[[], int]) -> Iterator[torch.Tensor]:
        """Yields the loss () of each step; torch is seeded with ``seed()`` before each."""

    @abstractmethod
    def finish(self) -> None:
        """Restores the model's own forward for evaluation; more steps may follow."""


class PlainStepper(Stepper):
    """One step after the other."""

    def steps(self, batches: Iterator[Batch], seed: Callable[[], int]) -> Iterator[torch.Tensor]:
        for batch in batches:
            torch.manual_seed(seed())
            self.optimizer.zero_grad()
            loss, _ = self.model(batch.to(self.device))
            loss.backward()
            self.optimizer.step()
            yield loss.detach()

    def finish(self) -> None:
        """Nothing to restore."""


class PipelinedStepper(Stepper):
    """Copies the next batches and exchanges their ids while this one is computed (TrainPipelineSparseDist)."""

    def __init__(
        self, model: DistributedModelParallel, optimizer: KeyedOptimizer, device: torch.device
    ) -> None:
        super().__init__(model, optimizer, device)
        self.pipeline = TrainPipelineSparseDist(model, optimizer, device, custom_model_fwd=self._forward)

    def steps(self, batches: Iterator[Batch], seed: Callable[[], int]) -> Iterator[torch.Tensor]:
        ready = (batch.pin_memory() for batch in batches) if self.device.type == "cuda" else batches
        while True:
            torch.manual_seed(seed())
            try:
                loss = self.pipeline.progress(ready)
            except StopIteration:
                return
            yield loss

    def _forward(self, batch: Batch | None) -> tuple[torch.Tensor, torch.Tensor]:
        loss, _ = self.model(batch)
        return loss, loss.detach()

    def finish(self) -> None:
        self.pipeline.detach()
