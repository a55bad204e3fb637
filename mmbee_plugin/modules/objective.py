"""The training step of GTRModel once both sides are encoded: scores, their loss, and what the parts learn beside it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mmbee_plugin.modules import losses
from mmbee_plugin.modules.batch import Targets
from mmbee_plugin.modules.gtr import EncodedAuthor, EncodedUser, GTRModel


@dataclass(frozen=True)
class Objective:
    """The loss of a batch, by the kind of its targets.

    Labelled samples are trained with the logistic loss, of one task or several. Drawn negatives are trained with
    ``bce``, ``bpr`` or ``softmax``; the softmax runs over a pool that the rows share, unless a pair costs something
    (:attr:`GTRModel.pays_per_pair`): then over each row's own candidates, for the whole pool of every row would not
    fit. Scores are computed in the caller's precision, losses in float32.
    """

    loss: str
    """bce, bpr or softmax."""
    temperature: float = 1.0
    """divides the softmax's logits."""

    def shares_pool(self, pays_per_pair: bool) -> bool:
        """Whether all rows of a batch have one pool of candidates."""
        return self.loss == "softmax" and not pays_per_pair

    def __call__(
        self, model: GTRModel, user: EncodedUser, author: EncodedAuthor, targets: Targets
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """-> loss () and logits: (B, C), or (B, T) of labelled samples.

        Args:
            user: (B, ·).
            author: (B, ·) of labelled samples, else (C, ·) the batch's authors or the shared pool.
        """
        if targets.allowed is not None:  # no pair costs anything, so no part has a loss over pairs
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
        return losses.sampled_softmax(
            logits / self.temperature, positive, targets.allowed, targets.log_expected, targets.weights
        )


def _labelled(logits: torch.Tensor, labels: torch.Tensor, targets: Targets) -> torch.Tensor:
    """Loss of logits and labels (B, T)."""
    if labels.shape[1] == 1:
        return losses.binary_cross_entropy(logits, labels, weights=targets.weights)
    return losses.multi_task(logits, labels, labels >= 0, targets.task_weights)


def _candidates(author: EncodedAuthor, targets: Targets) -> EncodedAuthor:
    """Each row's own authors (B, C, ·)."""
    return author.unsqueeze(1) if targets.position is None else author.take(targets.position)
