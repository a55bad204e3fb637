import itertools

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from mmbee_plugin.graph import product, pruned, stored
from mmbee_plugin.graph.product import best_of_product
from mmbee_plugin.graph.stored import best_of_rows, stored_product


@pytest.fixture
def always(monkeypatch):
    """Hands every row to pruning; returns how many rows were asked for and how many of them were too flat."""
    counts = np.zeros(2, np.int64)

    def watched(rows, *given):
        flat = pruned.pruned_rows(rows, *given)
        counts[:] += len(rows), len(flat)
        return flat

    monkeypatch.setattr(product, "worth_pruning", lambda work, degrees, top_k, n_entries: work > 0)
    monkeypatch.setattr(product, "pruned_rows", watched)
    return counts


def sparse(rng, n, m, density):
    return csr_matrix(rng.random((n, m)) * (rng.random((n, m)) < density))


def right_matrix(rng, n_nodes, n_columns, length, values):
    """Rows of popular columns: hubs are in many of them, with values that fall steeply, are equal, or tie."""
    chances = np.arange(1, n_columns + 1) ** -0.8
    rows = np.repeat(np.arange(n_nodes), length)
    columns = np.concatenate(
        [rng.choice(n_columns, length, replace=False, p=chances / chances.sum()) for _ in range(n_nodes)]
    )
    data = {
        "steep": rng.pareto(0.7, len(columns)) + 1e-3,
        "equal": np.full(len(columns), 0.1),
        "tied": 2.0 ** -rng.integers(0, 12, len(columns)),
        "tiny": rng.pareto(0.7, len(columns)) * 1e-40,
    }[values]
    matrix = csr_matrix((data, (rows, columns)), shape=(n_nodes, n_columns))
    matrix.data /= 1 if values == "tiny" else matrix.data.max()
    matrix.sort_indices()
    return matrix


def one_by_one(left, right, excluded, top_k):
    """Sums every column in the order of left's columns; the best by float32 score, ties by lower column."""
    for row in range(left.shape[0]):
        sums = np.zeros(right.shape[1])
        for entry in range(left.indptr[row], left.indptr[row + 1]):
            node = left.indices[entry]
            part = slice(right.indptr[node], right.indptr[node + 1])
            sums[right.indices[part]] += left.data[entry] * right.data[part]
        sums[excluded[[row]].indices] = 0
        scores = sums.astype(np.float32)
        order = np.lexsort((np.arange(len(scores)), -scores))
        kept = [column for column in order[: top_k + 5] if sums[column] > 0][:top_k]
        yield kept, scores[kept]


@pytest.mark.parametrize("values", ["steep", "equal", "tied", "tiny"])
@pytest.mark.parametrize("top_k", [1, 7, 40])
@pytest.mark.parametrize("seed", [0, 1])
def test_pruned_rows_equal_full_sums_to_the_last_bit(always, values, top_k, seed):
    rng = np.random.default_rng(seed)
    right = right_matrix(rng, 60, 900, 300, values)
    left = sparse(rng, 50, 60, 0.15)
    excluded = sparse(rng, 50, 900, 0.02)
    ids, scores, found = best_of_product(left, right, excluded, top_k)
    for row, (columns, expected) in enumerate(one_by_one(left, right, excluded, top_k)):
        assert list(ids[row, : found[row]]) == columns
        np.testing.assert_array_equal(scores[row, : found[row]], expected)
    asked, flat = always
    assert asked > 40
    if values == "steep" and top_k < 40:
        assert flat < asked / 2  # most are pruned indeed
    if values in ("equal", "tiny"):
        assert flat == asked


def test_more_candidates_than_are_collected_at_once(always, monkeypatch):
    """Kept columns are summed in several rounds when there are many rows: here by hand, in two parts."""
    rng = np.random.default_rng(5)
    right = right_matrix(rng, 60, 900, 300, "steep")
    left = sparse(rng, 80, 60, 0.15)
    none = csr_matrix((80, 900))
    whole = best_of_product(left, right, none, 5)
    parts = [best_of_product(left[part], right, none[part], 5) for part in (slice(0, 33), slice(33, 80))]
    for one, both in zip(whole, zip(*parts, strict=True), strict=True):
        np.testing.assert_array_equal(one, np.concatenate(both))


@pytest.mark.parametrize("block", [40, 4_000_000])
def test_a_stored_product_and_its_best(monkeypatch, block):
    monkeypatch.setattr("mmbee_plugin.graph.stored._BLOCK", block)
    rng = np.random.default_rng(2)
    left = sparse(rng, 40, 30, 0.1)
    right = sparse(rng, 30, 70, 0.1)
    excluded = sparse(rng, 40, 70, 0.1)
    stored = stored_product(left, right)
    dense = np.zeros((40, 70))
    for row in range(40):
        for entry in range(left.indptr[row], left.indptr[row + 1]):
            dense[row] += left.data[entry] * right[[left.indices[entry]]].toarray()[0]
    np.testing.assert_array_equal(stored.toarray(), dense)
    assert stored.nnz == np.count_nonzero(dense)
    assert all((np.diff(stored.indices[a:b]) > 0).all() for a, b in itertools.pairwise(stored.indptr))
    ids, scores, found = best_of_rows(stored, excluded, 6)
    for row, (columns, expected) in enumerate(one_by_one(left, right, excluded, 6)):
        assert list(ids[row, : found[row]]) == columns
        np.testing.assert_array_equal(scores[row, : found[row]], expected)


def test_rows_are_pruned_where_it_pays():
    work, degrees = np.array([10_000, 200_000, 90_000]), np.array([1, 10, 200])
    assert list(pruned.worth_pruning(work, degrees, 50, 1_000)) == [True, True, False]
    assert not pruned.worth_pruning(work, degrees, 50, 10**6).any()


def test_flat_products_are_given_up_after_a_try(always):
    rng = np.random.default_rng(3)
    right, none = right_matrix(rng, 60, 900, 300, "equal"), csr_matrix((400, 900))
    left = sparse(rng, 400, 60, 0.15)
    best = np.empty((400, 5), np.int32), np.empty((400, 5), np.float32), np.zeros(400, np.int64)
    graphs = (stored.arrays(left), stored.arrays(right), stored.arrays(none)[:2])
    assert sorted(pruned.pruned_rows(np.arange(400), *graphs, best, 900, pruned.by_rank(right))) == list(
        range(400)
    )
    assert not best[2].any()


@pytest.mark.parametrize("n_ids", [1, 2, 1000, 2**17])
def test_ids_are_sorted_in_place(n_ids):
    rng = np.random.default_rng(6)
    places = stored.buckets(n_ids)
    assert len(places) ** 2 > n_ids - 1
    for count in (0, 1, min(5, n_ids), n_ids):
        ids = np.append(rng.permutation(n_ids)[:count], 7).astype(np.int32)
        expected = [*sorted(ids[:count]), 7]
        stored.sort_ids(ids, count, np.empty_like(ids), places)
        assert list(ids) == expected
