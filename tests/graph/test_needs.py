"""A setting of the graph stage that needs another one changes nothing without it, and something with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from idle_cases import OF_GRAPH

from mmbee_plugin.command.yaml_settings import replace_entry
from mmbee_plugin.data.visits import Visits
from mmbee_plugin.graph.build import build_snapshot
from mmbee_plugin.graph.inputs import Inputs
from mmbee_plugin.graph.settings import GraphSettings

SMALL = {"top_k": 3, "reach_top_k": 4, "reach_inner": 6, "swing_top_k": 3}
ELSEWHERE = {"refresh_limit", "content_modalities"}
"""what is read before the graphs are made: tests/offline/test_refresh.py and test_content.py"""


@pytest.fixture
def made(interactions, features, tmp_path):
    """A function from `name=value` words to the bytes of every array of a snapshot with these settings."""
    random = np.random.default_rng(5)
    users, authors = (random.integers(0, count, 400).astype(np.int32) for count in (30, 20))
    visits = Visits(users, authors, interactions.times.min() + 200.0 * np.arange(400))

    def arrays(words: str) -> dict[str, bytes]:
        chosen: dict[str, Any] = {}
        for word in words.split():
            replace_entry(chosen, word.removeprefix("graph."))
        settings = GraphSettings(**(SMALL | chosen))
        path = build_snapshot(Inputs(interactions, settings, features, visits=visits), tmp_path).path
        return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*.npy"))}

    return arrays


@pytest.mark.parametrize("setting", [name for name in OF_GRAPH if name.partition("=")[0] not in ELSEWHERE])
def test_it_changes_nothing_without_what_it_needs(made, setting):
    off, _, on = OF_GRAPH[setting]
    assert made(f"{off} {setting}") == made(off)
    assert made(f"{on} {setting}") != made(on)
