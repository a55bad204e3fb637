from fractions import Fraction

import numpy as np
import pytest

from mmbee_plugin.data.folds import fold_of
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.donations import donation_graph
from mmbee_plugin.graph.swing import swing


def brute_force(edges, alpha, include_self, beta, gamma):
    """Equation 8 read aloud."""
    n_users, n_authors = edges.shape
    of_user = [set(np.flatnonzero(row)) for row in edges]
    weight = [1 if gamma == 0 else (beta + len(authors)) ** -gamma for authors in of_user]
    result = np.zeros((n_authors, n_authors))
    for i in range(n_authors):
        for j in range(n_authors):
            both = [u for u in range(n_users) if {i, j} <= of_user[u]]
            total = Fraction(0) if gamma == 0 else 0.0
            for u in both:
                for v in both:
                    if i != j and (u != v or include_self):
                        shared = len(of_user[u] & of_user[v])
                        part = (
                            Fraction(1) / (Fraction(alpha) + shared) if gamma == 0 else 1 / (alpha + shared)
                        )
                        total += weight[u] * weight[v] * part
            result[i, j] = float(total)
    return result


def random_graph(seed, n_users=25, n_authors=18, draws=140):
    random = np.random.default_rng(seed)
    authors = (n_authors * random.random(draws) ** 2).astype(int)
    return donation_graph(random.integers(0, n_users, draws), authors, None, n_users, n_authors)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize(("alpha", "beta", "gamma"), [(1.0, 0.0, 0.0), (0.0, 0.0, 0.0), (2.5, 5.0, 0.35)])
def test_equals_equation_8(seed, include_self, alpha, beta, gamma):
    graph = random_graph(seed)
    got = swing(graph, alpha=alpha, include_self=include_self, user_beta=beta, user_gamma=gamma)
    expected = brute_force(graph.toarray() > 0, alpha, include_self, beta, gamma)
    assert got.dtype == np.float32
    assert (got.data > 0).all()
    np.testing.assert_array_equal(got.toarray() > 0, expected > 0)
    np.testing.assert_allclose(got.toarray(), expected, rtol=1e-6)
    if gamma == 0:
        np.testing.assert_array_equal(got.toarray(), expected.astype(np.float32))


def test_two_users_by_hand():
    # Both users gave to authors 0 and 1: two self pairs and the two orders of the one pair, each 1 / (1 + 2).
    graph = donation_graph([0, 0, 1, 1], [0, 1, 0, 1], None, 2, 3)
    assert swing(graph)[0, 1] == np.float32(4 / 3)
    assert swing(graph, include_self=False)[0, 1] == np.float32(2 / 3)


def test_amounts_and_user_order_do_not_matter():
    graph = random_graph(1)
    heavier = graph.copy()
    heavier.data = heavier.data * 7
    shuffled = graph[np.random.default_rng(0).permutation(graph.shape[0])]
    for other in (heavier, shuffled):
        np.testing.assert_array_equal(swing(other).toarray(), swing(graph).toarray())


@pytest.mark.parametrize("top_k", [1, 3, 100])
@pytest.mark.parametrize("seed", range(3))
def test_top_k_keeps_the_best_and_breaks_ties_by_lower_id(seed, top_k):
    graph = random_graph(seed, n_users=40, draws=90)  # thin: many equal scores
    whole = swing(graph).toarray()
    cut = swing(graph, top_k=top_k).toarray()
    ties = 0
    for row, found in zip(whole, cut, strict=True):
        order = [i for i in np.lexsort((np.arange(len(row)), -row)) if row[i] > 0]
        ties += top_k < len(order) and row[order[top_k - 1]] == row[order[top_k]]
        assert sorted(order[:top_k]) == list(np.flatnonzero(found))
        np.testing.assert_array_equal(found[found > 0], row[found > 0])
    assert ties > 0 or top_k == 100


def test_a_hub_cap_bounds_the_hub_and_only_it():
    graph = donation_graph(
        [*range(30), *range(30, 33), *range(30, 33)], [0] * 30 + [1] * 3 + [2] * 3, None, 33, 3
    )
    assert swing(graph, max_users=30).nnz == swing(graph).nnz
    capped = swing(graph, max_users=3)
    assert capped[1, 2] > 0
    rich = donation_graph(np.repeat(np.arange(40), 2), np.tile([0, 1], 40), None, 40, 2)
    # 10 of the 40 users of each author stay, so at most 10 users have both.
    assert swing(rich, max_users=10).sum() < swing(rich).sum() / 8


@pytest.mark.parametrize("max_users", [1, 3, 5, 100])
def test_a_hub_keeps_its_users_with_the_lowest_hashes(max_users):
    """Exactly so many, one by one against equation 8 over what is left."""
    graph = random_graph(2, draws=200)
    kept = np.zeros(graph.shape, dtype=bool)
    capped = 0
    for author in range(graph.shape[1]):
        users = graph.getcol(author).nonzero()[0]
        lots = fold_of(users, np.full(len(users), author), 2**63 - 1, 0)
        kept[users[np.argsort(lots)][:max_users], author] = True
        capped += len(users) > max_users
    assert capped > 1 or max_users == 100
    expected = brute_force(kept, 1.0, True, 0.0, 0.0)
    np.testing.assert_array_equal(swing(graph, max_users=max_users).toarray(), expected.astype(np.float32))


def test_empty_rows_and_columns_are_fine():
    graph = donation_graph([0], [1], None, 3, 4)
    assert swing(graph).nnz == 0
    assert swing(donation_graph([], [], None, 3, 4), top_k=2).shape == (4, 4)


@pytest.mark.parametrize("option", [{"alpha": -1}, {"user_gamma": -0.1}, {"top_k": 0}, {"max_users": 0}])
def test_options_out_of_range(option):
    with pytest.raises(InputError, match=next(iter(option))):
        swing(random_graph(0), **option)
