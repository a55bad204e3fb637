"""Resumable training of a model against its critic."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
from torch import Tensor

from mmbee_plugin.recbole.training.trainer import MMBeeTrainer

BETAS = (0.5, 0.9)


class AdversarialTrainer(MMBeeTrainer):
    """Trains with Adam at ``critic_learning_rate`` for ``model.critic``, and with ``learner`` for everything else.

    Each batch is one step of the critic, then one of the model. From the second epoch on, an epoch starts with
    ``model.refresh_graphs()``. Checkpoints hold both optimizers.
    """

    def _build_optimizer(self, **kwargs: Any) -> torch.optim.Optimizer:
        own = list(self.model.critic.parameters())
        rate = self.config["critic_learning_rate"]
        self.critic_optimizer = torch.optim.Adam(own, lr=rate, betas=BETAS, fused=True)
        known = {id(parameter) for parameter in own}
        rest = [parameter for parameter in self.model.parameters() if id(parameter) not in known]
        return super()._build_optimizer(params=rest, **kwargs)

    def _train_epoch(
        self,
        train_data: AbstractDataLoader,
        epoch_idx: int,
        loss_func: Callable[..., Tensor] | None = None,
        show_progress: bool = False,
    ) -> float | tuple[float, ...]:
        if epoch_idx > 0:
            self.model.refresh_graphs()
        adversarial = partial(loss_func or self.model.calculate_loss, critic_step=self._critic_step)
        return super()._train_epoch(train_data, epoch_idx, adversarial, show_progress)

    def _critic_step(self, loss: Tensor) -> None:
        self.critic_optimizer.zero_grad()
        loss.backward()
        self.critic_optimizer.step()
