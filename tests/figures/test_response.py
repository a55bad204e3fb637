"""Figure 6: walked online, a node's neighbours are those that were stored."""

from __future__ import annotations

import numpy as np
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.page import write_page
from mmbee_plugin.figures import response
from mmbee_plugin.graph.build import build
from mmbee_plugin.graph.metapaths import PAPER_METAPATHS, Metapath
from mmbee_plugin.graph.settings import GraphSettings, Interactions


@pytest.fixture
def snapshot_with(tmp_path):
    """A function that builds a snapshot of 300 gifts of 60 users to 40 authors, of whom some have none."""

    def make(**given):
        rng = np.random.default_rng(0)
        users, authors = rng.integers(0, 50, 300), rng.integers(0, 35, 300)
        later, times = np.zeros(300, dtype=np.int64), np.arange(300.0)
        gifts = Interactions(users, authors, rng.uniform(1, 9, 300), 60, 40, later, times)
        return build(gifts, GraphSettings(top_k=6, **given), tmp_path)

    return make


@pytest.mark.parametrize("given", [{}, {"normalisation": "symmetric", "exclude_own": False}])
@pytest.mark.parametrize("name", PAPER_METAPATHS)
def test_every_node_walked_is_the_list_read_from_the_file(snapshot_with, name, given):
    snapshot = snapshot_with(**given)
    walk = response.OnlineWalk(Metapath.parse(name), snapshot.u2a(), snapshot.a2a(), snapshot.settings)
    stored, loaded = snapshot.lists(name[0]).along(name), snapshot.neighbours(name)
    assert stored.n_nodes == (60 if name[0] == "u" else 40)
    lengths = []
    for node in range(stored.n_nodes):
        read = stored.of(node)
        np.testing.assert_array_equal(read, loaded.of(node))
        ids, weights = walk.of(node)
        np.testing.assert_array_equal(ids, read[0])
        np.testing.assert_allclose(weights, read[1], rtol=1e-6)
        lengths.append(len(ids))
    assert min(lengths) == 0 and max(lengths) == 6


def test_lists_are_the_same_up_to_ties_alone():
    def answer(ids, weights):
        return np.array(ids), np.array(weights, dtype=np.float32)

    first = answer([4, 2, 9], [0.5, 0.25, 0.25])
    assert response.same(first, answer([4, 9, 7], [0.5, 0.25, 0.25 + 1e-8]))  # 2 and 7 tie at the cut
    for other in (
        answer([4, 2], [0.5, 0.25]),
        answer([2, 4, 9], [0.5, 0.25, 0.25]),
        answer([4, 2, 9], [0.5, 0.25, 0.2]),
    ):
        assert not response.same(first, other)


def test_times_are_kept_by_metapath_and_a_wrong_walk_is_refused(snapshot_with, tmp_path, monkeypatch):
    snapshot = snapshot_with()
    found = response.measure(snapshot, 30)
    assert tuple(found) == PAPER_METAPATHS
    assert all(len(one.walked) == len(one.read) == 30 and one.read.min() > 0 for one in found.values())
    sheet, figure = response.response_figure(snapshot, found)
    assert [row[0] for row in sheet.rows] == list(PAPER_METAPATHS)
    assert float(sheet.rows[0][1]) == pytest.approx(np.median(found["u2a2u"].walked), abs=1e-4)
    data = ["Data: <made> by a test"]
    write_page(tmp_path / "6.html", sheet.title, [sheet], [("", figure)], data, real=False)
    page = (tmp_path / "6.html").read_text()
    assert "u2a2u2a" in page and "&lt;made&gt;" in page and "<script src" not in page

    kept = response.OnlineWalk
    fewer = snapshot.settings.replace(top_k=3)
    monkeypatch.setattr(response, "OnlineWalk", lambda path, u2a, a2a, _: kept(path, u2a, a2a, fewer))
    with pytest.raises(InputError, match="u2a2u of node"):
        response.measure(snapshot, 30)
