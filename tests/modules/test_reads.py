"""A part lists in ``reads`` what it reads: seen by building it from settings that note what is asked of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from mmbee_plugin.assembly.settings import ModelSettings
from mmbee_plugin.modules import ContentSettings, GTRSettings, SIMSettings
from mmbee_plugin.modules.heads import HeadInputs
from mmbee_plugin.modules.parts import BACKBONES, CONTENTS, HEADS, INTERESTS
from mmbee_plugin.settings.needs import ReadBy, Setting

SLOTS = {"backbone": BACKBONES, "content": CONTENTS, "interest": INTERESTS, "head": HEADS}
INPUTS = HeadInputs(1, [(8, 1.0)], [(8, 0.0)], 0)


class Noting:
    """A section that notes which of its settings are read."""

    def __init__(self, section: Any) -> None:
        self._section, self.read = section, set()

    def __getattr__(self, name: str) -> Any:
        self.read.add(name)
        return getattr(self._section, name)


def marked(slot: str) -> set[str]:
    """Settings of a model that only some parts of a slot read."""
    settings = (Setting(ModelSettings, name) for name in ModelSettings.model_fields)
    return {
        one.name
        for one in settings
        for need in one.needs
        if isinstance(need, ReadBy) and slot in need.settings
    }


def read_by(slot: str, name: str, make_user: Any, make_author: Any) -> set[str]:
    """What a part reads of its settings when it is built and, of backbones and content encoders, used."""
    gtr = Noting(GTRSettings(width=8, hidden=(8, 4), tasks=("gift",), **{slot: name}))
    sim, part = Noting(SIMSettings(width=8)), SLOTS[slot][name]
    content = Noting(ContentSettings(widths={"visual": 5, "text": 3}, width=8, heads=2))
    if slot == "content":
        if (made := part.from_settings(content)) is not None:
            made(make_author(width=8, raw={"visual": 5, "text": 3}))
    elif slot == "backbone":
        made = part.from_settings(gtr, sim)
        made.cross(made.remember(make_user(width=8)), torch.randn(1, 3, 8))
        if part.head is not None:
            part.head.from_settings(gtr, INPUTS)
    elif slot == "head":
        part.from_settings(gtr, INPUTS)
    else:
        part.from_settings(gtr, ("u2a2u",))
    return gtr.read | sim.read | content.read


@pytest.mark.parametrize(("slot", "name"), [(slot, name) for slot, parts in SLOTS.items() for name in parts])
def test_a_part_lists_what_it_reads(slot, name, make_user, make_author):
    seen = {*GTRSettings.model_fields, *SIMSettings.model_fields, *ContentSettings.model_fields}
    by_adapters = {"neighbour_weights", "reach", "head"}
    listed = set(vars(SLOTS[slot][name])["reads"])
    looked_at = (marked(slot) & seen) - by_adapters
    assert read_by(slot, name, make_user, make_author) & looked_at == listed & looked_at


def test_a_head_of_its_own_leaves_the_setting_unread():
    assert {name: "head" in part.reads for name, part in BACKBONES.items()} == {
        name: part.head is None for name, part in BACKBONES.items()
    }


def test_only_encoders_that_take_means_read_how_they_are_taken():
    of_means = {"metapaths", "pooling", "neighbour_weights", "attributes", "node_std", "reach_top_k", "reach"}
    assert {name: of_means <= {*part.reads} for name, part in INTERESTS.items()} == {
        name: part.takes_means for name, part in INTERESTS.items()
    }
    assert {name: "graph" in part.reads for name, part in INTERESTS.items()} == {
        name: bool(part.lists(("a2a",))) for name, part in INTERESTS.items()
    }


def test_only_encoders_of_features_read_how_wide_and_how_many_they_are():
    of_features = {"mfq_width", "segments", "modality_dropout"}
    assert {name: of_features <= {*part.reads} for name, part in CONTENTS.items()} == {
        name: part.reads_modalities for name, part in CONTENTS.items()
    }
    assert {name: "use_queries" in part.reads for name, part in CONTENTS.items()} == {
        name: part.reads_queries for name, part in CONTENTS.items()
    }


@pytest.mark.parametrize("slot", SLOTS)
def test_what_a_part_lists_is_marked(slot):
    elsewhere = {"interest": {"graph", "reach_top_k", "reach"}}.get(slot, set())  # settings of the adapters
    assert {name for part in SLOTS[slot].values() for name in part.reads} - elsewhere == marked(slot)


def test_without_queries_their_settings_are_not_read(make_author):
    settings = Noting(ContentSettings(widths={"visual": 5}, width=8, heads=2, use_queries=False))
    CONTENTS["mfq"].from_settings(settings)(make_author(width=8, raw={"visual": 5}))
    assert not settings.read & {"num_queries", "shared_queries", "match", "default_query_rate"}
    settings = Noting(ContentSettings(widths={"visual": 5}, width=8, heads=2))
    CONTENTS["mfq"].from_settings(settings)(make_author(width=8, raw={"visual": 5}))
    assert settings.read >= {"num_queries", "shared_queries", "match", "default_query_rate"}
