"""Typed settings of `mmbee data shards`, from ``--key=value`` arguments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import Field

from mmbee_plugin.assembly.settings import GRAPH, CategorySettings, NodeTables, RowSettings
from mmbee_plugin.command.yaml_settings import replace_entry
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.offline.node_vectors import GraphCLSettings
from mmbee_plugin.settings.needs import Needs, refuse_idle
from mmbee_plugin.settings.section import Names
from mmbee_plugin.torchrec.shards.write import ROWS_PER_GROUP

LIVE_GRAPH: dict[str, Any] = {
    "folds": 6,
    "fold_by": "time",
    "reach_top_k": 300,
    "reach_own": True,
    "reach_lift": True,
}
"""defaults for live data: training rows see past edges only, as test rows do, and authors are gifted repeatedly"""


class ShardSettings(RowSettings, CategorySettings):
    """What a shards folder is made of besides its dataset."""

    graph: GraphSettings | None = GraphSettings(**GRAPH)
    """the graph stage; ~: no graph"""
    node_tables: NodeTables = "graphcl"
    """graphcl: train node vectors in one process | fresh: leave them to the sharded job"""
    graphcl: Annotated[GraphCLSettings, Needs("node_tables", among=("graphcl",))] = GraphCLSettings()
    """training of the node vectors"""
    modalities: Names | None = None
    """those to store; ~: all"""
    rows_per_group: int = Field(default=ROWS_PER_GROUP, ge=1)
    """training rows of a Parquet row group"""
    threshold: float | None = None
    """rating from which a row is a positive"""
    seed: int = Field(default=0, ge=0)
    """of GraphCL and of a random row order"""


def read_shard_settings(arguments: Iterable[str], live: bool = False) -> ShardSettings:
    """Settings from arguments such as ``--graph.folds=3``, values as in YAML; the graph's other entries keep
    their defaults.

    Args:
        arguments: as on the command line.
        live: whether they are for live data.

    Raises:
        InputError: an unknown entry, a wrong type or value, an entry that nothing reads; one line that names it.
    """
    content: dict[str, Any] = {"graph": dict(LIVE_GRAPH if live else GRAPH)}
    given: dict[str, Any] = {}
    for argument in arguments:
        replace_entry(content, argument)
        replace_entry(given, argument)
    settings = ShardSettings.of(content, "settings")
    refuse_idle(settings, given)
    return settings
