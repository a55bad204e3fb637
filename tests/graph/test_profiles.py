import numpy as np
import pytest
from scipy.sparse import csr_matrix, hstack

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
    authors = v / np.sqrt(lengths + lengths.mean())[:, None]
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


def test_who_is_not_known_has_no_profile():
    """More authors than not are unseen, as in the graph of a log's first days."""
    visits, gifts, _ = counts()
    unseen = csr_matrix((40, 60))
    wide = profiles(hstack([visits, unseen]), hstack([gifts, unseen]), rank=4)
    narrow = profiles(visits, gifts, rank=4)
    assert not wide.authors[24:].any()
    np.testing.assert_allclose(wide.users @ wide.authors[:24].T, narrow.users @ narrow.authors.T, atol=1e-9)


@pytest.mark.parametrize("rank", [5, 24, 500])
def test_there_are_no_more_dimensions_than_the_graphs_have(rank):
    """Three kinds of authors, eight of each alike, are three dimensions; the rest would be rounding."""
    visits = csr_matrix(np.repeat(counts(n_authors=3)[0].toarray(), 8, axis=1))
    found = profiles(visits, csr_matrix(visits.shape), rank)
    assert found.authors.shape == (24, 3)
    scores = found.users @ found.authors.T
    np.testing.assert_allclose(scores[:, 0:8], scores[:, [0] * 8], atol=1e-9)


@pytest.mark.parametrize("entry", [0.0, 1.0])
def test_users_who_are_alike_have_no_profile(entry):
    graph = csr_matrix(np.full((40, 24), entry))
    found = profiles(graph, graph, rank=4)
    assert found.users.shape == (40, 0) and found.authors.shape == (24, 0)
