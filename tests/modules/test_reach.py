"""Reach: what shared candidates score is what each user's own candidates score, by either way of finding them."""

import pytest
import torch

from mmbee_plugin.data.ragged import NOBODY
from mmbee_plugin.modules.reach import Reach

ENTRIES = torch.tensor([[0, 3, 7, 20], [2, 7, NOBODY, NOBODY], [NOBODY] * 4])
WEIGHTS = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.0, 0.0], [0.0] * 4])


@pytest.mark.parametrize(
    "candidates",
    [
        pytest.param([7, 0, 5, 2], id="few authors, found in a table"),
        pytest.param([7, 0, 7, 0], id="one author twice"),
        pytest.param([-1, 3, -1, 2], id="padding"),
        pytest.param([-1, -1], id="padding alone"),
        pytest.param([20, 3, 10**9, -1, 3], id="more authors than entries, searched"),
    ],
)
def test_shared_candidates_score_as_own_ones(candidates):
    reach = Reach(start=2.0, floor=0.05)
    shared = torch.tensor([candidates])
    expected = torch.tensor(
        [
            [
                dict(zip(ids, weights, strict=True)).get(author, 0.0) if author >= 0 else 0.0
                for author in candidates
            ]
            for ids, weights in zip(ENTRIES.tolist(), WEIGHTS.tolist(), strict=True)
        ]
    )
    found = reach(ENTRIES, WEIGHTS, shared)
    assert torch.allclose(found, 2 * torch.log1p(expected / 0.05), atol=1e-6)
    assert torch.equal(found, reach(ENTRIES, WEIGHTS, shared.expand(3, -1)))
