"""Content of the newest segments of rows: which modalities, whether it is new, and its size."""

from __future__ import annotations

import numpy as np
import torch

from mmbee_plugin.serving.bundle.source import LiveContent, LiveModality
from mmbee_plugin.serving.newest import newest_content


class Stored:
    """Five segments of one author and one of another, of two modalities."""

    first = torch.tensor([0, 0, 0, 0, 0, 5])

    def values(self, name):
        if name == "visual":
            return np.arange(6, dtype=np.float16).reshape(6, 1, 1) // 2
        return np.array([1, 1, 3, 3, 5, 5], np.float16).reshape(6, 1, 1).repeat(4, axis=2)

    def present(self, name):
        return np.array([0, 1, 1, 1, 1, 1] if name == "visual" else [1, 1, 1, 1, 0, 1], dtype=bool)


def test_content_of_newest_segments():
    kinds = {
        name: LiveModality(1, width, "float16", np.ones(width, np.float32), np.full(width, 2, np.float32))
        for name, width in (("speech", 4), ("visual", 1))
    }
    newest = np.array([2, -1, 0, 1, 3, 4, 5, 2])
    covered, content = newest_content(Stored(), LiveContent(30.0, 3, kinds), newest)
    assert covered["segments with speech"].tolist() == [True, False, True, True, True, False, True, True]
    assert covered["segments with visual"].tolist() == [True, False, False, True, True, True, True, True]
    np.testing.assert_allclose(content["speech"], [1, np.nan, 0, 0, 1, np.nan, 4, 1])
    # Row 1 repeats its speech, with no picture before; row 3 repeats both; row 5 is the first of its author.
    assert covered["new content"].tolist() == [True, True, True, False, False, True, True, True]
