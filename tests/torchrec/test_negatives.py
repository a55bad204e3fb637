import numpy as np

from mmbee_plugin.torchrec.batches.negatives import draw_negatives, has_every_author


class Known:
    """User u knows authors 0 to u - 1 of five, and author 0 twice."""

    n_authors = 5

    def known(self, users):
        lists = [[*range(u), 0] if u else [] for u in users]
        return np.repeat(np.arange(len(users)), [len(one) for one in lists]), np.concatenate(
            [np.asarray(one, dtype=int) for one in lists]
        )

    def history_lengths(self, users):
        return np.where(users > 0, users + 1, 0)


def draw(users, rows, count=3000, place=(0, 0, 0)):
    return draw_negatives(Known(), np.array(users), np.array(rows), count, place)


def test_negatives_are_even_over_what_a_user_lacks():
    drawn = draw([4, 0, 2, 2], range(4))
    assert drawn.shape == (4, 3000)
    for user, row in zip([4, 0, 2, 2], drawn, strict=True):
        counts = np.bincount(row, minlength=5)
        assert counts[:user].sum() == 0
        np.testing.assert_allclose(counts[user:] / 3000, 1 / (5 - user), atol=0.04)
    assert (drawn[2] != drawn[3]).mean() > 0.5  # one user, two rows
    assert (draw([0], [0], place=(0, 0, 1)) != draw([0], [0])).mean() > 0.5


def test_any_rows_of_a_batch_get_what_they_get_in_the_whole():
    users = [4, 0, 2, 2, 3]
    whole = draw(users, range(5), 7)
    np.testing.assert_array_equal(draw(users[1::2], [1, 3], 7), whole[1::2])


def test_who_has_every_author_is_known_and_gets_any():
    assert has_every_author(Known(), np.array([4, 5, 0, 5])).tolist() == [False, True, False, True]
    drawn = draw([5, 1], [0, 1])
    assert set(drawn[0]) == set(range(5)) and set(drawn[1]) == set(range(1, 5))


def test_only_authors_among_the_given_are_drawn():
    among = np.array([0, 1, 4])
    drawn = draw_negatives(Known(), np.array([1, 0]), np.arange(2), 3000, (0, 0, 0), among)
    assert set(drawn[0]) == {1, 4} and set(drawn[1]) == {0, 1, 4}
    assert has_every_author(Known(), np.array([5, 2, 0]), np.array([0, 1])).tolist() == [True, True, False]
