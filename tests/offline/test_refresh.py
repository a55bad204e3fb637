"""The earlier snapshot that lists are refreshed from: found, matched by token, or refused in one line."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.build import build
from mmbee_plugin.graph.names import Names
from mmbee_plugin.graph.settings import GraphSettings, Interactions
from mmbee_plugin.offline.refresh import refresh_of

GIFTS = Interactions(
    np.array([0, 1, 2]), np.array([0, 1, 1]), None, n_users=3, n_authors=2, times=np.array([1.0, 2.0, 3.0])
)
NAMES = Names(["u", "v", "w"], ["a", "b"], origin=100.0)
SETTINGS = GraphSettings(top_k=3)


@pytest.fixture
def earlier(tmp_path):
    return build(GIFTS, SETTINGS, tmp_path / "graph", names=NAMES)


def test_rows_are_matched_by_token_and_times_by_clock(earlier):
    names = Names(["w", "x", "u"], ["b", "c"], origin=90.0)
    found = refresh_of(names, SETTINGS.replace(refresh_from=str(earlier.path)))
    assert found is not None and found.previous.path == earlier.path
    assert found.users.tolist() == [2, -1, 0] and found.authors.tolist() == [1, -1]
    assert found.until == 13.0
    assert refresh_of(names, SETTINGS) is None


def test_after_so_many_in_a_row_all_lists_are_new(tmp_path, earlier):
    asked, said = SETTINGS.replace(refresh_from=str(earlier.path), refresh_limit=2), []
    for place in range(2):
        refresh = refresh_of(NAMES, asked, said.append)
        assert refresh is not None and not said
        gifts = replace(GIFTS, times=GIFTS.times + place + 1)
        built = build(gifts, asked, tmp_path / "graph", names=NAMES, refresh=refresh)
        assert built.refreshed is not None and built.refreshed["in_a_row"] == place + 1
        assert built.settings == SETTINGS, "where it was refreshed from is a fact, no setting"
        asked = asked.replace(refresh_from=str(built.path))
    assert refresh_of(NAMES, asked, said.append) is None
    assert said == ["2 refreshes in a row, so all lists are new"]


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"top_k": 4}, "was built with top_k=3, now it is 4"),
        ({"walk_max_users": 9}, "was built with walk_max_users=None, now it is 9"),
        ({"metapaths": ("a2a",)}, "was built with metapaths="),
    ],
)
def test_other_settings_are_refused(earlier, given, line):
    with pytest.raises(InputError, match=line):
        refresh_of(NAMES, SETTINGS.replace(refresh_from=str(earlier.path), **given))


def test_what_is_no_snapshot_or_has_no_tokens_is_refused(tmp_path):
    nameless = build(GIFTS, SETTINGS, tmp_path)
    with pytest.raises(InputError, match="has no tokens of its nodes"):
        refresh_of(NAMES, SETTINGS.replace(refresh_from=str(nameless.path)))
    with pytest.raises(InputError, match="no such file, expected the manifest"):
        refresh_of(NAMES, SETTINGS.replace(refresh_from=str(tmp_path / "nowhere")))
