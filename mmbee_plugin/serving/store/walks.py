"""Walks of a bundle's topology in Redis or Valkey, one key a node under ``mmbee:<bundle>.steps``."""

from __future__ import annotations

from mmbee_plugin.graph.lists import PackedLists
from mmbee_plugin.graph.neighbourhoods import WalkedNeighbours
from mmbee_plugin.graph.topology import Topology
from mmbee_plugin.serving.store.redis import drop
from mmbee_plugin.serving.store.rows import RedisRows, fill_rows


def fill_walks(url: str, bundle: str, topology: Topology) -> int:
    """Writes the rows of all nodes unless they are there; returns their number. Raises InputError: no answer."""
    return fill_rows(url, _place(bundle), _sides(topology))


def walks(url: str, bundle: str, topology: Topology) -> WalkedNeighbours:
    """Walks over rows that `fill_walks` wrote; of the topology, no rows are read."""
    rows = RedisRows(url, _place(bundle), _sides(topology))
    return WalkedNeighbours(rows, topology.settings, topology.counts, topology.joined)


def drop_walks(url: str, bundle: str) -> None:
    """Removes a bundle's rows, if there are any. Raises InputError."""
    drop(url, _place(bundle))


def _place(bundle: str) -> str:
    return f"{bundle}.steps"


def _sides(topology: Topology) -> dict[str, PackedLists]:
    return {"u": topology.users, "a": topology.authors}
