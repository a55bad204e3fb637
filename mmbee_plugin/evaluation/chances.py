"""Chances of an event in a log, by a model that was trained with a share of its negatives.

A log has few positives, so only a share of its negatives becomes rows. Let a row of the log be a gift with chance p,
and let training keep all gifts and each negative with probability s. Among the kept rows the odds are p / ((1 - p) s),
so a model of these has the logit z = ln(p / (1 - p)) - ln(s), and p = sigmoid(z + ln(s)); in terms of its own chance q,
this is p = q / (q + (1 - q) / s). Source: He et al., Practical Lessons from Predicting Clicks on Ads (2014),
section 6.3. It holds for the task by whose label negatives are drawn, and for no other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def chances_in_log(logits: ArrayLike, share: float) -> NDArray[np.float64]:
    """Chances (n,) of an event in the log, from logits (n,) trained with a ``share`` of its negatives.

    Example:
        >>> chances_in_log(np.array([0.0]), 0.1).round(4)  # even among one in ten negatives
        array([0.0909])
    """
    with np.errstate(over="ignore"):  # exp of a very low logit is infinite, and the chance 0
        return 1 / (1 + np.exp(-(np.asarray(logits, dtype=np.float64) + np.log(share))))
