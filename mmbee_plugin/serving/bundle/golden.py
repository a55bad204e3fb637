"""Golden requests: pairs with their logits by the adapter's own model, replayed before a bundle is served."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from mmbee_plugin.data.jsons import read_object
from mmbee_plugin.errors import InputError
from mmbee_plugin.serving.bundle.source import Source

REQUESTS, CANDIDATES = 200, 20
TOLERANCE = 1e-4
"""tolerated difference over one plus the logit, absolute values; rounding depends on batch size and processor"""
UNDECIDED = 0.01
"""share of the logits that may differ more under soft search: among equally relevant behaviours, such as gifts to one
author, rounding decides which are kept"""

Score = Callable[[str, Sequence[str], float | None], torch.Tensor]
"""user, authors and time -> logits (C, T)"""


def write_golden(source: Source, path: Path) -> None:
    """Draws users and authors for each, and writes their logits as of the end of training."""
    rng = np.random.default_rng(0)
    users, authors = source.exchange.users, source.exchange.authors
    drawn = rng.choice(len(users), min(REQUESTS, len(users)), replace=False)
    candidates = min(CANDIDATES, len(authors))
    pairs = np.stack([rng.choice(len(authors), candidates, replace=False) for _ in drawn])
    logits = source.logits(np.repeat(drawn, candidates), pairs.ravel()).view(len(drawn), candidates, -1)
    facts = source.facts
    content = {
        "time": None if facts.until is None else facts.origin + facts.until,
        "requests": [
            {"user": users[user], "authors": [authors[author] for author in row], "logits": scores.tolist()}
            for user, row, scores in zip(drawn, pairs, logits, strict=True)
        ],
    }
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def replay(path: Path, score: Score, undecided: float = 0.0) -> float:
    """Scores the golden requests; returns the largest difference within the tolerance.

    Args:
        undecided: share of the logits that may exceed the tolerance.

    Raises:
        InputError: more logits exceed it; the bundle must not be served.
    """
    content = read_object(path)
    differences = []
    for request in content["requests"]:
        expected = torch.tensor(request["logits"])
        found = score(request["user"], request["authors"], content["time"])
        differences.append(((found - expected).abs() / (1 + expected.abs())).flatten())
    every = torch.cat(differences)
    wrong = ~(every <= TOLERANCE)  # NaN is wrong, and no search explains it
    if float(wrong.float().mean()) > undecided or every.isnan().any():
        count = f"{int(wrong.sum()):,} of {len(every):,} golden logits"
        raise InputError(
            f"{path}: {count} are not as offline, by up to {every.max():.1g}; the bundle is not served"
        )
    return float(every[~wrong].max())
