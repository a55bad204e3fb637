"""What GTRModel asks of a backbone: to look at a user's history with a target author in mind."""

from __future__ import annotations

import torch
from torch import nn

from mmbee_plugin.modules.batch import UserSide

Memory = dict[str, torch.Tensor]
"""what a backbone keeps of a user, computed once for all targets; every tensor's first axis is the user's."""


class Backbone(nn.Module):
    """Base of SIM, DIN, DIEN, SASRec and MeanHistory.

    ``summary`` and ``remember`` run once a user; ``cross`` runs for every pair, so nothing that depends on one side
    alone belongs there.
    """

    user_width: int = 0
    """width of what ``summary`` returns, 0 for nothing."""
    cross_width: int = 0
    """width of what ``cross`` returns, 0 for nothing."""

    def summary(self, side: UserSide) -> torch.Tensor | None:
        """What the history says of the users whatever the target: (B, user_width), or None."""
        return None

    def remember(self, side: UserSide) -> Memory:
        """Prepares ``B`` users' histories for any number of targets; nothing where there is no ``cross``."""
        return {}

    def cross(
        self, memory: Memory, author: torch.Tensor, category: torch.Tensor | None = None
    ) -> torch.Tensor | None:
        """Interest of each user in each target: author (B or 1, C, d), category (B or 1, C) where there are any ->
        (B, C, cross_width), or None."""
        return None

    def auxiliary_loss(
        self,
        memory: Memory,
        author: torch.Tensor,
        labels: torch.Tensor,
        weights: torch.Tensor | None = None,
    ) -> torch.Tensor | None:
        """Loss () of the backbone's own auxiliary task, or None where it has none.

        Args:
            memory: what ``remember`` returned for ``B`` users.
            author: (B, C, d) their candidates' id vectors.
            labels: (B, C) 1 for the candidates gifted to.
            weights: (B,) as in :mod:`~mmbee_plugin.modules.losses`.
        """
        return None


def masked_softmax(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Softmax over the last axis where mask is true; a row without any true entry is all zero."""
    weight = torch.softmax(logits.masked_fill(~mask, torch.finfo(logits.dtype).min), dim=-1)
    return weight * mask
