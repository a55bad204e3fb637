import itertools

import numpy as np
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph import product, routes
from mmbee_plugin.graph.donations import donation_graph
from mmbee_plugin.graph.expansion import expand
from mmbee_plugin.graph.metapaths import PAPER_METAPATHS, Metapath, every_metapath, explain
from mmbee_plugin.graph.swing import swing

EVERY_PATH = [
    "2".join(nodes)
    for length in (2, 3, 4)
    for nodes in itertools.product("ua", repeat=length)
    if "uu" not in "".join(nodes)
]


def graphs(seed, n_users=30, n_authors=25, draws=120, ties=True):
    random = np.random.default_rng(seed)
    users, authors = random.integers(0, n_users, draws), (n_authors * random.random(draws) ** 2).astype(int)
    amounts = None if ties else random.integers(1, 5, draws).astype(float)
    u2a = donation_graph(users, authors, amounts, n_users, n_authors)
    if ties:
        u2a.data[:] = 1
    return u2a, swing(u2a)


def dense_scores(name, u2a, a2a, normalisation):
    step = {"u2a": u2a.toarray(), "a2u": u2a.toarray().T, "a2a": a2a.toarray()}
    total = None
    for start, end in itertools.pairwise(name.split("2")):
        weights = step[f"{start}2{end}"].astype(float)
        rows, columns = weights.sum(1, keepdims=True), weights.sum(0, keepdims=True)
        scale = rows if normalisation == "row" else np.sqrt(rows * columns)
        weights = np.divide(weights, scale, out=np.zeros_like(weights), where=weights > 0)
        total = weights if total is None else total @ weights
    return total


def expected_lists(name, u2a, a2a, top_k, normalisation="row", exclude_own=True):
    scores = dense_scores(name, u2a, a2a, normalisation)
    if exclude_own and name[0] == name[-1]:
        np.fill_diagonal(scores, 0)
    elif exclude_own and len(name) > 3:
        scores[(u2a if name[0] == "u" else u2a.T).toarray() > 0] = 0
    scores = scores.astype(np.float32)
    for row in scores:
        order = np.lexsort((np.arange(len(row)), -row))
        yield [i for i in order if row[i] > 0][:top_k], row


def check(name, u2a, a2a, top_k, **options):
    found = expand(Metapath.parse(name), u2a, a2a, top_k=top_k, **options)
    cut_ties = 0
    for node, (ids, row) in enumerate(expected_lists(name, u2a, a2a, top_k, **options)):
        got, weights = found.of(node)
        assert list(got) == ids, (name, node)
        np.testing.assert_allclose(weights, row[ids], rtol=2e-7)
        cut_ties += len(ids) == top_k and (row == row[ids[-1]]).sum() > (row[ids] == row[ids[-1]]).sum()
    assert (found.indptr.dtype, found.ids.dtype, found.weights.dtype) == (np.int64, np.int32, np.float32)
    return cut_ties


@pytest.mark.parametrize("normalisation", ["row", "symmetric"])
@pytest.mark.parametrize("name", EVERY_PATH)
def test_every_path_equals_dense_products_with_many_ties(name, normalisation):
    cut_ties = sum(
        check(name, *graphs(seed), top_k=top_k, normalisation=normalisation)
        for seed in (0, 1)
        for top_k in (1, 4)
    )
    if name in ("u2a2u", "a2u2a", "a2u") and normalisation == "row":
        assert cut_ties > 10  # the case the order is defined for does occur


@pytest.mark.parametrize(
    ("name", "n_users", "n_authors"),
    [("u2a2u2a", 30, 900), ("u2a2a", 30, 900), ("u2a2a2a", 12, 900), ("a2u2a2u", 900, 15)],
)
@pytest.mark.parametrize("ties", [True, False])
def test_heavy_rows_tile_by_tile(monkeypatch, name, n_users, n_authors, ties):
    monkeypatch.setattr(product, "_TILE", 64)
    u2a, a2a = graphs(3, n_users=n_users, n_authors=n_authors, draws=2500, ties=ties)
    check(name, u2a, a2a, top_k=7)


def test_products_too_large_to_store_are_chunked(monkeypatch):
    monkeypatch.setattr(routes, "_CHUNK", 60)
    monkeypatch.setattr(routes, "_STORED", 60)
    for name in ("u2a2u2a", "a2u2a2u", "u2a2a2a"):
        check(name, *graphs(5), top_k=5)


def test_own_nodes_stay_when_asked():
    u2a, a2a = graphs(2)
    for name in PAPER_METAPATHS:
        check(name, u2a, a2a, top_k=6, exclude_own=False)


