import numpy as np
import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.torchrec.negatives import draw_negatives


class Known:
    """User u knows authors 0 to u - 1 of five."""

    n_authors = 5

    def known(self, user_rows):
        return np.repeat(np.arange(len(user_rows)), user_rows), np.concatenate(
            [np.arange(u) for u in user_rows]
        )


def test_negatives_are_even_over_what_a_user_lacks():
    users = np.array([4, 0, 2, 2])
    drawn = draw_negatives(Known(), users, 3000, np.random.default_rng(0))
    assert drawn.shape == (4, 3000)
    for user, row in zip(users, drawn, strict=True):
        counts = np.bincount(row, minlength=5)
        assert counts[:user].sum() == 0
        np.testing.assert_allclose(counts[user:] / 3000, 1 / (5 - user), atol=0.04)


def test_a_user_with_every_author_is_named():
    with pytest.raises(InputError, match="user row 5 has all 5 authors"):
        draw_negatives(Known(), np.array([1, 5]), 2, np.random.default_rng(0))
