"""Counts the faults of a modality's features: missing, non-finite and repeated rows, unused columns or words."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from mmbee_plugin.data.features import CHUNK_ROWS, LARGEST, BagFeatures


@dataclass(frozen=True)
class FeatureHealth:
    """Faults and sizes found in one pass over a modality.

    Shapes:
        - sizes: (present rows,) float64, L2 norms of dense rows or numbers of words of bags

    Attributes:
        form: type and width of dense features; vocabulary of bags.
        rows: number of rows.
        missing: rows of zeros, or empty bags.
        not_finite: rows with a NaN, an infinity or a value beyond `LARGEST`.
        repeated: present rows equal to an earlier one.
        unused: constant columns over the present rows, or words that never occur.
    """

    form: str
    rows: int
    missing: int
    not_finite: int
    repeated: int
    unused: int
    sizes: np.ndarray

    def line(self) -> str:
        """The counts, and least, median and largest size, in one line."""
        kind, unused = (
            ("words", "words never used") if self.form.startswith("bag") else ("norm", "constant columns")
        )
        low, middle, high = np.quantile(self.sizes, (0, 0.5, 1)) if len(self.sizes) else (0, 0, 0)
        return (
            f"{self.form}; missing {self.missing:,} of {self.rows:,}, not finite {self.not_finite:,}, "
            f"repeated {self.repeated:,}, {unused} {self.unused:,}; {kind} {low:.4g} .. {middle:.4g} .. {high:.4g}"
        )


def dense_health(values: np.ndarray) -> FeatureHealth:
    """Health of dense features: (rows, D) or (rows, frames, D) floats, memory-mapped or not, read once in chunks."""
    missing = not_finite = repeated = 0
    seen: set[bytes] = set()
    lowest: np.ndarray | None = None
    highest: np.ndarray | None = None
    sizes = []
    for start in range(0, len(values), CHUNK_ROWS):
        chunk = np.asarray(values[start : start + CHUNK_ROWS]).reshape(-1, *values.shape[1:])
        flat = chunk.reshape(len(chunk), -1)
        finite = (np.isfinite(flat) & (np.abs(flat) <= np.float32(LARGEST))).all(axis=1)
        present = finite & flat.any(axis=1)
        not_finite += int((~finite).sum())
        missing += int((finite & ~present).sum())
        known = np.ascontiguousarray(flat[present])
        before = len(seen)
        seen.update(blake2b(row, digest_size=16).digest() for row in known)
        repeated += len(known) - (len(seen) - before)
        if len(known):
            low, high = known.min(axis=0), known.max(axis=0)
            lowest = low if lowest is None else np.minimum(lowest, low)
            highest = high if highest is None else np.maximum(highest, high)
            sizes.append(np.sqrt(np.square(known, dtype=np.float64).sum(axis=1)))
    return FeatureHealth(
        form=f"dense, {values.dtype} of width {' x '.join(map(str, values.shape[1:]))}",
        rows=len(values),
        missing=missing,
        not_finite=not_finite,
        repeated=repeated,
        unused=0 if lowest is None or highest is None else int((lowest == highest).sum()),
        sizes=np.concatenate(sizes) if sizes else np.zeros(0),
    )


def bag_health(bags: BagFeatures) -> FeatureHealth:
    """Health of bags of words; bags are equal if they hold the same words equally often."""
    lengths = np.diff(bags.indptr)
    filled = np.flatnonzero(lengths)
    same = {np.sort(bags.words[bags.indptr[row] : bags.indptr[row + 1]]).tobytes() for row in filled}
    return FeatureHealth(
        form=f"bag, vocabulary {bags.vocabulary:,}",
        rows=len(lengths),
        missing=len(lengths) - len(filled),
        not_finite=0,
        repeated=len(filled) - len(same),
        unused=bags.vocabulary - len(np.unique(bags.words)),
        sizes=lengths[filled].astype(np.float64),
    )
