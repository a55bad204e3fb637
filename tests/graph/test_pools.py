"""What means over neighbours are taken over, against Python's sets and dictionaries."""

from itertools import product

import numpy as np
import pytest

from mmbee_plugin.graph.metapaths import PAPER_METAPATHS, Metapath, Neighbours
from mmbee_plugin.graph.pools import pools_of

PATHS = tuple(Metapath.parse(name) for name in (*PAPER_METAPATHS, "a2u"))
NODES = 25


@pytest.fixture
def lists():
    """Lists of every path over 6 users and 6 authors, so that they overlap; some nodes have none."""
    random = np.random.default_rng(0)
    made = {}
    for path in PATHS:
        degrees = random.integers(1, 6, NODES) * (random.random(NODES) < 0.6)
        ids = [random.choice(6, degree, replace=False) for degree in degrees]
        weights = random.random(degrees.sum()).astype(np.float32) + 0.05
        indptr = np.concatenate([[0], np.cumsum(degrees)])
        made[path.name] = Neighbours(indptr, np.concatenate(ids).astype(np.int32), weights)
    return made


def expected(lists, names, node, weighted):
    """(type, id) -> weight of each distinct neighbour."""
    found: dict[tuple[str, int], float] = {}
    for name in names:
        ids, weights = lists[name].of(node)
        for neighbour, weight in zip(ids.tolist(), weights.tolist(), strict=True):
            key = name[-1], neighbour
            found[key] = found.get(key, 0) + weight / weights.astype(float).sum() if weighted else 1
    total = sum(found.values())
    return {key: weight / total for key, weight in found.items()}


@pytest.mark.parametrize(("pooling", "weighted"), [*product(("concat", "set"), (True, False))])
def test_weights_are_those_of_a_mean_over_each_distinct_neighbour(lists, pooling, weighted):
    groups = [(path.name,) for path in PATHS]
    if pooling == "set":
        groups = [tuple(path.name for path in PATHS if path.start == side) for side in "ua"]
    pools = pools_of(PATHS, pooling)
    assert [pool.name for pool in pools] == ["+".join(names) for names in groups]
    empty = 0
    for pool, names in zip(pools, groups, strict=True):
        parts = pool.lists(lists.__getitem__, weighted)
        assert all(part.weights.dtype == np.float32 for part in parts)
        for node in range(NODES):
            found = {}
            for part, one in zip(pool.parts, parts, strict=True):
                ids, weights = one.of(node)
                assert len(set(ids.tolist())) == len(ids)
                found |= {
                    (part.end, neighbour): weight for neighbour, weight in zip(ids, weights, strict=True)
                }
            assert found == pytest.approx(expected(lists, names, node, weighted), rel=1e-5)
            empty += not found
    assert empty


def test_users_and_authors_stay_apart_and_overlaps_are_there(lists):
    users, authors = pools_of(PATHS, "set")
    assert [(part.name, part.end) for part in users.parts] == [("u2a2u", "u"), ("u2a2u2a+u2a2a", "a")]
    assert [(part.name, part.end) for part in authors.parts] == [("a2a+a2u2a", "a"), ("a2u", "u")]
    united = users.lists(lists.__getitem__, False)[1]
    assert len(united.ids) < len(lists["u2a2u2a"].ids) + len(lists["u2a2a"].ids)


def test_a_stored_mean_is_that_of_one_metapath_by_its_scores():
    single, *_ = pools_of(PATHS, "concat")
    both, _ = pools_of(PATHS, "set")
    assert single.is_stored(True)
    assert not (single.is_stored(False) or both.is_stored(True) or both.is_stored(False))
    assert pools_of((), "set") == pools_of((), "concat") == ()
