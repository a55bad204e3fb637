"""What the content encoder reads of authors: features of the author itself, or of its last segments at a moment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mmbee_plugin.modules.exchange import word_table
from mmbee_plugin.torchrec.batches.bags import Bag
from mmbee_plugin.torchrec.batches.batch import AuthorPart
from mmbee_plugin.torchrec.batches.inputs import Inputs
from mmbee_plugin.torchrec.shards.store import ShardStore


@dataclass(frozen=True)
class Moments:
    """Authors, each as of a moment.

    Shapes:
        - authors: (C,) author rows
        - segments: (C,) rows of their newest known segments, -1 for none; None for the end of training
        - place: (B,) which of them each row has, where rows are scored pair by pair
    """

    authors: NDArray
    segments: NDArray | None = None
    place: NDArray | None = None

    @classmethod
    def of_rows(cls, authors: NDArray, segments: NDArray | None, n_authors: int) -> Moments:
        """Each author and segment of some rows (B,) once."""
        state = authors if segments is None else np.where(segments >= 0, n_authors + segments, authors)
        _, first, place = np.unique(state, return_index=True, return_inverse=True)
        return cls(authors[first], None if segments is None else segments[first], place)


def add_content(
    part: AuthorPart, bags: dict[str, Bag], store: ShardStore, inputs: Inputs, moments: Moments
) -> None:
    """Fills in the vectors and presence of every modality; what word tables look up goes into ``bags``."""
    authors, window = moments.authors, None
    if inputs.segments and inputs.modalities:
        newest = store.segments.newest(authors) if moments.segments is None else moments.segments
        window = store.segments.windows(newest, inputs.segments)
    for name in inputs.modalities:
        if name in inputs.words:
            lengths, words, present = store.bag(name, authors)
            bags[word_table(name)] = Bag(lengths, words)
            part.present[name] = torch.from_numpy(present).unsqueeze(1)
            continue
        if window is None:
            values, present = store.dense(name, authors)
            values, present = values[:, None, None], present[:, None]
        else:
            values, present = store.segments.features(name, window)
        part.raw[name], part.present[name] = torch.from_numpy(values), torch.from_numpy(present)
