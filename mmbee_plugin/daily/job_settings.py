"""Settings of a day's TorchRec job."""

from __future__ import annotations

from pydantic import Field

from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.torchrec.settings import Settings
from mmbee_plugin.torchrec.shards.settings import LIVE_GRAPH


class DaySettings(Settings):
    """Settings of a day's job, and what its shards are made of."""

    graph: GraphSettings | None = GraphSettings(**LIVE_GRAPH)
    """the graph stage; ~: no graph"""
    category_field: str | None = None
    """column of .item with one token an item; ~: category"""
    processes: int = Field(default=2, ge=1)
    """that torchrun starts, one a GPU or, without one, on CPUs over gloo"""
