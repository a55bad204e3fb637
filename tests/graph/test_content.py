"""Content neighbours, and a long walk that reaches authors by them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.attributes import Attributes
from mmbee_plugin.graph.build import build
from mmbee_plugin.graph.content import ContentVectors, content_neighbours
from mmbee_plugin.graph.inputs import Inputs
from mmbee_plugin.graph.reach import reach
from mmbee_plugin.graph.settings import GraphSettings, Interactions


def column(values, present=None):
    values = np.asarray(values, dtype=np.float32)
    return Attributes(values, np.ones(len(values), dtype=bool) if present is None else np.array(present))


def one_modality(values, present=None):
    return ContentVectors.of({"v": column(values, present)})


def test_neighbours_are_the_nearest_by_mean_cosine():
    rng = np.random.default_rng(0)
    visual, sound = rng.normal(size=(30, 4)), rng.normal(size=(30, 3))
    has_sound = rng.random(30) < 0.7
    vectors = ContentVectors.of({"v": column(visual), "s": column(sound, has_sound)})
    found = content_neighbours(vectors, 5, sharpness=2.0)
    for node in range(30):
        cosines = {}
        for other in set(range(30)) - {node}:
            both = [_cosine(visual[node], visual[other])]
            if has_sound[node] and has_sound[other]:
                both.append(_cosine(sound[node], sound[other]))
            cosines[other] = np.mean(both)
        nearest = sorted(cosines, key=cosines.get)[-5:]
        weights = np.exp(2 * np.array([cosines[other] for other in nearest]))
        expected = dict(zip(nearest, weights / weights.sum(), strict=True))
        row = found[node]
        assert dict(zip(row.indices.tolist(), row.data, strict=True)) == pytest.approx(expected, abs=1e-6)


def test_without_content_there_are_no_neighbours():
    found = content_neighbours(one_modality([[1.0], [2.0], [3.0]], [True, False, True]), 2, 5.0)
    assert found.toarray().tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 0]]
    assert content_neighbours(one_modality([[1.0]]), 2, 5.0).nnz == 0


def test_of_equally_near_authors_the_first_are_kept():
    found = content_neighbours(one_modality(np.ones((5000, 3))), 2, 5.0)
    assert set(found[0].indices) == {1, 2} and set(found[4999].indices) == {0, 1}


@pytest.mark.parametrize("threads", [1, 3])
def test_rows_are_the_same_in_any_block_and_thread(monkeypatch, threads):
    rng = np.random.default_rng(3)
    features = {name: column(rng.normal(size=(3000, 37)), rng.random(3000) < 0.8) for name in "vs"}
    vectors = ContentVectors.of(features)
    whole = content_neighbours(vectors, 4, 5.0)
    monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    for start, stop in ((0, 7), (7, 1500), (1500, 3000)):
        rows = content_neighbours(vectors, 4, 5.0, start, stop)
        for name in ("indptr", "indices", "data"):
            assert np.array_equal(getattr(rows, name), getattr(whole[start:stop], name))


def _cosine(first, second):
    return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))


@pytest.fixture
def gifts():
    """(6, 5) gifts; nobody has gifted author 4."""
    rng = np.random.default_rng(1)
    matrix = (rng.random((6, 5)) < 0.5).astype(np.float32)
    matrix[:, 4] = 0
    return csr_matrix(matrix)


@pytest.mark.parametrize("lift", [False, True])
def test_the_walk_is_that_of_dense_matrices(gifts, lift):
    content = content_neighbours(one_modality(np.random.default_rng(2).normal(size=(5, 3))), 2, 5.0)
    found = reach(gifts, 5, exclude_own=False, lift=lift, content=(content, 0.3)).matrix(5).toarray()
    p = gifts.toarray().astype(np.float64)
    to_authors = p / np.maximum(p.sum(1, keepdims=True), 1)
    to_users = p.T / np.maximum(p.sum(0), 1)[:, None]
    near = content.toarray()
    near[:, 4] = 0  # the walk steps to gifted authors, and 4 is reached by those near it
    near /= np.maximum(near.sum(1, keepdims=True), 1e-12)
    by_content = np.where(np.arange(5)[:, None] < 4, 0.3 * near, 0)
    steps = to_users @ to_authors + by_content
    if lift:
        share = p.sum(0) + p.sum(0).mean()
        steps = steps / (share / share.sum())
    walked = to_authors @ to_users @ to_authors @ steps
    walked[:, 4] = walked[:, :4] @ near[4, :4]
    np.testing.assert_allclose(found, walked, rtol=1e-5, atol=1e-9)
    assert (found[p.sum(1) > 0, 4] > 0).any()


def test_a_stage_reads_its_settings(gifts, tmp_path):
    users, authors = gifts.nonzero()
    interactions = Interactions(users, authors, None, 6, 5)
    features = {"v": column(np.random.default_rng(2).normal(size=(5, 3)))}
    chosen = GraphSettings(top_k=3, reach_top_k=5, reach_own=True, metapaths=("u2a",))

    def reached(**settings):
        made = build(interactions, chosen.replace(**settings), tmp_path, features=features)
        return made.reach().matrix(5).toarray()

    plain = reached()
    assert not plain[:, 4].any()
    assert reached(content_top_k=2)[:, 4].any()
    shares = reached(content_top_k=2, content_share=0.5), reached(content_top_k=2, content_sharpness=0.0)
    assert not any(np.array_equal(one, reached(content_top_k=2)) for one in shares)
    unread = chosen.replace(content_share=0.5), chosen.replace(content_top_k=2, reach_top_k=0)
    keys = [
        Inputs(interactions, one, features).key for one in (chosen, *unread, chosen.replace(reach_top_k=0))
    ]
    assert keys[0] == keys[1] and keys[2] == keys[3]  # what nothing reads makes no other snapshot
    with pytest.raises(InputError, match=r"content_top_k: authors have no vectors"):
        build(interactions, chosen.replace(content_top_k=2), tmp_path / "none")
    with pytest.raises(InputError, match=r"content_modalities: unknown 'w'; known: v"):
        reached(content_top_k=2, content_modalities=("w",))
