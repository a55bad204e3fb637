import numpy as np
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.donations import donation_graph, weigh


def test_repeated_pairs_are_summed():
    graph = donation_graph([1, 0, 1], [2, 0, 2], [3.0, 1.5, 4.0], 3, 4)
    expected = np.zeros((3, 4))
    expected[0, 0], expected[1, 2] = 1.5, 7.0
    assert graph.dtype == np.float32
    np.testing.assert_array_equal(graph.toarray(), expected)


def test_amounts_are_weighed():
    graph = donation_graph([0, 0, 1], [0, 0, 1], None, 2, 2)
    np.testing.assert_allclose(weigh(graph, "log1p").toarray(), np.log1p([[2, 0], [0, 1]]), rtol=1e-6)
    np.testing.assert_array_equal(weigh(graph, "binary").toarray(), np.eye(2))
    np.testing.assert_array_equal(graph.toarray(), [[2, 0], [0, 1]])


@pytest.mark.parametrize(
    ("users", "authors", "amounts", "message"),
    [
        ([0, 3], [0, 0], None, "users, row 1: 3 is outside 0..2"),
        ([0, 0], [0, -1], None, "authors, row 1: -1 is outside 0..3"),
        ([0, 0], [0], None, "users has 2 rows and authors 1"),
        ([0.5], [0], None, "users: expected whole numbers"),
        ([0, 0], [0, 1], [1.0], "amounts has shape"),
        ([0, 0], [0, 1], [1.0, 0.0], "amounts, row 1: 0.0"),
        ([0, 0], [0, 1], [np.nan, 1.0], "amounts, row 0: nan"),
    ],
)
def test_bad_rows_are_named(users, authors, amounts, message):
    with pytest.raises(InputError, match=message):
        donation_graph(users, authors, amounts, 3, 4)


def test_no_interactions_give_an_empty_graph():
    assert donation_graph([], [], None, 3, 4).nnz == 0
