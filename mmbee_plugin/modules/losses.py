"""Losses of the gift-through rate model: labelled samples of one or several tasks, or a positive against negatives.

Each is a mean over the rows of a batch. With ``weights`` (B,) it is the weighted sum instead: a process that holds a
part of a batch passes each row's share of the whole batch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F


def binary_cross_entropy(
    logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean logistic loss (MMBee, eq. 2).

    Shapes:
        - logits, labels: any one shape; with ``weights`` (B,), (B,) or (B, C); output: scalar
    """
    return over_rows(F.binary_cross_entropy_with_logits(logits, labels, reduction="none"), weights)


def multi_task(
    logits: torch.Tensor, labels: torch.Tensor, mask: torch.Tensor, weights: torch.Tensor | None = None
) -> torch.Tensor:
    r"""Sum over tasks of the mean logistic loss over the samples with a known label.

    .. math:: L = \sum_k \sum_b m_{bk} \mathrm{BCE}(y_{bk}, l_{bk}) / \max(1, \sum_b m_{bk})

    A task without a known label in the batch adds nothing.

    Args:
        weights: (B, T) weight of each entry in its task's mean over the whole batch, where a process holds a part.

    Shapes:
        - logits, labels, mask: (B, T), labels of any finite value where mask is false; output: scalar
    """
    loss = F.binary_cross_entropy_with_logits(logits, labels * mask, reduction="none")
    if weights is None:
        weights = 1 / mask.sum(dim=0).clamp(min=1)
    return (loss * mask * weights).sum()


def bayesian_personalised_ranking(
    positive: torch.Tensor, negatives: torch.Tensor, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Mean of ``-log sigmoid(positive - negative)`` (Rendle et al., UAI 2009).

    Shapes:
        - positive: (B,); negatives: (B, M); output: scalar
    """
    return over_rows(-F.logsigmoid(positive.unsqueeze(1) - negatives), weights)


def sampled_softmax(
    logits: torch.Tensor,
    target: torch.Tensor,
    allowed: torch.Tensor | None = None,
    log_expected: torch.Tensor | None = None,
    weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Cross-entropy of the target against a pool of candidates, corrected for how often each is drawn.

    Args:
        logits: (B, C) scores of the pool, already divided by the temperature.
        target: (B,) column of the positive.
        allowed: (B, C) bool, false for columns that are other positives of the row; None allows all.
        log_expected: (C,) :func:`log_expected_draws` of a shared pool; subtracted from the logits (Bengio and Senécal,
            2008), so that popular candidates are not punished for being drawn often.

    Shapes:
        - output: scalar
    """
    if allowed is not None:
        keep = allowed.scatter(1, target.unsqueeze(1), True)
        offset = logits.new_zeros(()) if log_expected is None else -log_expected
        logits = logits + torch.where(keep, offset, torch.finfo(logits.dtype).min)
    elif log_expected is not None:
        logits = logits - log_expected
    return over_rows(F.cross_entropy(logits, target, reduction="none"), weights)


def log_expected_draws(
    counts: torch.Tensor, total: float | torch.Tensor, rows: int, draws: int, n_authors: int
) -> torch.Tensor:
    r"""Log of each candidate's expected number of draws (C,) in a pool of positives and uniform negatives.

    .. math:: \log(B c_a / \sum_i c_i + M / n)

    Args:
        counts: (C,) number of training rows whose positive is the candidate, c.
        total: sum of the counts of all authors.
        rows: number of positives in the pool, B.
        draws: number of negatives of all rows together, M.
        n_authors: number of authors, n.
    """
    return torch.log(rows * counts / total + draws / n_authors)


def over_rows(loss: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
    """loss (B,) or (B, C) -> scalar: the mean, or the sum of the rows' means times ``weights`` (B,)."""
    if weights is None:
        return loss.mean()
    return (loss.reshape(len(loss), -1).mean(dim=1) * weights).sum()
