"""U2A, the bipartite donation graph of users and authors, weighted by amounts (MMBee, section 5.1)."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix

from mmbee_plugin.errors import InputError

Amount = Literal["amount", "log1p", "binary"]


def donation_graph(
    users: ArrayLike, authors: ArrayLike, amounts: ArrayLike | None, n_users: int, n_authors: int
) -> csr_matrix:
    """Sums a list of interactions into the U2A graph.

    Args:
        users: (n,) file row of each interaction's user.
        authors: (n,) file row of each interaction's author.
        amounts: (n,) amounts above zero, in one unit; ``None`` counts interactions.
        n_users: rows of the graph.
        n_authors: columns of the graph.

    Returns:
        float32 (n_users, n_authors), sorted columns, one edge per pair with the sum of its amounts.

    Raises:
        InputError: unequal lengths, a row outside the graph, an amount that is not finite and above zero.
    """
    rows, columns = _rows("users", users, n_users), _rows("authors", authors, n_authors)
    if len(rows) != len(columns):
        raise InputError(f"users has {len(rows)} rows and authors {len(columns)}: they must be equally long")
    if amounts is None:
        values = np.ones(len(rows))
    else:
        values = np.asarray(amounts, dtype=np.float64)
        if values.shape != rows.shape:
            raise InputError(f"amounts has shape {values.shape}, expected {rows.shape}, one per interaction")
        wrong = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
        if len(wrong):
            raise InputError(
                f"amounts, row {wrong[0]}: {values[wrong[0]]} is not an amount, expected a number above 0"
            )
    graph = csr_matrix((values, (rows, columns)), shape=(n_users, n_authors))
    graph.sum_duplicates()
    # Amounts outside float32's range would become edges of weight zero or infinity.
    smallest = np.finfo(np.float32).tiny
    graph.data = np.clip(graph.data, smallest, np.finfo(np.float32).max)
    return graph.astype(np.float32)


def weigh(graph: csr_matrix, amount: Amount) -> csr_matrix:
    """A copy of the graph weighted by the summed amount, log(1 + amount), or 1.

    Raises:
        InputError: an unknown ``amount``.
    """
    if amount not in get_args(Amount):
        raise InputError(f"amount: {amount!r} is unknown, expected one of {', '.join(get_args(Amount))}")
    weighted = graph.copy()
    if amount == "log1p":
        weighted.data = np.log1p(weighted.data)
    elif amount == "binary":
        weighted.data = np.ones_like(weighted.data)
    return weighted


def _rows(name: str, values: ArrayLike, count: int) -> np.ndarray:
    rows = np.asarray(values)
    if rows.ndim != 1 or (rows.size and not np.issubdtype(rows.dtype, np.integer)):
        raise InputError(f"{name}: expected whole numbers of shape (n,), found {rows.dtype} {rows.shape}")
    wrong = np.flatnonzero((rows < 0) | (rows >= count))
    if len(wrong):
        raise InputError(f"{name}, row {wrong[0]}: {rows[wrong[0]]} is outside 0..{count - 1}")
    return rows.astype(np.int64)
