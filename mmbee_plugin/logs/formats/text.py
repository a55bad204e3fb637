"""Short texts as vectors: hashed counts of characters and of pairs of them, without a vocabulary to learn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl

WIDTH = 64


def hashed_text(groups: np.ndarray, texts: pl.Series, n_groups: int) -> np.ndarray:
    """One vector for all texts of a group.

    Every character, in lower case, and every pair of neighbours adds 1 or -1 in one of `WIDTH` places, both given by
    pandas' hash of it (the same on every machine); the vector is then made of length 1. This is feature hashing
    (Weinberger et al. 2009) on characters, as Chinese has no spaces between words.

    Args:
        groups: (n,) group of each text, 0 to `n_groups` - 1.
        texts: (n,) strings; null and empty ones add nothing.

    Returns:
        (n_groups, WIDTH) float32; zero for a group without any character.
    """
    # Blanks stand for "the text ends": no pair reaches across.
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
