"""Exact AUC, UAUC, GAUC and log loss of labelled samples that are distributed over processes.

Averages of per-process metrics would differ. For UAUC and GAUC a user's samples are sent to one process, chosen by a
hash of the user; for AUC each process gets a range of scores. Sums are of whole numbers, so the values equal bit for
bit those of :mod:`mmbee_plugin.evaluation.metrics` on all samples in one process.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import ArrayLike, NDArray

from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.metrics import exact_mean, exact_sum, log_losses, user_auc
from mmbee_plugin.randomness.mixing import mix
from mmbee_plugin.torchrec.processes.collectives import add_up, gather, send_rows

POINTS = 256
"""scores sampled per process, on average, to choose the ranges of scores"""


def labelled_metrics(
    users: ArrayLike, labels: ArrayLike, scores: ArrayLike, device: torch.device
) -> dict[str, float]:
    """``auc``, ``uauc``, ``gauc`` and ``logloss`` of the samples of all processes, on every process.

    Collective over the default group; a process may have no samples.

    Args:
        users: (n,) ids of this process's samples.
        labels: (n,) 0/1.
        scores: (n,) probabilities.
        device: of the tensors sent.

    Raises:
        InputError: as the functions of `evaluation.metrics`; on every process, if any has a bad sample.
    """
    user = np.asarray(users, dtype=np.int64).reshape(-1)
    label, score = np.asarray(labels).reshape(-1), np.asarray(scores, dtype=np.float64).reshape(-1)
    losses = _checked(user, label, score)
    positive = label.astype(np.int64)
    counts = add_up([len(losses), int(positive.sum()), *exact_sum(losses)], device)
    samples, positives = int(counts[0]), int(counts[1])
    if positives in (0, samples):
        raise InputError(f"labels: all {samples} are {int(positives > 0)}; AUC needs both 0 and 1")
    uauc, gauc = _grouped(user, positive, score, device)
    auc = _area(positive, score, samples, device)
    return {"auc": auc, "uauc": uauc, "gauc": gauc, "logloss": exact_mean(counts[2:], samples)}


def _checked(user: NDArray, label: NDArray, score: NDArray) -> NDArray[np.float64]:
    """Log losses (n,) of the samples; an error of any process is raised on all, so that none waits for it."""
    losses, problem = np.empty(0), None
    try:
        losses = log_losses(label, score)
        if len(user) != len(score):
            problem = f"users: {len(user)} values for {len(score)} scores; there must be one for each"
    except InputError as error:
        problem = str(error)
    problems = gather(problem)
    for rank, found in enumerate(problems):
        if found is not None:
            raise InputError(f"process {rank}: {found}")
    return losses


def _grouped(user: NDArray, positive: NDArray, score: NDArray, device: torch.device) -> tuple[float, float]:
    """UAUC and GAUC; all samples of a user are first sent to one process."""
    destination = (mix(0, user) % np.uint64(dist.get_world_size())).astype(np.int64)
    mine = user_auc(*send_rows((user, positive, score), destination, device))
    sums = [*exact_sum(mine.auc), *exact_sum(mine.auc, mine.impressions)]
    total = add_up([*sums, len(mine.auc), int(mine.impressions.sum())], device)
    if total[4] == 0:
        raise InputError("labels: no user has both a 0 and a 1; UAUC and GAUC need at least one")
    return exact_mean(total[:2], int(total[4])), exact_mean(total[2:4], int(total[5]))


def _area(positive: NDArray, score: NDArray, samples: int, device: torch.device) -> float:
    """AUC over all samples: each process compares the pairs within its range of scores."""
    world = dist.get_world_size()
    ordered = np.sort(score)
    points = np.sort(np.concatenate(gather(ordered[:: max(1, samples // (POINTS * world))])))
    bounds = points[np.arange(1, world) * len(points) // world]  # (world - 1,)
    # Equal scores fall into one range, so no tie is split.
    positive, score = send_rows((positive, score), np.searchsorted(bounds, score), device)
    high, low = score[positive == 1], np.sort(score[positive == 0])
    twice = sum(int(np.searchsorted(low, high, side).sum()) for side in ("left", "right"))
    wins, below, positives = Fraction(0), 0, 0
    for range_twice, range_positives, range_negatives in gather((twice, len(high), len(low))):
        wins += Fraction(range_twice, 2) + range_positives * below
        below += range_negatives
        positives += range_positives
    return float(wins / (positives * below))
