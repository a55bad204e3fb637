import numpy as np
import pytest
from scipy.sparse import csr_matrix

from mmbee_plugin.graph.donations import donation_graph
from mmbee_plugin.graph.expansion import Expansion
from mmbee_plugin.graph.lists import ENTRY, PackedLists, pack
from mmbee_plugin.graph.metapaths import Metapath
from mmbee_plugin.graph.sharing import shared_rows
from mmbee_plugin.graph.swing import swing

USER_PATHS = ("u2a2u", "u2a2u2a", "u2a2a", "u2a")


@pytest.fixture(params=[True, False], ids=["excluded", "kept"])
def graphs(request):
    """60 users, most with one author, some with none, and whether their own are left out."""
    random = np.random.default_rng(4)
    users = np.concatenate([np.arange(50), random.integers(0, 10, 30)])
    authors = (8 * random.random(len(users)) ** 2).astype(int)
    u2a = donation_graph(users, authors, None, 60, 9)
    return u2a, swing(u2a), request.param


def alone(path, graphs, top_k, user):
    """The list of one user, from a graph with the other users as they are, but computed for this row alone."""
    u2a, a2a, exclude = graphs
    lists = Expansion(u2a, a2a).lists(Metapath.parse(path), 60, False).along(path)
    ids, weights = lists.of(user)
    kept = np.ones(len(ids), bool)
    if exclude and path == "u2a2u":
        kept = ids != user
    elif exclude and path != "u2a":
        kept = ~np.isin(ids, u2a[user].indices)
    return ids[kept][:top_k], weights[kept][:top_k]


def test_users_of_one_history_share_a_row_and_read_their_own_lists(graphs):
    u2a, a2a, exclude = graphs
    found = [Expansion(u2a, a2a).lists(Metapath.parse(path), 6, exclude) for path in USER_PATHS]
    packed = pack(found)
    one_gift = np.flatnonzero(np.diff(u2a.indptr) == 1)
    authors = u2a.indices[u2a.indptr[one_gift]]
    assert len(one_gift) > 20 and packed.n_rows < 45 and packed.n_nodes == 60
    first = [one_gift[np.flatnonzero(authors == author)[0]] for author in authors]
    np.testing.assert_array_equal(packed.rows[one_gift], packed.rows[first])
    np.testing.assert_array_equal(packed.first[packed.rows[packed.first]], packed.first)
    for path in USER_PATHS:
        lists = packed.along(path)
        whole = lists.all()
        np.testing.assert_array_equal(lists.lengths, np.diff(whole.indptr))
        some = np.array([7, 7, 59, 0, 31])
        taken = lists.take(some)
        for user in range(60):
            expected = alone(path, graphs, 6, user)
            for given in (lists.of(user), whole.of(user)):
                for one, other in zip(given, expected, strict=True):
                    np.testing.assert_array_equal(one, other, err_msg=f"{path} of {user}")
        for place, user in enumerate(some):
            for one, other in zip(taken.of(place), lists.of(user), strict=True):
                np.testing.assert_array_equal(one, other)


def test_a_path_of_packed_lists_can_be_taken_out(graphs):
    u2a, a2a, exclude = graphs
    found = {path: Expansion(u2a, a2a).lists(Metapath.parse(path), 6, exclude) for path in USER_PATHS}
    packed = pack(list(found.values()))
    for path, one in found.items():
        again = packed.part(path)
        np.testing.assert_array_equal(again.indptr, one.indptr)
        np.testing.assert_array_equal(again.entries, one.entries)
        assert (again.paths, again.with_self, again.top_k) == ((path,), one.with_self, 6)


def test_rows_are_shared_by_equal_bits_alone():
    random = np.random.default_rng(0)
    dense = random.integers(0, 3, (400, 4)) / 4
    dense[7] = np.nextafter(dense[6], 1) * (dense[6] > 0)
    rows, first = shared_rows(csr_matrix(dense))
    expected = {}
    for node, row in enumerate(dense):
        expected.setdefault(row.tobytes(), (len(expected), node))
    np.testing.assert_array_equal(rows, [expected[row.tobytes()][0] for row in dense])
    np.testing.assert_array_equal(first, [node for _, node in expected.values()])
    rows, first = shared_rows(csr_matrix((0, 3)))
    assert len(rows) == len(first) == 0


def test_an_empty_list_of_nodes():
    empty = PackedLists(("a2a",), np.zeros(1, np.int64), np.zeros(0, ENTRY), None, (False,), 3)
    assert empty.fault(0, [0]) is None
    assert len(empty.along("a2a").all().ids) == 0
