"""Vectors of short texts: hashed counts of characters and character pairs, without a vocabulary."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl

WIDTH = 64


def hashed_text(groups: np.ndarray, texts: pl.Series, n_groups: int) -> np.ndarray:
    """One vector per group of texts by feature hashing (Weinberger et al. 2009), (n_groups, WIDTH) float32.

    Each lower-case character and each pair of neighbours adds 1 or -1 at one place; pandas' hash, equal on all
    machines, gives both sign and place. Characters are used because Chinese has no spaces between words. Vectors have
    norm 1; that of a group without characters is zero.

    Args:
        groups: (n,) group of each text, 0 to `n_groups` - 1.
        texts: (n,) strings; null and empty ones add nothing.
        n_groups: number of groups.
    """
    # A blank ends each text, so that no pair crosses texts or words.
    squeezed = texts.fill_null("").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
    letters = pl.DataFrame({"group": groups, "letter": squeezed + " "}).with_columns(
        pl.col("letter").str.split("")
    )
    singles = letters.explode("letter").filter(pl.col("letter") != "")
    pairs = singles.with_columns((pl.col("letter") + pl.col("letter").shift(-1)).alias("pair"))
    whole = (pl.col("letter") != " ") & pl.col("pair").is_not_null() & ~pl.col("pair").str.ends_with(" ")
    grams = pl.concat(
        [
            singles.filter(pl.col("letter") != " ").select("group", gram="letter"),
            pairs.filter(whole).select("group", gram="pair"),
        ]
    )
    hashes = pd.util.hash_array(grams["gram"].to_numpy().astype(object), categorize=True)
    places = grams["group"].to_numpy().astype(np.int64) * WIDTH + (hashes % WIDTH).astype(np.int64)
    signs = np.where(hashes >> np.uint64(63), 1.0, -1.0)
    sums = np.bincount(places, weights=signs, minlength=n_groups * WIDTH).reshape(n_groups, WIDTH)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return (sums / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
