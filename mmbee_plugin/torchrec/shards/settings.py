"""What `mmbee data shards` is told: typed settings from ``--key=value`` arguments."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.offline.node_vectors import GraphCLSettings
from mmbee_plugin.torchrec.settings import Names, refusal, replace_entry
from mmbee_plugin.torchrec.shards.write import ROWS_PER_GROUP

GRAPH: dict[str, Any] = {"folds": 5, "fold_by": "pair", "reach_top_k": 500}
"""the RecBole adapter's defaults for ``MMBee``, where they are not those of `GraphSettings`"""
LIVE_GRAPH: dict[str, Any] = {
    "folds": 6,
    "fold_by": "time",
    "reach_top_k": 300,
    "reach_own": True,
    "reach_lift": True,
}
"""the same for live data, whose training rows see the past, as test rows do, and where gifts are given again"""


class ShardSettings(BaseModel):
    """What a shards folder is made of besides its dataset; defaults as the RecBole adapter's ``MMBee``."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    graph: GraphSettings | None = Field(default=GraphSettings(**GRAPH), description="null: no graph")
    node_tables: Literal["graphcl", "fresh"] = Field(
        default="graphcl", description="train node vectors in one process, or leave them to the sharded job"
    )
    graphcl: GraphCLSettings = GraphCLSettings()
    modalities: Names | None = Field(default=None, description="those to store; null takes all")
    rows_per_group: int = Field(
        default=ROWS_PER_GROUP, ge=1, description="training rows of a Parquet row group"
    )
    train_newest: int | None = Field(
        default=None, ge=1, description="train on rows with fewer than so many later ones of their user"
    )
    threshold: float | None = Field(default=None, description="rating from which a row is a positive")
    category_field: str | None = Field(
        default=None, description="column of .item with the authors' categories; null takes category"
    )
    row_order: Literal["file", "random"] | None = Field(
        default=None, description="what stands for time in data without it; null: random, unless declared"
    )
    seed: int = Field(default=0, ge=0, description="of GraphCL and of a random row order")


def read_shard_settings(arguments: Iterable[str], live: bool = False) -> ShardSettings:
    """Settings from arguments such as ``--graph.folds=3``, values as in YAML; the graph's other entries keep
    their defaults.

    Args:
        arguments: as on the command line.
        live: whether they are for live data.

    Raises:
        InputError: an unknown entry, a wrong type or value; one line that names it.
    """
    content: dict[str, Any] = {"graph": dict(LIVE_GRAPH if live else GRAPH)}
    for argument in arguments:
        replace_entry(content, argument)
    try:
        # As JSON, where a list is what YAML means by it even under strict types.
        return ShardSettings.model_validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        raise refusal(error, "settings") from None
