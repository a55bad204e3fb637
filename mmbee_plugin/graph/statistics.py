"""Statistics of nodes: columns whose means over a node's neighbours become model inputs.

A statistic is computed from the gifts of a graph, so that in cross-fitting it excludes the gifts of the fold left out.
A new one is a function and a row of :data:`STATISTICS`; snapshots, shards and both adapters need no change.
"""

from collections.abc import Callable, Mapping

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.attributes import Attributes
from mmbee_plugin.graph.settings import Interactions

Columns = Mapping[str, Attributes]
"""columns of authors or users by name, which is also a file name"""


def content(gifts: Interactions, features: Columns) -> Columns:
    """The authors' dense features, by modality."""
    return features


STATISTICS: dict[str, Callable[[Interactions, Columns], Columns]] = {"content": content}
"""functions of the gifts and the authors' dense features, by their name in ``graph.statistics``"""


def columns_of(names: tuple[str, ...], gifts: Interactions, features: Columns) -> dict[str, Attributes]:
    """The columns of several statistics, in the order of :data:`STATISTICS`.

    Raises:
        InputError: an unknown statistic, two columns of one name, or a column without one row per node.
    """
    if unknown := [name for name in names if name not in STATISTICS]:
        raise InputError(f"graph.statistics: unknown {unknown[0]!r}; known: {', '.join(STATISTICS)}")
    found: dict[str, Attributes] = {}
    for statistic in STATISTICS:
        columns = STATISTICS[statistic](gifts, features) if statistic in names else {}
        if twice := found.keys() & columns.keys():
            raise InputError(f"graph.statistics: {statistic} makes {min(twice)!r}, which is there already")
        found |= columns
    for name, one in found.items():
        rows = gifts.n_authors if one.end == "a" else gifts.n_users
        if one.values.ndim != 2 or len(one.values) != rows:
            raise InputError(f"attributes {name}: shape {one.values.shape}, expected {rows} rows")
        if one.present.shape != (rows,):
            raise InputError(
                f"attributes {name}: present has shape {one.present.shape}, expected a flag a row"
            )
    return found
