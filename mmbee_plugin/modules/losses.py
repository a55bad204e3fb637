"""Losses of the gift-through rate model: over labelled samples, or one positive against others."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def binary_cross_entropy(
    logits: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean logistic loss (MMBee, eq. 2) over the entries where mask is true; 0 where none is.

    Shapes:
        - logits, labels, mask: any one shape; output: scalar
    """
    if mask is None:
        return F.binary_cross_entropy_with_logits(logits, labels)
    loss = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return (loss * mask).sum() / mask.sum().clamp(min=1)


def bayesian_personalised_ranking(positive: torch.Tensor, negatives: torch.Tensor) -> torch.Tensor:
    """Mean of ``-log sigmoid(positive - negative)`` (Rendle et al., UAI 2009).

    Shapes:
        - positive: (B,); negatives: (B, M); output: scalar
    """
    return -F.logsigmoid(positive.unsqueeze(1) - negatives).mean()


def sampled_softmax(
    logits: torch.Tensor,
    target: torch.Tensor,
    allowed: torch.Tensor,
    log_expected: torch.Tensor,
) -> torch.Tensor:
    """Cross-entropy of the target against a shared pool of candidates, corrected for how often each is drawn.

    Args:
        logits: (B, C) scores of the pool, already divided by the temperature.
        target: (B,) column of the positive.
        allowed: (B, C) bool, false for columns that are other positives of the row.
        log_expected: (C,) log of how often a candidate is expected in a pool; it is subtracted from the logits
            (Bengio and Senécal, 2008), so that popular candidates are not punished for being drawn often. Zeros turn
            it off.

    Shapes:
        - output: scalar
    """
    corrected = logits - log_expected
    columns = torch.arange(logits.shape[1], device=logits.device)
    keep = allowed | (columns == target.unsqueeze(1))
    corrected = corrected.masked_fill(~keep, torch.finfo(logits.dtype).min)
    return F.cross_entropy(corrected, target)
