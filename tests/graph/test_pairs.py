import numpy as np
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.metapaths import Neighbours
from mmbee_plugin.graph.pairs import PairSampler

NEIGHBOURS = Neighbours(
    np.array([0, 2, 2, 5, 6]),
    np.array([1, 2, 0, 1, 3, 2], np.int32),
    np.array([3.0, 1.0, 1e-6, 2e-6, 1e-6, 5.0], np.float32),
)


def sampler_of(neighbours=NEIGHBOURS, n_nodes=4, seed=0, *, same_type=True, **given):
    chosen = {"positives": 4, "negatives": 256, "by_weight": True} | given
    return PairSampler(neighbours, n_nodes, seed, **chosen, same_type=same_type)


def test_pairs_come_from_the_lists_and_nodes_without_are_skipped():
    sampler = sampler_of(positives=6, negatives=9)
    pairs = sampler.sample(np.array([3, 1, 0, 2]))
    assert list(pairs.nodes) == [3, 0, 2]
    assert pairs.positives.shape == (3, 6) and pairs.negatives.shape == (9,)
    for node, row, mask in zip(pairs.nodes, pairs.positives, pairs.mask, strict=True):
        assert set(row) <= set(NEIGHBOURS.of(node)[0])
        for negative, counts in zip(pairs.negatives, mask, strict=True):
            assert counts == (negative != node and negative not in row)


@pytest.mark.parametrize(("by_weight", "expected"), [(True, [0.25, 0.5, 0.25]), (False, [1 / 3] * 3)])
def test_draws_follow_the_weights_or_are_even(by_weight, expected):
    sampler = sampler_of(seed=1, positives=30_000, negatives=1, by_weight=by_weight)
    drawn = sampler.sample(np.array([2])).positives
    shares = [(drawn == node).mean() for node in (0, 1, 3)]
    np.testing.assert_allclose(shares, expected, atol=0.015)


@pytest.mark.parametrize("by_weight", [True, False])
def test_a_draw_is_the_place_where_the_sum_of_weights_passes_it(by_weight):
    random = np.random.default_rng(0)
    degrees = random.integers(0, 60, 40)
    indptr = np.concatenate([[0], np.cumsum(degrees)])
    lists = Neighbours(
        indptr, np.arange(indptr[-1], dtype=np.int32), random.random(indptr[-1]).astype(np.float32)
    )
    pairs = sampler_of(lists, indptr[-1], seed=3, positives=5, by_weight=by_weight).sample(np.arange(40))
    drawn = np.random.default_rng(3).random((len(pairs.nodes), 5))
    for node, row, wanted in zip(pairs.nodes, pairs.positives, drawn, strict=True):
        ids, weights = lists.of(node)
        sums = np.cumsum(weights if by_weight else np.ones(len(ids)), dtype=np.float64)
        assert list(row) == [ids[(sums <= one * sums[-1]).sum()] for one in wanted]


def test_negatives_are_even_over_all_nodes():
    sampler = sampler_of(n_nodes=50, seed=1, negatives=50_000)
    counts = np.bincount(sampler.sample(np.array([0])).negatives, minlength=50)
    assert counts.min() > 850 and counts.max() < 1150


def test_a_user_may_have_its_own_number_as_a_negative_author():
    sampler = sampler_of(positives=1, negatives=200, same_type=False)
    pairs = sampler.sample(np.array([3]))
    assert pairs.mask[0][pairs.negatives == 3].all()
    assert not pairs.mask[0][pairs.negatives == 2].any()


def test_equal_seeds_give_equal_draws():
    first, second, other = (
        sampler_of(seed=seed, negatives=64).sample(np.array([0, 2])) for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first.positives, second.positives)
    np.testing.assert_array_equal(first.negatives, second.negatives)
    assert (first.negatives != other.negatives).any()


def test_no_node_with_a_positive():
    pairs = sampler_of().sample(np.array([1]))
    assert len(pairs.nodes) == 0 and pairs.positives.shape == (0, 4)


@pytest.mark.parametrize("name", ["positives", "negatives"])
def test_counts_below_one(name):
    with pytest.raises(InputError, match=f"{name}: 0"):
        sampler_of(**{name: 0})
