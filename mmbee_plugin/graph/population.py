"""Expected degrees and overlaps of a donation graph whose gifts fall on users and authors by Zipf laws."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ranks:
    """The ranks 1 .. n of a Zipf law in groups of nearly equal chances.

    Shapes:
        - counts: (g,) ranks of each group
        - chances: (g,) mean chance of one of its ranks; counts times chances sum to 1
    """

    counts: Floats
    chances: Floats

    @classmethod
    def zipf(cls, n: int, exponent: float) -> "Ranks":
        """Groups whose edges are 4 % apart, the first 25 ranks alone."""
        edges = np.unique(
            (1.04 ** np.arange(np.log(n + 1) / np.log(1.04) + 1)).astype(np.int64).clip(1, n + 1)
        )
        # The midpoint rule is off by 10 % at the first rank and by less than 1e-4 from the tenth on.
        low, high = edges[:-1] - 0.5, edges[1:] - 0.5
        if exponent == 1:
            sums = np.log(high) - np.log(low)
        else:
            sums = (high ** (1 - exponent) - low ** (1 - exponent)) / (1 - exponent)
        counts = np.diff(edges)
        sums[counts == 1] = edges[:-1][counts == 1] ** -float(exponent)
        return cls(counts.astype(np.float64), sums / sums.sum() / counts)


class Population:
    """Users and authors, and gifts drawn independently: the r-th user and author in proportion to r^-exponent.

    An edge joins a user and an author with at least one gift. All attributes are expectations, by groups of authors
    (A,) or of users (U,).

    Args:
        n_users, n_authors: nodes of each type.
        gifts: number of draws.
        exponent: of authors. user_exponent: of users.

    Attributes:
        users, authors: groups of nodes.
        edge: (U, A) chance of an edge between a user and an author.
        of_users, of_authors: degrees (U,) and (A,).
        single: (A,) users whose only author this is.
        common: (A, A) users that two authors share.
    """

    def __init__(
        self, n_users: int, n_authors: int, gifts: int, exponent: float, user_exponent: float = 0.5
    ) -> None:
        self.n_users, self.n_authors = n_users, n_authors
        self.users, self.authors = Ranks.zipf(n_users, user_exponent), Ranks.zipf(n_authors, exponent)
        mean = gifts * np.outer(self.users.chances, self.authors.chances)
        self.edge = -np.expm1(-mean)
        self.of_users, self.of_authors = self.edge @ self.authors.counts, self.users.counts @ self.edge
        self.common = self.edge.T @ (self.users.counts[:, None] * self.edge)
        # Chances of one author and no other, exp(-gifts) (exp(mean) - 1), and of two, with the first factor halved.
        self._gifts_of_users = gifts * self.users.chances
        given = self._gifts_of_users[:, None]
        self._alone = np.exp(mean - given) - np.exp(-given)
        self._paired = np.exp(mean - given / 2) - np.exp(-given / 2)
        self.single = self.users.counts @ self._alone

    @property
    def edges(self) -> float:
        """Number of edges."""
        return float(self.of_authors @ self.authors.counts)

    def histories(self, of_author: Floats) -> tuple[Floats, Floats]:
        """Groups of users' distinct histories: how many, and the sum over a history's authors of ``of_author`` (A,).

        Users of one author have one history, and so do users of the same two; all others have one each.
        """
        authors, users = self.authors.counts, self.users.counts
        pairs = np.outer(authors, authors) - np.diag(authors)  # ordered
        same = self._paired.T @ (users[:, None] * self._paired)
        both = self._paired @ authors
        value = authors * of_author
        of_two = (both**2 - self._paired**2 @ authors) / 2
        sums_of_two = both * (self._paired @ value) - self._paired**2 @ value
        none = np.exp(-self._gifts_of_users)
        more = users * np.clip(1 - none - self._alone @ authors - of_two, 0, None)
        sums = users * (self.edge @ value - self._alone @ value - sums_of_two)
        mean = np.divide(sums, more, out=np.zeros_like(sums), where=more > 1e-9)
        counts = [-np.expm1(-self.single) * authors, (-np.expm1(-same) * pairs / 2).ravel(), more]
        return np.concatenate(counts), np.concatenate(
            [of_author, np.add.outer(of_author, of_author).ravel(), mean.clip(0)]
        )
