"""GTRModel over sharded tables: the module that TorchRec distributes."""

from __future__ import annotations

import torch
from torch import nn

from mmbee_plugin.modules.gtr import EncodedAuthor, EncodedUser, GTRModel
from mmbee_plugin.torchrec.batches.batch import Batch
from mmbee_plugin.torchrec.batches.inputs import Inputs
from mmbee_plugin.torchrec.sharded.gather import interleave
from mmbee_plugin.torchrec.sharded.tables import Looked, Tables, author_side, user_side


class Scorer(nn.Module):
    """The dense part, GTRModel: looked-up vectors to logits and loss.

    A leaf module for TorchRec's tracer, which follows the ids of a batch only to the tables.

    Args:
        inputs: which inputs the model reads.
        precision: ``bf16`` trains under autocast; losses, the tables and evaluation stay float32, since scores of
            bfloat16 are so coarse that many tie.
    """

    def __init__(self, inputs: Inputs, precision: str = "fp32") -> None:
        super().__init__()
        self.inputs = inputs
        self.bf16 = precision == "bf16"
        self.objective = inputs.objective
        self.gtr = GTRModel(*inputs.parts)

    def forward(self, batch: Batch, looked: Looked) -> tuple[torch.Tensor, torch.Tensor]:
        """-> loss (), its mean over processes that of the global batch, and logits (B, C), or (B, T) of labels."""
        targets = batch.targets
        assert targets is not None
        with torch.autocast(batch.sequences.device().type, dtype=torch.bfloat16, enabled=self.bf16):
            user = self.gtr.encode_user(user_side(self.inputs, batch, looked))
            author = self.encode_authors(batch, looked)
            if batch.pool is not None:
                author = _pooled(author, batch.pool)
            return self.objective(self.gtr, user, author, targets)

    def encode_authors(self, batch: Batch, looked: Looked) -> EncodedAuthor:
        """Encodes the batch's authors; where rows are scored pair by pair, each author and moment once, repeated for
        the rows (B,) that share it."""
        author = self.gtr.encode_author(author_side(self.inputs, batch, looked))
        return author if batch.paired is None else author.take(batch.paired)


class TrainModel(nn.Module):
    """Tables and dense part.

    Args:
        inputs: which inputs the model reads.
        precision: of the dense part in training, fp32 or bf16.
        device: of the tables; ``meta`` if they are to be sharded.
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
        """Encodes the batch's users; None for a batch without users.

        Look-ups are collective: every process calls this method, with one stride, as `encode_authors` and `score`.
        """
        looked = self.tables(batch)
        if batch.users is None:
            return None
        return self.scorer.gtr.encode_user(user_side(self.inputs, batch, looked))

    def encode_authors(self, batch: Batch) -> EncodedAuthor | None:
        """Encodes the batch's authors; None for a batch without authors."""
        looked = self.tables(batch)
        if batch.authors is None:
            return None
        return self.scorer.encode_authors(batch, looked)

    def score(self, batch: Batch) -> torch.Tensor:
        """Logits (B,) of the batch's users and authors, pair by pair."""
        looked = self.tables(batch)
        if batch.users is None:
            return torch.empty(0, device=batch.sequences.device())
        user = self.scorer.gtr.encode_user(user_side(self.inputs, batch, looked))
        return self.scorer.gtr.score(user, self.scorer.encode_authors(batch, looked))


def _pooled(own: EncodedAuthor, ids: torch.Tensor) -> EncodedAuthor:
    """Gathers the authors that the processes encoded into one pool, whose author rows are ``ids`` (C,)."""
    top = interleave(own.top)
    # Only a cross part reads the target's id vector on its own; for a dot head it is part of `top`.
    return EncodedAuthor(top, top.new_empty(len(top), 0), ids)
