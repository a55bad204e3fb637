"""Norms and directions of bundles: one that was trained on keeps near, tables of another numbering do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mmbee_plugin.daily.norms import directions, norms
from mmbee_plugin.figures.random_source import RandomSource
from mmbee_plugin.serving.bundle.build import build_bundle
from mmbee_plugin.serving.bundle.opened import Bundle, open_bundle
from mmbee_plugin.serving.bundle.shelf import Shelf


def built(place: Path, source: RandomSource) -> Bundle:
    shelf = Shelf(place)
    bundle = build_bundle(source, shelf)
    return open_bundle(shelf.path / bundle, shelf.verify(bundle))


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Bundle:
    return built(tmp_path_factory.mktemp("served"), RandomSource(30, 20, mmbee=True))


def trained_on() -> RandomSource:
    """The same weights a small step on, with users and authors in another order, one of each gone."""
    source = RandomSource(30, 20, mmbee=True)
    for values in (*source.exchange.tables.values(), *source.gtr.parameters()):
        values.mul_(1 + 0.05 * torch.randn(values.shape))
    return source


def test_rows_are_compared_by_token(served, tmp_path):
    source = trained_on()
    source.exchange.users.reverse()
    source.exchange.users[0] = "new"
    source.exchange.tables["user"][1:] = source.exchange.tables["user"][1:].flip(0)
    found = directions(served, built(tmp_path, source))
    assert min(found.values()) > 0.99 and {"users", "authors", "head", "backbone"} <= found.keys()


def test_permuted_rows_and_noisy_weights_turn_away(served, tmp_path):
    source = trained_on()
    table = source.exchange.tables["author"]
    table[1:] = table[1:][torch.from_numpy(np.random.default_rng(0).permutation(len(table) - 1))]
    for weights in source.gtr.head.parameters():
        weights.add_(torch.randn(weights.shape) * weights.norm() / weights.numel() ** 0.5)
    after = built(tmp_path, source)
    found = directions(served, after)
    assert found["authors"] < 0.3 and found["head"] < 0.8 and found["users"] > 0.99
    assert norms(after)["authors"] == pytest.approx(norms(served)["authors"], rel=0.05)


def test_other_widths_and_strangers_are_left_out(served, tmp_path):
    source = RandomSource(30, 20, mmbee=False)
    source.exchange.authors[:] = [f"other {n}" for n in range(20)]
    found = directions(served, built(tmp_path, source))
    assert "authors" not in found and "content" not in found and found["users"] < 0.3
