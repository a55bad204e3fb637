import numpy as np
import pytest
from scipy.sparse import csr_matrix

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.donations import donation_graph
from mmbee_plugin.graph.reach import reach


def random_graph(seed, n_users=25, n_authors=30):
    random = np.random.default_rng(seed)
    users, authors = random.integers(0, n_users - 1, 70), (n_authors * random.random(70) ** 2).astype(int)
    amounts = random.integers(1, 6, 70).astype(float)
    return donation_graph(users, authors, amounts, n_users, n_authors)  # the last user gave nothing


def steps(u2a):
    """The dense chances of a step from a user to an author, and back."""
    weights = u2a.toarray().astype(float)
    return tuple(
        np.divide(step, step.sum(1, keepdims=True), out=np.zeros_like(step), where=step > 0)
        for step in (weights, weights.T)
    )


def walk(u2a):
    """(n_users, n_authors) chances of a walk u-a-u-a-u-a, 0 where the user has gifted the author."""
    out, back = steps(u2a)
    return np.where(u2a.toarray() > 0, 0, out @ back @ out @ back @ out)


@pytest.mark.parametrize("seed", range(4))
def test_uncut_lists_are_the_dense_walk(seed):
    u2a = random_graph(seed)
    found, expected = reach(u2a, 30), walk(u2a)
    assert found.n_nodes == 25 and (expected > 0).sum() > 100
    assert (
        found.indptr.dtype == np.int64 and found.ids.dtype == np.int32 and found.weights.dtype == np.float32
    )
    for user in range(25):
        ids, weights = found.of(user)
        np.testing.assert_array_equal(ids, np.flatnonzero(expected[user] > 0))  # so in ascending order
        np.testing.assert_allclose(weights, expected[user, ids], rtol=1e-5)
    assert len(found.of(24)[0]) == 0


def test_own_authors_are_left_out():
    u2a = random_graph(0)
    found = reach(u2a, 30)
    gifted = u2a.toarray() > 0
    assert not any(gifted[user, found.of(user)[0]].any() for user in range(25))
    everything = donation_graph([0, 0, 1, 1], [0, 1, 0, 1], None, 2, 2)
    assert len(reach(everything, 2).ids) == 0


@pytest.mark.parametrize("top_k", [1, 4])
def test_a_cut_keeps_the_best_by_ascending_author(top_k):
    u2a = random_graph(1)
    found, expected = reach(u2a, top_k), walk(u2a).astype(np.float32)
    cut = 0
    for user in range(25):
        ids, weights = found.of(user)
        reached = np.flatnonzero(expected[user] > 0)
        assert len(ids) == min(top_k, len(reached)) and (np.diff(ids) > 0).all()
        cut += len(reached) > len(ids)
        best = np.sort(expected[user, reached])[::-1][:top_k]
        np.testing.assert_allclose(np.sort(weights)[::-1], best, rtol=1e-5)
        np.testing.assert_allclose(weights, expected[user, ids], rtol=1e-5)
    assert cut > 15


def test_a_tie_at_the_cut_goes_to_the_lower_author():
    # User 0 reaches authors 2 and 3 by equally likely walks, through user 1 and author 1.
    u2a = donation_graph([0, 1, 1, 2, 2, 2], [0, 0, 1, 1, 3, 2], None, 3, 4)
    chances = walk(u2a)[0]
    assert chances[2] == chances[3] and 0 < chances[2] < chances[1]
    assert list(reach(u2a, 2).of(0)[0]) == [1, 2]


def test_the_joined_lists_are_cut_to_their_best():
    u2a = random_graph(2)
    u2a.data = np.random.default_rng(2).random(u2a.nnz).astype(np.float32) + 0.1  # no two chances are equal
    out, back = steps(u2a)
    near, around = (
        np.where(part >= np.sort(part)[:, [-3]], part, 0) for part in (out @ back @ out, back @ out)
    )
    expected = np.where(u2a.toarray() > 0, 0, near @ around)
    assert 40 < (expected > 0).sum() < 0.8 * (walk(u2a) > 0).sum()
    found = reach(u2a, 30, inner=3).matrix(30).toarray()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_no_list_at_all():
    for top_k, inner in ((0, 200), (5, 0)):
        with pytest.raises(InputError, match="top_k: 0"):
            reach(random_graph(0), top_k, inner)


def test_own_authors_stay_where_they_can_be_gifted_again():
    u2a = random_graph(3)
    out, back = steps(u2a)
    found = reach(u2a, 30, exclude_own=False).matrix(30).toarray()
    np.testing.assert_allclose(found, out @ back @ out @ back @ out, rtol=1e-5)


def test_lift_ranks_against_popularity():
    """A cut by lift keeps other authors than one by chance, and stores the lift."""
    u2a = random_graph(1)
    gifts = u2a.toarray().sum(axis=0).astype(float)
    share = (gifts + gifts.mean()) / (gifts + gifts.mean()).sum()
    by_chance, by_lift = reach(u2a, 4), reach(u2a, 4, lift=True)
    expected, others = walk(u2a) / share, 0
    for user in range(25):
        ids, weights = by_lift.of(user)
        np.testing.assert_allclose(weights, expected[user, ids], rtol=1e-5)
        best = np.sort(expected[user][expected[user] > 0])[::-1][:4]
        np.testing.assert_allclose(np.sort(weights)[::-1], best, rtol=1e-5)
        others += not np.array_equal(ids, by_chance.of(user)[0])
    assert others > 5
    assert len(reach(csr_matrix((3, 4), dtype=np.float32), 2, lift=True).ids) == 0
