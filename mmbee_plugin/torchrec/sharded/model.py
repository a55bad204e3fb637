"""GTRModel over sharded tables: the module that TorchRec distributes."""

from __future__ import annotations

import torch
from torch import nn

from mmbee_plugin.modules import losses
from mmbee_plugin.modules.gtr import EncodedAuthor, EncodedUser, GTRModel
from mmbee_plugin.torchrec.batches.batch import Batch, Targets
from mmbee_plugin.torchrec.batches.inputs import Inputs
from mmbee_plugin.torchrec.sharded.gather import interleave
from mmbee_plugin.torchrec.sharded.tables import Looked, Tables, author_side, user_side


class Scorer(nn.Module):
    """The dense part: looked-up vectors to logits and loss. It holds GTRModel and no table.

    A leaf for TorchRec's tracer, which follows the ids of a batch no further than to the tables.

    Args:
        inputs: which inputs there are.
        precision: ``bf16`` computes under autocast; losses and the tables stay float32.
    """

    def __init__(self, inputs: Inputs, precision: str = "fp32") -> None:
        super().__init__()
        self.inputs = inputs
        self.bf16 = precision == "bf16"
        self.gtr = GTRModel(inputs.gtr_settings(), inputs.content_settings(), inputs.sim_settings())

    def forward(self, batch: Batch, looked: Looked) -> tuple[torch.Tensor, torch.Tensor]:
        """-> loss (), whose mean over the processes is the global batch's, and logits: (B, C), or (B, T) of labelled
        samples."""
        targets = batch.targets
        assert targets is not None
        with self.autocast(targets.weights.device):
            user = self.gtr.encode_user(user_side(self.inputs, batch, looked))
            author = self.encode_authors(batch, looked)
            if targets.allowed is not None:
                logits = self._against_all(user, author, targets)
                auxiliary = None
            else:
                author = author.unsqueeze(1) if targets.position is None else author.take(targets.position)
                if targets.tasks is None:
                    logits = self.gtr.score_candidates(user, author)
                else:
                    logits = self.gtr.score_tasks(user, author).squeeze(1)
                labels = _labels(logits, targets)
                auxiliary = self.gtr.auxiliary_loss(user, author, labels, targets.weights)
        logits = logits.float()
        loss = self._loss(logits, targets)
        if auxiliary is not None:
            loss = loss + auxiliary
        return loss, logits

    def encode_authors(self, batch: Batch, looked: Looked) -> EncodedAuthor:
        """The batch's authors; where rows are scored pair by pair, each row's own, which rows of one author and moment
        pay for once."""
        author = self.gtr.encode_author(author_side(self.inputs, batch, looked))
        assert batch.authors is not None
        return author if batch.authors.place is None else author.take(batch.authors.place)

    def autocast(self, device: torch.device) -> torch.autocast:
        """The precision of the dense part, as a context."""
        return torch.autocast(device.type, dtype=torch.bfloat16, enabled=self.bf16)

    def _against_all(self, user: EncodedUser, author: EncodedAuthor, targets: Targets) -> torch.Tensor:
        """Logits (B, C) against the pool that all processes encoded together."""
        top = interleave(author.top)
        # Only a cross part looks at the target's id vector by itself; a dot head has it in its top.
        pool = EncodedAuthor(top, top.new_empty(len(top), 0), targets.pool_ids)
        return self.gtr.score_all(user, pool)

    def _loss(self, logits: torch.Tensor, targets: Targets) -> torch.Tensor:
        model, weights = self.inputs.model, targets.weights
        if targets.allowed is not None:
            assert targets.position is not None and targets.log_expected is not None
            return losses.sampled_softmax(
                logits / model.temperature, targets.position, targets.allowed, targets.log_expected, weights
            )
        if targets.tasks is not None:
            assert targets.task_weights is not None
            known = targets.task_weights > 0
            return losses.multi_task(logits, targets.tasks, known, targets.task_weights)
        if targets.labels is not None or model.loss == "bce":
            return losses.binary_cross_entropy(logits, _labels(logits, targets), weights=weights)
        if model.loss == "bpr":
            return losses.bayesian_personalised_ranking(logits[:, 0], logits[:, 1:], weights)
        return losses.sampled_softmax(
            logits / model.temperature,
            torch.zeros(len(logits), dtype=torch.long, device=logits.device),
            torch.ones_like(logits, dtype=torch.bool),
            logits.new_zeros(logits.shape[1]),
            weights,
        )


class TrainModel(nn.Module):
    """Tables and dense part.

    Args:
        inputs: which inputs there are.
        precision: of the dense part, fp32 or bf16.
        device: of the tables, ``meta`` where they are to be sharded.
    """

    def __init__(self, inputs: Inputs, precision: str = "fp32", device: torch.device | str = "meta") -> None:
        super().__init__()
        self.inputs = inputs
        self.tables = Tables(inputs, torch.device(device))
        self.scorer = Scorer(inputs, precision)

    def forward(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """-> loss () and logits, as :class:`Scorer`."""
        return self.scorer(batch, self.tables(batch))

    def encode_users(self, batch: Batch) -> EncodedUser | None:
        """The batch's users, ready to meet any author; None for a batch without.

        As all methods that look ids up, to be called by every process, with one stride.
        """
        looked = self.tables(batch)
        if batch.users is None:
            return None
        with self.scorer.autocast(batch.sequences.device()):
            return self.scorer.gtr.encode_user(user_side(self.inputs, batch, looked))

    def encode_authors(self, batch: Batch) -> EncodedAuthor | None:
        """The batch's authors, ready to meet any user; None for a batch without."""
        looked = self.tables(batch)
        if batch.authors is None:
            return None
        with self.scorer.autocast(batch.sequences.device()):
            return self.scorer.encode_authors(batch, looked)

    def score(self, batch: Batch) -> torch.Tensor:
        """Logits (B,) of the batch's users and authors, pair by pair."""
        looked = self.tables(batch)
        if batch.users is None:
            return torch.empty(0, device=batch.sequences.device())
        gtr = self.scorer.gtr
        with self.scorer.autocast(batch.sequences.device()):
            user = gtr.encode_user(user_side(self.inputs, batch, looked))
            return gtr.score(user, self.scorer.encode_authors(batch, looked)).float()


def _labels(logits: torch.Tensor, targets: Targets) -> torch.Tensor:
    """(B, C) labels of each row's candidates: the given ones, or 1 for the first."""
    if targets.labels is not None:
        return targets.labels.unsqueeze(1)
    return (torch.arange(logits.shape[1], device=logits.device) == 0).float().expand_as(logits)
