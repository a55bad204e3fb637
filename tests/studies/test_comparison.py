"""Comparisons: values are the metrics', differences are signed, and chance is called chance."""

from __future__ import annotations

import numpy as np
import pytest

from mmbee_plugin.evaluation.metrics import auc, gauc
from mmbee_plugin.experiments.comparison import Samples
from mmbee_plugin.studies.comparison import HEADINGS, compare


def test_a_better_model_is_told_from_an_equal_one():
    rng = np.random.default_rng(0)
    users, labels = rng.integers(0, 100, 2000), rng.random(2000) < 0.3
    samples = Samples(users, labels, None)
    plain = rng.normal(size=2000)
    scores = {
        "plain": [plain, plain + 0.1 * rng.normal(size=2000)],
        "better": [plain + labels, plain + labels],
        "shifted": [plain + 1, plain + 1],
    }
    found = compare(samples, scores, {"better": "plain", "shifted": "plain"})
    assert found["plain"].pooled["auc"] == [pytest.approx(auc(labels, one)) for one in scores["plain"]]
    assert found["better"].pooled["gauc"][0] == pytest.approx(gauc(users, labels, plain + labels))
    gains = np.mean(found["better"].pooled["uauc"]) - np.mean(found["plain"].pooled["uauc"])
    assert found["better"].gains["uauc"] == pytest.approx(gains) and gains > 0.1
    assert found["better"].p_values["uauc"] == pytest.approx(2 * 2 / 2000)  # the least there is, of two rows
    assert found["shifted"].p_values["auc"] > 0.05
    interval = found["better"].interval("auc")
    assert interval.low < np.mean(found["better"].pooled["auc"]) == interval.mean < interval.high
    assert not found["plain"].gains
    for compared in found.values():
        assert len(compared.cells()) == len(HEADINGS)
    assert found["plain"].cells()[1] == "-" and found["better"].cells()[1].startswith("+")
