"""Norms of a bundle's tables and weights, and their directions beside another bundle's: what drifts when training
diverges, or meets rows of another numbering."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from mmbee_plugin.evaluation.drift import mean_norm, relative_drift
from mmbee_plugin.serving.bundle.arrays import mapped
from mmbee_plugin.serving.bundle.opened import Bundle
from mmbee_plugin.serving.bundle.tokens import TokenIndex

TABLES = {"user": "users", "neighbours": "users' neighbours"}
AUTHOR_TABLES = {"author": "authors", "queries": "authors' queries", "neighbours": "authors' neighbours"}
"""stored fields of float vectors -> names"""
MOST = 1 << 16
"""rows of a table whose directions are compared, at equal distances"""


def norms(bundle: Bundle) -> dict[str, float]:
    """Root mean square of the rows' norms of each table, and the norm of the weights of each part of the model."""
    records = mapped(bundle.folder / "users.npy")
    found = {
        name: mean_norm(records[field][1:])
        for field, name in TABLES.items()
        if field in (records.dtype.names or ())
    }
    found |= {
        name: mean_norm(bundle.authors[field][1:].numpy())
        for field, name in AUTHOR_TABLES.items()
        if field in bundle.authors
    }
    for name, part in bundle.gtr.named_children():
        squares = sum(float((weights.double() ** 2).sum()) for weights in part.parameters())
        if squares:
            found[name.replace("_", " ")] = squares**0.5
    return found


def drift(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Relative change of each norm that both have; 0.1 is a growth by a tenth."""
    return {name: relative_drift(before[name], after[name]) for name in before if name in after}


def directions(before: Bundle, after: Bundle) -> dict[str, float]:
    """Cosine between two bundles of the weights of each part of the model, and of the id vectors of users and authors,
    by the tokens that both have. Near 1 where one bundle was trained on from the other; of independent trainings it
    says nothing.

    Pooled neighbours are left out, since their graph is another every day.
    """
    found = {}
    parts = dict(before.gtr.named_children())
    for name, part in after.gtr.named_children():
        sides = [_weights(each) for each in (parts.get(name), part)]
        if sides[0].shape == sides[1].shape and len(sides[0]):
            found[name.replace("_", " ")] = _cosine(*sides)
    tables = _id_vectors(before)
    for name, (tokens, vectors) in _id_vectors(after).items():
        if name in tables and tables[name][1].shape[1:] == vectors.shape[1:]:
            rows = np.arange(1, len(tokens) + 1)[:: max(1, len(tokens) // MOST)]
            places = tables[name][0].rows([tokens.token(row) for row in rows.tolist()])
            both = places > 0
            if both.any():
                found[name] = _cosine(tables[name][1][places[both]], vectors[rows[both]])
    return found


def _weights(part: torch.nn.Module | None) -> NDArray[np.float32]:
    """(n,) all weights of a part."""
    every = [] if part is None else [weights.detach().numpy().ravel() for weights in part.parameters()]
    return np.concatenate([np.zeros(0, np.float32), *every])


def _id_vectors(bundle: Bundle) -> dict[str, tuple[TokenIndex, NDArray]]:
    """Tokens and id vectors (n + 1, ·) of authors and, where the model has them, of users."""
    found = {"authors": (bundle.tokens, bundle.authors["author"].numpy())}
    records = mapped(bundle.folder / "users.npy")
    if "user" in (records.dtype.names or ()):
        found["users"] = TokenIndex(bundle.folder / "tokens" / "users"), records["user"]
    return found


def _cosine(first: NDArray, second: NDArray) -> float:
    """Of two arrays of one shape; NaN where one is all zero or not finite."""
    sides = [np.asarray(each, dtype=np.float64).ravel() for each in (first, second)]
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(sides[0] @ sides[1] / np.sqrt((sides[0] @ sides[0]) * (sides[1] @ sides[1])))
