"""Training loss of GTRModel from encoded sides: scores, their loss, and auxiliary losses of the parts."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mmbee_plugin.modules import losses
from mmbee_plugin.modules.batch import Targets
from mmbee_plugin.modules.gtr import EncodedAuthor, EncodedUser, GTRModel


@dataclass(frozen=True)
class Objective:
    """Loss of a batch, by the kind of its targets.

    Labelled samples are trained with the logistic loss of one task or several, drawn negatives with ``bce``, ``bpr`` or
    ``softmax``. The softmax runs over a pool that the rows share, or, if scoring a pair is costly
    (:attr:`GTRModel.pays_per_pair`), over each row's own candidates, since all pairs of rows and pool would not fit in
    memory. Scores are computed in the caller's precision, losses in float32.
    """

    loss: str
    """bce, bpr or softmax."""
    temperature: float = 1.0
    """divisor of the softmax's logits."""

    def shares_pool(self, pays_per_pair: bool) -> bool:
        """Whether all rows of a batch have one pool of candidates."""
        return self.loss == "softmax" and not pays_per_pair

    def __call__(
        self, model: GTRModel, user: EncodedUser, author: EncodedAuthor, targets: Targets
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss () and logits, (B, C), or (B, T) of labelled samples.

        Args:
            user: (B, ·).
            author: (B, ·) of labelled samples, else (C, ·) the batch's authors or the shared pool.
        """
        if targets.allowed is not None:  # no part reads pairs, so none has an auxiliary loss
            logits = model.score_all(user, author).float()
            return self._softmax(logits, targets.position, targets), logits
        if targets.labels is not None:
            tasks = targets.labels.shape[1]
            logits = model.score_tasks(user, _candidates(author, targets), tasks).squeeze(1).float()
            labels, loss = targets.labels[:, :1], _labelled(logits, targets.labels, targets)
        else:
            logits = model.score_candidates(user, _candidates(author, targets)).float()
            labels = (torch.arange(logits.shape[1], device=logits.device) == 0).float().expand_as(logits)
            loss = self._drawn(logits, labels, targets)
        auxiliary = model.auxiliary_loss(user, _candidates(author, targets), labels, targets.weights)
        return loss if auxiliary is None else loss + auxiliary, logits

    def _drawn(self, logits: torch.Tensor, labels: torch.Tensor, targets: Targets) -> torch.Tensor:
        """Loss of each row's own candidates, logits and labels (B, 1 + M), the positive first."""
        if self.loss == "bpr":
            return losses.bayesian_personalised_ranking(logits[:, 0], logits[:, 1:], targets.weights)
        if self.loss == "bce":
            return losses.binary_cross_entropy(logits, labels, weights=targets.weights)
        return self._softmax(logits, labels.argmax(dim=1), targets)

    def _softmax(self, logits: torch.Tensor, positive: torch.Tensor | None, targets: Targets) -> torch.Tensor:
        assert positive is not None
        scaled = logits if self.temperature == 1 else logits / self.temperature
        return losses.sampled_softmax(
            scaled, positive, targets.allowed, targets.log_expected, targets.weights
        )


def _labelled(logits: torch.Tensor, labels: torch.Tensor, targets: Targets) -> torch.Tensor:
    """Loss of logits and labels (B, T)."""
    if labels.shape[1] == 1:
        return losses.binary_cross_entropy(logits, labels, weights=targets.weights)
    return losses.multi_task(logits, labels, labels >= 0, targets.task_weights)


def _candidates(author: EncodedAuthor, targets: Targets) -> EncodedAuthor:
    """Each row's own authors (B, C, ·)."""
    return author.unsqueeze(1) if targets.position is None else author.take(targets.position)
