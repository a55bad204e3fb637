"""Norms of a bundle's tables and weights: what drifts when training diverges, or meets rows of another numbering."""

from __future__ import annotations

from collections.abc import Mapping

from mmbee_plugin.evaluation.drift import mean_norm, relative_drift
from mmbee_plugin.serving.bundle.arrays import mapped
from mmbee_plugin.serving.bundle.opened import Bundle

TABLES = {"user": "users", "neighbours": "users' neighbours"}
AUTHOR_TABLES = {"author": "authors", "queries": "authors' queries", "neighbours": "authors' neighbours"}
"""stored fields of float vectors -> names"""


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
