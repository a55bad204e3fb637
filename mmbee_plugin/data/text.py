"""Text features of titles: sentence embeddings if an encoder is installed, else TF-IDF reduced to a dense width."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mmbee_plugin.command.extras import installed, missing
from mmbee_plugin.data.words import words
from mmbee_plugin.errors import InputError

ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
WIDTH = 128
LEAST = 1e-3
"""norm below which a title, of norm 1 before the reduction, has lost all its words: no other title shares them"""


def text_features(titles: list[str], source: Path) -> tuple[np.ndarray, str]:
    """Encodes titles as vectors; also returns a note on the method.

    Sentence embeddings if `sentence-transformers` is installed and the model `ENCODER` is on this machine; nothing is
    downloaded. Otherwise TF-IDF of the titles' :func:`~mmbee_plugin.data.words.words`, with truncated SVD if there are
    more than `WIDTH` words.

    Args:
        titles: one per item, "" for none.
        source: file of the titles, for errors.

    Returns:
        (n, D) float32, zero for a title without a word or with none left after the reduction; the note, which counts
        these titles.

    Raises:
        InputError: no title has a word, or scikit-learn is needed and not installed.
    """
    encoder, reason = _sentence_encoder()
    if encoder is None:
        values, note = _tf_idf(titles, source, reason)
    else:
        filled = [row for row, title in enumerate(titles) if any(map(str.isalnum, title))]
        if not filled:
            raise _wordless(source)
        encoded = encoder.encode([titles[row] for row in filled], batch_size=256, show_progress_bar=False)
        values = np.zeros((len(titles), encoded.shape[1]), dtype=np.float32)
        values[filled] = encoded
        note = f"text: sentence embeddings of the titles by {ENCODER}, width {values.shape[1]}"
    silent = int((~values.any(axis=1)).sum())
    return values, note + (
        f"; missing for {silent:,} of {len(titles):,}, whose titles say nothing" if silent else ""
    )


def _wordless(source: Path) -> InputError:
    return InputError(f"{source}: no title holds a word; remove the file to go without text")


def _sentence_encoder() -> tuple[Any, str]:
    """The encoder and "", or None and the reason."""
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
        weights = TfidfVectorizer(analyzer=words, sublinear_tf=True, dtype=np.float32).fit_transform(titles)
    except ValueError:  # an empty vocabulary
        raise _wordless(source) from None
    n_words = weights.shape[1]
    made = f"text: TF-IDF of the titles over {n_words:,} words"
    if n_words <= WIDTH:
        return weights.toarray(), f"{made}, as it is ({reason})"
    svd = TruncatedSVD(min(WIDTH, len(titles)), random_state=0)
    values = np.asarray(svd.fit_transform(weights), dtype=np.float32)
    values[np.linalg.norm(values, axis=1) < LEAST] = 0.0
    kept = svd.explained_variance_ratio_.sum()
    return values, f"{made}, reduced to width {values.shape[1]} with {kept:.0%} of the variance ({reason})"
