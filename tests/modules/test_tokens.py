"""Tokens of segments: what tells the newest from the ones before it from the first step."""

import pytest
import torch

from mmbee_plugin.modules import ContentSettings
from mmbee_plugin.modules.tokens import PAST, ModalityTokens

RAW = {"visual": 5, "acoustic": 4, "text": 3}


def test_old_segments_start_far_from_the_newest_and_apart_from_each_other():
    ages = ModalityTokens(ContentSettings(widths=RAW, width=256, max_segments=32)).age.weight.detach()
    assert ages[0].std() == pytest.approx(0.02, rel=0.2)
    for old in ages[1:]:
        assert old.std() == pytest.approx(PAST, rel=0.2)
    assert ages[1:].std() == pytest.approx(PAST, rel=0.05) and PAST == 0.5
    apart = torch.cdist(ages, ages) / 256**0.5
    assert apart[0, 1:].min() > 0.8 * PAST
    assert apart[1:, 1:][~torch.eye(31, dtype=torch.bool)].min() > PAST


def test_the_newest_segment_of_any_window_has_the_newest_age(make_author):
    """The last of the window is age 0, so its token is as far from those before it as the ages are."""
    module = ModalityTokens(
        ContentSettings(widths=RAW, width=16, max_segments=32, modality_dropout=0.0)
    ).eval()
    for segments in (1, 3):
        side = make_author(segments=segments)
        tokens, _ = module(side)
        with torch.no_grad():
            ages = module.age.weight.clone()
            module.age.weight.zero_()
            plain, _ = module(side)
            module.age.weight.copy_(ages)
        expected = ages[:segments].flip(0).expand_as(tokens)
        torch.testing.assert_close(tokens - plain, expected, atol=1e-6, rtol=1e-5)