def test_direct_paths_keep_own_edges_and_long_ones_do_not():
    u2a, a2a = graphs(4)
    direct = expand(Metapath.parse("u2a"), u2a, None, top_k=100)
    assert set(direct.of(3)[0]) == set(u2a[3].indices)
    far = expand(Metapath.parse("u2a2u2a"), u2a, a2a, top_k=100)
    for user in range(u2a.shape[0]):
        assert not set(far.of(user)[0]) & set(u2a[user].indices)


def test_lists_do_not_depend_on_how_many_threads(monkeypatch):
    u2a, a2a = graphs(6)
    several = expand(Metapath.parse("u2a2u2a"), u2a, a2a, top_k=9)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3, 4}, raising=False)
    again = expand(Metapath.parse("u2a2u2a"), u2a, a2a, top_k=9)
    np.testing.assert_array_equal(several.ids, again.ids)
    np.testing.assert_array_equal(several.weights, again.weights)


@pytest.mark.parametrize("name", ["u2a", "a2u2a", "u2a2u2a", "u2a2a2a"])
@pytest.mark.parametrize("normalisation", ["row", "symmetric"])
def test_explained_walks_add_up_to_the_score(name, normalisation):
    u2a, a2a = graphs(7, ties=False)
    path = Metapath.parse(name)
    found = expand(path, u2a, a2a, top_k=5, normalisation=normalisation)
    ids, weights = found.of(2)
    assert len(ids)
    for end, weight in zip(ids, weights, strict=True):
        walks = explain(path, u2a, a2a, 2, int(end), normalisation=normalisation)
        assert sum(walk.weight for walk in walks) == pytest.approx(weight, rel=1e-6)
        assert len({walk.nodes for walk in walks}) == len(walks)
        for walk in walks:
            assert walk.nodes[0] == 2 and walk.nodes[-1] == end and len(walk.nodes) == path.hops + 1
        assert [walk.weight for walk in walks] == sorted((walk.weight for walk in walks), reverse=True)


def test_graphs_with_unsorted_columns_give_the_same_and_stay_as_they_are():
    u2a, a2a = graphs(8, ties=False)
    mixed = u2a.copy()
    for user in range(30):
        part = slice(mixed.indptr[user], mixed.indptr[user + 1])
        mixed.indices[part], mixed.data[part] = (
            mixed.indices[part][::-1].copy(),
            mixed.data[part][::-1].copy(),
        )
    mixed.has_sorted_indices = False
    before = mixed.indices.copy(), mixed.data.copy()
    for name in ("u2a2u", "u2a2a", "u2a2u2a"):
        found, expected = (expand(Metapath.parse(name), one, a2a, top_k=5) for one in (mixed, u2a))
        np.testing.assert_array_equal(found.ids, expected.ids)
        np.testing.assert_allclose(found.weights, expected.weights, rtol=1e-6)
    np.testing.assert_array_equal(mixed.indices, before[0])
    np.testing.assert_array_equal(mixed.data, before[1])


def test_names():
    path = Metapath.parse("u2a2a")
    assert (path.start, path.end, path.hops, path.steps) == ("u", "a", 2, ("u2a", "a2a"))
    assert path.name == "u2a2a"
    for wrong in ("", "u", "u2u", "u2a2u2u", "u2a2u2a2u", "ua", "u2", "2a", "u2i", "U2A", "u2a\n", "a2u2a2"):
        with pytest.raises(InputError, match=r"joined like u2a2u; the paper's five are u2a2u, "):
            Metapath.parse(wrong)


def test_bad_options_are_named():
    u2a, a2a = graphs(0)
    path = Metapath.parse("u2a2a")
    with pytest.raises(InputError, match="top_k: 0"):
        expand(path, u2a, a2a, top_k=0)
    with pytest.raises(InputError, match="normalisation: 'column'"):
        expand(path, u2a, a2a, top_k=1, normalisation="column")
    with pytest.raises(InputError, match="no A2A graph"):
        expand(path, u2a, None, top_k=1)
    with pytest.raises(InputError, match="A2A is"):
        expand(path, u2a, a2a[:3, :3], top_k=1)
    with pytest.raises(InputError, match=r"end: node 99 is outside 0\.\.24"):
        explain(path, u2a, a2a, 0, 99)


def test_an_empty_graph_gives_empty_lists():
    u2a = donation_graph([], [], None, 3, 4)
    found = expand(Metapath.parse("u2a2u2a"), u2a, swing(u2a), top_k=5)
    assert found.n_nodes == 3 and len(found.ids) == 0


def test_every_path_is_listed_once_and_those_from_users_first():
    names = [path.name for path in every_metapath()]
    assert sorted(names) == sorted(EVERY_PATH) and len(names) == 16
    assert [name for name in names if name[0] == "u"] == names[:6]
    assert [path.name for path in every_metapath(1)] == ["u2a", "a2u", "a2a"]
    assert {path.hops for path in every_metapath(2)} == {1, 2}
