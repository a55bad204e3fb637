"""Figure 6: walked online, a node's neighbours are those that were stored; both are timed on the same files."""

from __future__ import annotations

import numpy as np
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.page import write_page
from mmbee_plugin.figures import response
from mmbee_plugin.figures.drawn import draw, drawn
from mmbee_plugin.graph.build import build
from mmbee_plugin.graph.metapaths import PAPER_METAPATHS
from mmbee_plugin.graph.settings import GraphSettings, Interactions


@pytest.fixture
def snapshot(tmp_path):
    """Of 300 gifts of 60 users to 40 authors, of whom some have none."""
    rng = np.random.default_rng(0)
    users, authors = rng.integers(0, 50, 300), rng.integers(0, 35, 300)
    gifts = Interactions(users, authors, rng.uniform(1, 9, 300), 60, 40)
    return build(gifts, GraphSettings(top_k=6), tmp_path)


def test_times_are_kept_by_metapath_and_a_wrong_walk_is_refused(
    snapshot, tmp_path, monkeypatch, check_answer
):
    found = response.measure(snapshot, 30)
    assert tuple(found) == PAPER_METAPATHS
    assert all(len(one.walked) == len(one.read) == 30 and one.read.min() > 0 for one in found.values())
    said, sheet, plot = response.response_figure(snapshot, found)
    check_answer(said, sheet, plot)
    assert [row[0] for row in sheet.rows] == list(PAPER_METAPATHS)
    assert float(sheet.rows[0][1]) == pytest.approx(np.median(found["u2a2u"].walked), abs=1e-4)
    data = ["Data: <made> by a test"]
    write_page(tmp_path / "6.html", sheet.title, said, [sheet], [plot], data, real=False)
    page = (tmp_path / "6.html").read_text()
    assert "u2a2u2a" in page and "&lt;made&gt;" in page and "<script src" not in page

    class Wrong(response.WalkedNeighbours):
        def neighbours(self, node, metapath):
            ids, weights = super().neighbours(node, metapath)
            return ids, np.nextafter(weights, np.float32(1))

    monkeypatch.setattr(response, "WalkedNeighbours", Wrong)
    with pytest.raises(InputError, match="u2a2u of node"):
        response.measure(snapshot, 30)


def test_a_drawn_graph_says_that_it_is_a_sample(tmp_path):
    answer = drawn(users=300, authors=80, gifts=900, requests=5, folder=tmp_path / "kept")
    assert "A drawn graph, a synthetic sample: 300 users, 80 authors, 900 gifts" in str(answer.folder)
    assert len(list((tmp_path / "kept").iterdir())) == 2  # the snapshot, and its copy with the topology
    assert len(answer.sheet.rows) == 5
    counts = np.sort(np.bincount(draw(300, 80, 900, 1.0).authors, minlength=80))
    assert counts.sum() == 900 and counts[-1] > 5 * counts[40]
