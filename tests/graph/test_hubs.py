import numpy as np
import pytest
from scipy.sparse import csr_matrix

from mmbee_plugin.data.folds import fold_of
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.build import build
from mmbee_plugin.graph.caps import cap_costs
from mmbee_plugin.graph.donations import donation_graph
from mmbee_plugin.graph.expansion import expand
from mmbee_plugin.graph.hubs import capped
from mmbee_plugin.graph.metapaths import Metapath, every_metapath, explain
from mmbee_plugin.graph.reach import reach
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.graph.swing import swing


@pytest.fixture(scope="module")
def u2a():
    """40 users, 12 authors, hubs first."""
    random = np.random.default_rng(1)
    authors = np.minimum(random.geometric(0.3, 300), 12) - 1
    return donation_graph(random.integers(0, 40, 300), authors, random.integers(1, 9, 300), 40, 12)


@pytest.mark.parametrize(("max_users", "seed"), [(1, 0), (4, 0), (4, 7), (100, 0)])
def test_the_lowest_hashes_are_kept(u2a, max_users, seed):
    expected = u2a.toarray()
    for author in range(12):
        users = np.flatnonzero(expected[:, author])
        order = np.argsort(fold_of(users, np.full(len(users), author), 2**63 - 1, seed))
        expected[users[order[max_users:]], author] = 0
    found = capped(u2a, max_users, seed)
    found.check_format()
    np.testing.assert_array_equal(found.toarray(), expected)
    assert found.nnz == np.count_nonzero(expected)


def test_samples_are_nested_and_a_new_gift_displaces_one_at_most(u2a):
    small, large = capped(u2a, 3), capped(u2a, 6)
    assert (small.multiply(large) - small.multiply(small)).nnz == 0
    more = u2a.tolil()
    more[np.flatnonzero(u2a[:, 0].toarray().ravel() == 0)[0], 0] = 1
    before, after = (set(capped(part, 3)[:, 0].nonzero()[0]) for part in (u2a, more.tocsr()))
    assert len(before - after) <= 1


def test_no_cap_is_the_graph_itself_and_zero_is_refused(u2a):
    assert capped(u2a, None) is u2a
    with pytest.raises(InputError, match="max_users: 0"):
        capped(u2a, 0)


@pytest.mark.parametrize("path", every_metapath(), ids=lambda path: path.name)
def test_only_steps_from_authors_to_users_are_capped(u2a, path):
    a2a, sample = swing(u2a), capped(u2a, 4)
    steps = {"u2a": u2a, "a2u": sample.T.tocsr(), "a2a": a2a}
    scores = np.eye(u2a.shape[path.start == "a"])
    for step in path.steps:
        rows = steps[step].toarray().astype(float)
        scores = scores @ (rows / np.maximum(rows.sum(1, keepdims=True), 1e-300))
    lists = expand(path, u2a, a2a, top_k=50, exclude_own=False, sample=sample)
    np.testing.assert_allclose(lists.matrix(scores.shape[1]).toarray(), scores, rtol=1e-5)
    node = int(np.argmax(np.diff(lists.indptr)))
    walks = explain(path, u2a, a2a, node, int(lists.of(node)[0][0]), sample=sample)
    assert sum(walk.weight for walk in walks) == pytest.approx(lists.of(node)[1][0], rel=1e-5)


def test_caps_and_their_seed_reach_every_part_of_a_snapshot(interactions, tmp_path):
    chosen = {"top_k": 30, "reach_top_k": 5, "metapaths": ("u2a2u", "a2a")}
    exact = build(interactions, GraphSettings(**chosen), tmp_path)
    walks, other, pairs = (
        build(interactions, GraphSettings(**chosen, **caps), tmp_path)
        for caps in (
            {"walk_max_users": 2},
            {"walk_max_users": 2, "hub_seed": 1},
            {"swing_max_users": 2, "hub_seed": 1},
        )
    )
    assert len({snapshot.path for snapshot in (exact, walks, other, pairs)}) == 4
    u2a = exact.u2a()
    for snapshot, seed in ((walks, 0), (other, 1)):
        sample = capped(u2a, 2, seed)
        expected = expand(Metapath.parse("u2a2u"), u2a, None, top_k=30, sample=sample)
        np.testing.assert_array_equal(snapshot.neighbours("u2a2u").ids, expected.ids)
        assert (snapshot.u2a() != u2a).nnz == 0 and (snapshot.a2a() != exact.a2a()).nnz == 0
        assert len(snapshot.reach().ids) == 0 or not np.array_equal(
            snapshot.reach().weights, reach(u2a, 5).weights
        )
    assert not np.array_equal(walks.neighbours("u2a2u").ids, other.neighbours("u2a2u").ids)
    assert (pairs.a2a() != swing(u2a, max_users=2, seed=1)).nnz == 0
    assert (pairs.a2a() != swing(u2a, max_users=2, seed=0)).nnz > 0


def test_the_cost_of_a_cap_is_the_overlap_with_exact_lists(u2a):
    settings = GraphSettings(top_k=6, metapaths=("u2a2u", "a2a"), hub_seed=3)
    exact, large, small = cap_costs(u2a, settings, [1000, 3])
    assert exact.cap is None and exact.hubs == large.hubs == 0 and exact.edges == large.edges == 1
    assert all(part.overlap == {"u2a2u": 1, "a2a": 1} for part in (exact, large))
    assert np.isnan(large.overlap_of_hubs["a2a"]) and set(exact.seconds) == {"swing", "u2a2u", "a2a"}

    sample = capped(u2a, 3, 3)
    hub = np.bincount(u2a.indices) > 3
    assert small.hubs == hub.sum() and small.edges == sample.nnz / u2a.nnz
    for name, near in (("u2a2u", u2a.toarray()[:, hub].any(1)), ("a2a", hub)):
        whole, part = (
            expand(Metapath.parse(name), u2a, swing(u2a, max_users=cap, seed=3), top_k=6, sample=of)
            for cap, of in ((None, None), (3, sample))
        )
        shares = {
            node: len(set(whole.of(node)[0]) & set(part.of(node)[0])) / len(whole.of(node)[0])
            for node in range(whole.n_nodes)
            if len(whole.of(node)[0])
        }
        assert 1 > small.overlap[name] == pytest.approx(np.mean(list(shares.values())))
        at_hubs = [share for node, share in shares.items() if near[node]]
        assert small.overlap_of_hubs[name] == pytest.approx(np.mean(at_hubs))


def test_an_empty_graph():
    assert capped(csr_matrix((3, 2)), 1).nnz == 0
