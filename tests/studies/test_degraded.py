"""Content is gone or noisy exactly where it should be, and comes back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.scoring import open_trained
from mmbee_plugin.studies.degraded import Units, with_noise, without


@pytest.fixture
def trained(live_checkpoint):
    return open_trained(live_checkpoint(interest="none"))


def test_a_missing_modality_is_not_read_and_comes_back(trained):
    network, whole = trained.network, trained.scores("test")
    table = network.content.tables["speech"]
    with without(network, ["speech"]):
        gone = trained.scores("test")
        kept, table.values = table.values, torch.randn(table.values.shape) * 100
        np.testing.assert_array_equal(trained.scores("test"), gone)
        table.values = kept
    assert np.abs(gone - whole).max() > 1e-3
    with pytest.raises(KeyError), without(network, ["speech"]):
        raise KeyError
    np.testing.assert_array_equal(trained.scores("test"), whole)


def test_a_higher_rate_hits_the_same_units_and_more(trained):
    network = trained.network
    authors = trained.folder.segments.authors
    for by in ("author", "segment"):
        units = Units(network, by, seed=1)
        assert units.hit(1.0).all()
        some, more = units.hit(0.4), units.hit(0.8)
        assert not (some & ~more).any() and some.sum() < more.sum()
    assert 0.35 < units.hit(0.4).float().mean() < 0.45  # by segment
    hit = Units(network, "author", seed=1).hit(0.5)[:-1].numpy()
    shares = [hit[authors == author].mean() for author in np.unique(authors)]
    assert set(shares) == {0.0, 1.0}
    with pytest.raises(InputError, match="--by 'room'"):
        Units(network, "room")


def test_noise_is_in_deviations_of_the_columns(trained):
    table = trained.network.content.tables["visual"]
    rows = torch.arange(len(table.values) - 1)[:, None]
    clean, there = table(rows)
    with with_noise(trained.network, ["visual"], 0.5):
        noisy, still = table(rows)
        assert torch.equal(there, still)
        first = trained.scores("test")
    spread = (noisy - clean).std(dim=(0, 1, 2))
    torch.testing.assert_close(spread, torch.full_like(spread, 0.5), rtol=0.1, atol=0)
    assert torch.equal(table(rows)[0], clean)
    with with_noise(trained.network, ["visual"], 0.5):
        np.testing.assert_array_equal(trained.scores("test"), first)
