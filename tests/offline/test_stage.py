"""Inputs of a dataset folder's snapshot: which features say who is near by content."""

from __future__ import annotations

import numpy as np
import pytest

from mmbee_plugin.builtin.sample import ensure
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.settings import GraphSettings, Interactions
from mmbee_plugin.offline.stage import inputs_of, snapshot_of

ALL = ("visual", "acoustic", "text")


WALK = GraphSettings(reach_top_k=5, content_top_k=3)


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The sample, whose text is a word bag, and its gifts."""
    folder = ensure("tiktok", tmp_path_factory.mktemp("data"))
    rows = folder.interactions("train")
    counts = folder.counts
    return folder, Interactions(rows.users, rows.items, None, counts["users"], counts["items"])


@pytest.fixture
def inputs(sample):
    """``inputs(read, modalities=(), **settings)`` of the sample."""

    def made(read, modalities=(), **settings):
        return inputs_of(*sample, WALK.replace(**settings), modalities=modalities, read=read)

    return made


def test_the_model_need_not_read_mean_attributes(inputs):
    found = inputs(ALL)
    assert not found.columns and set(found.features) == {"visual", "acoustic"}
    assert np.diff(found.content[0].indptr).max() == 3
    assert (
        inputs(ALL, modalities=("acoustic",)).key != found.key
    )  # attributes are others, neighbours the same
    assert (inputs(ALL, modalities=("acoustic",)).content[0] != found.content[0]).nnz == 0


def test_what_the_model_does_not_read_says_nothing(inputs):
    visual = inputs(ALL, content_modalities=("visual",))
    assert inputs(("visual", "text")).key == visual.key
    assert inputs(("visual",), content_modalities=("visual", "acoustic")).key == visual.key
    none = inputs(("acoustic", "text"), content_modalities=("visual",))
    assert none.content is None and none.key == inputs(ALL, content_top_k=0).key


def test_a_snapshot_says_who_is_near_by_what_the_model_reads(sample, inputs, tmp_path):
    made = snapshot_of(*sample, WALK.replace(metapaths=("a2a",)), read=("visual",), root=tmp_path)
    assert made.settings.content_modalities == ("visual",) and not made.columns
    assert made.path.name == inputs(("visual",), metapaths=("a2a",)).key


def test_a_modality_without_vectors_is_refused(inputs):
    with pytest.raises(InputError, match="content_modalities: unknown 'text'; known: visual, acoustic"):
        inputs(ALL, content_modalities=("text",))
