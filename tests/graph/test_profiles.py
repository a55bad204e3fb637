import numpy as np
import pytest
from scipy.sparse import csr_matrix

from mmbee_plugin.graph.profiles import profiles


def counts(n_users=40, n_authors=24, seed=0):
    """Visits and gifts of two circles of users and authors; within a circle ten times as many."""
    random = np.random.default_rng(seed)
    same = np.arange(n_users)[:, None] % 2 == np.arange(n_authors) % 2
    visits = random.poisson(np.where(same, 1.0, 0.1))
    gifts = random.poisson(np.where(same, 0.3, 0.03))
    visits[-1], gifts[-1] = 0, 0  # who stays away
    return csr_matrix(visits.astype(float)), csr_matrix(gifts.astype(float)), same


def by_hand(visits, gifts, rank):
    """The equations, dense, by another decomposition."""
    seen = np.log1p(visits.toarray())
    gifts = np.log1p(gifts.toarray())

    def scaled(graph):
        return graph / np.sqrt((graph.sum(1, keepdims=True) + 5) * (graph.sum(0) + 5))

    stacked = np.concatenate([scaled(seen), 0.3 * scaled(gifts)])
    values, vectors = np.linalg.eigh(stacked.T @ stacked)
    v = vectors[:, np.argsort(-values)[:rank]]
    lengths = (v**2).sum(1)
    authors = v / np.sqrt(lengths + np.median(lengths))[:, None]
    both = seen + gifts
    mean = both.sum(0) @ v / both.sum()
    users = np.stack(
        [sum(h * (one - mean) for h, one in zip(row, v, strict=True)) / (row.sum() + 5) for row in both]
    )
    scores = users @ authors.T
    return scores / np.sqrt(np.mean(scores[both.sum(1) > 0] ** 2))


def test_scores_are_those_of_the_equations():
    visits, gifts, _ = counts()
    found = profiles(visits, gifts, rank=4)
    assert found.users.shape == (40, 4) and found.authors.shape == (24, 4)
    np.testing.assert_allclose(found.users @ found.authors.T, by_hand(visits, gifts, 4), atol=1e-9)


def test_an_author_of_ones_circle_scores_higher_though_never_met():
    visits, gifts, same = counts()
    found = profiles(visits, gifts, rank=2)
    scores, unmet = found.users @ found.authors.T, visits.toarray() == 0
    assert scores[unmet & same].mean() > 0.5 > -0.5 > scores[unmet & ~same].mean()
    assert not scores[-1].any()  # nothing is known of who stays away


@pytest.mark.parametrize("rank", [24, 500])
def test_there_are_no_more_dimensions_than_the_graphs_have(rank):
    visits, gifts, _ = counts()
    assert profiles(visits, gifts, rank).authors.shape == (24, 23)


def test_without_visits_there_is_no_profile():
    nothing = csr_matrix((40, 24))
    found = profiles(nothing, counts()[1], rank=4)
    assert found.users.shape == (40, 0) and found.authors.shape == (24, 0)
