"""Each node's top-K neighbours along a metapath (MMBee, section 5.3)."""

import numpy as np
from scipy.sparse import csr_matrix

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.lists import PackedLists
from mmbee_plugin.graph.metapaths import Metapath, Neighbours, Normalisation, step_graphs
from mmbee_plugin.graph.routes import Route, joins, leaves_gifts_out
from mmbee_plugin.graph.sharing import shared_rows
from mmbee_plugin.graph.stored import rows_at, stored_product


def expand(
    path: Metapath,
    u2a: csr_matrix,
    a2a: csr_matrix | None,
    *,
    top_k: int,
    normalisation: Normalisation = "row",
    exclude_own: bool = True,
    sample: csr_matrix | None = None,
) -> Neighbours:
    """Finds the ``top_k`` best neighbours of every start node along a metapath.

    A neighbour's score is the sum, over all walks to it, of the product of the normalised edge weights. No list is cut
    between hops, so scores are exact: summed in double precision, compared and stored as float32, ties by lower id.

    Args:
        path: the metapath.
        u2a: (n_users, n_authors) weighted donation graph.
        a2a: (n_authors, n_authors) similarity graph; may be ``None`` for a path without a2a steps.
        top_k: neighbours kept per node, at least 1.
        normalisation: ``row`` divides an edge's weight by the sum of its start's edges; ``symmetric`` by the square
            root of the product of the sums of its start's and its end's edges.
        exclude_own: leave out the node itself on paths that end at their start type, and the pairs of U2A on longer
            paths between users and authors.
        sample: (n_users, n_authors) U2A with capped hubs, which steps a2u follow; U2A itself by default.

    Raises:
        InputError: an option out of range, an a2a step without A2A, graphs that do not fit each other.

    Example:
        >>> u2a = csr_matrix([[1.0, 1.0], [0.0, 2.0], [4.0, 0.0]])  # amounts of 3 users to 2 authors
        >>> found = expand(Metapath.parse("u2a2u"), u2a, None, top_k=1)
        >>> found.of(0)  # the user who gave most to the authors of user 0
        (array([2], dtype=int32), array([0.4], dtype=float32))
    """
    return Expansion(u2a, a2a, normalisation, sample).lists(path, top_k, exclude_own).along(path.name).all()


class Expansion:
    """Finds neighbour lists on one pair of graphs.

    The product of the last two of three steps is kept until a metapath with other last steps follows, see
    :func:`~mmbee_plugin.graph.metapaths.in_turn`.

    Args:
        u2a, a2a, normalisation, sample: as in :func:`expand`.
    """

    def __init__(
        self,
        u2a: csr_matrix,
        a2a: csr_matrix | None,
        normalisation: Normalisation = "row",
        sample: csr_matrix | None = None,
    ) -> None:
        self.u2a, self.a2a, self.normalisation, self.sample = u2a, a2a, normalisation, sample
        self._last_two: tuple[tuple[str, ...], csr_matrix] | None = None

    def lists(
        self, path: Metapath, top_k: int, exclude_own: bool = True, nodes: np.ndarray | None = None
    ) -> PackedLists:
        """The lists of :func:`expand` as they are stored: users with equal histories share a row.

        Args:
            path, top_k, exclude_own: as of :func:`expand`.
            nodes: (b,) start nodes; the lists are theirs alone, in this order. All by default.

        Raises:
            InputError: as :func:`expand`.
        """
        if top_k < 1:
            raise InputError(f"top_k: {top_k} is out of range, expected at least 1")
        steps = step_graphs(path, self.u2a, self.a2a, self.normalisation, self.sample)
        rows, starts = None, nodes
        if path.start == "u":
            rows, starts = shared_rows(steps[0] if nodes is None else rows_at(steps[0], nodes))
            starts = starts if nodes is None else nodes[starts]
        if self._last_two is not None and self._last_two[0] != path.steps[-2:]:
            self._last_two = None
        if path.hops == 3 and joins(steps):
            steps = [steps[0], self._joined(path, steps)]
        elif path.hops == 2 and self._last_two is not None:
            steps = [self._last_two[1]]
        own = None
        if leaves_gifts_out(path, exclude_own):
            own = self.u2a if path.start == "u" else self.u2a.T.tocsr()
        route = Route(path, tuple(steps), starts, own, exclude_own)
        indptr, entries = route.best(top_k)
        return PackedLists((path.name,), indptr, entries, rows, (route.with_self,), top_k)

    def _joined(self, path: Metapath, steps: list[csr_matrix]) -> csr_matrix:
        """The product of a path's last two steps."""
        if self._last_two is None:
            self._last_two = path.steps[1:], stored_product(*steps[1:])
        return self._last_two[1]
