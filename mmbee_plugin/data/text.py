"""Text features of titles: by a sentence encoder where one is installed, else TF-IDF, reduced to a dense width."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mmbee_plugin.errors import InputError
from mmbee_plugin.extras import installed, missing

ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
WIDTH = 128


def text_features(titles: list[str], source: Path) -> tuple[np.ndarray, str]:
    """One vector a title, and a note that says what made it.

    Sentence embeddings where `sentence-transformers` is installed and the model `ENCODER` is on this machine
    already; nothing is downloaded. Otherwise TF-IDF over all the titles, its truncated SVD where there are more
    than `WIDTH` words.

    Args:
        titles: one an item, "" where it has none.
        source: where they come from, for errors.

    Returns:
        (n, D) float32, a row of zeros for a title without a word, and the note.

    Raises:
        InputError: no title holds a word, or scikit-learn is needed and not installed.
    """
    encoder, reason = _sentence_encoder()
    if encoder is None:
        return _tf_idf(titles, source, reason)
    filled = [row for row, title in enumerate(titles) if title.strip()]
    if not filled:
        raise InputError(f"{source}: no title holds a word; remove the file to go without text")
    encoded = encoder.encode([titles[row] for row in filled], batch_size=256, show_progress_bar=False)
    values = np.zeros((len(titles), encoded.shape[1]), dtype=np.float32)
    values[filled] = encoded
    return values, f"text: sentence embeddings of the titles by {ENCODER}, width {values.shape[1]}"


def _sentence_encoder() -> tuple[Any, str]:
    """The encoder and "", or None and why there is none."""
    if not installed("sentence_transformers"):
        return None, "sentence-transformers is not installed"
    try:
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(ENCODER, local_files_only=True), ""
    except ImportError:
        return None, "sentence-transformers cannot be imported"
    except (OSError, ValueError):
        return None, f"{ENCODER} is not on this machine"


def _tf_idf(titles: list[str], source: Path, reason: str) -> tuple[np.ndarray, str]:
    try:
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError:
        raise missing(
            "sklearn", f"{source}: text from titles without a sentence encoder ({reason})"
        ) from None
    try:
        weights = TfidfVectorizer(sublinear_tf=True, dtype=np.float32).fit_transform(titles)
    except ValueError:  # an empty vocabulary
        raise InputError(f"{source}: no title holds a word; remove the file to go without text") from None
    n_words = weights.shape[1]
    made = f"text: TF-IDF of the titles over {n_words:,} words"
    if n_words <= WIDTH:
        return weights.toarray(), f"{made}, as it is ({reason})"
    svd = TruncatedSVD(min(WIDTH, len(titles)), random_state=0)
    values = np.asarray(svd.fit_transform(weights), dtype=np.float32)
    values[np.diff(weights.indptr) == 0] = 0.0
    kept = svd.explained_variance_ratio_.sum()
    return values, f"{made}, reduced to width {values.shape[1]} with {kept:.0%} of the variance ({reason})"
