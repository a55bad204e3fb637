"""Rows of a snapshot's nodes in Redis or Valkey: stored lists, or the graphs' edges to walk.

One key ``mmbee:<place>:<side>:<node>`` a node, with the lengths of its lists (int32 each) and their entries as the
snapshot's files have them. What :mod:`mmbee_plugin.graph.neighbourhoods` does over mapped files it does over these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import redis

from mmbee_plugin.errors import InputError
from mmbee_plugin.serving.store.records import StoreDown
from mmbee_plugin.serving.store.redis import BATCH, PATIENCE, connect, ready

if TYPE_CHECKING:
    from mmbee_plugin.graph.lists import PackedLists


class RedisRows:
    """Implements :class:`~mmbee_plugin.graph.neighbourhoods.RowStore`. A step of a walk is one round trip.

    Args:
        url: such as ``redis://localhost:6379/0``.
        place: under which `fill_rows` wrote them.
        packed: the rows that were written, by side; only names and type of entries are read.
    """

    def __init__(self, url: str, place: str, packed: Mapping[str, PackedLists]) -> None:
        self.client, self.place = connect(url, PATIENCE), place
        self._where = {
            name: (side, index, len(one.paths), one.entries.dtype)
            for side, one in packed.items()
            for index, name in enumerate(one.paths)
        }

    def take(self, name: str, nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As of a ``RowStore``. Raises StoreDown."""
        side, index, count, dtype = self._where[name]
        each, place = np.unique(nodes, return_inverse=True)
        parts, lengths = [np.empty(0, dtype)], []
        for node, value in zip(each, self._values(side, each), strict=True):
            if value is None:
                raise StoreDown(f"no row of node {node}; the store began anew or is out of memory")
            counts = np.frombuffer(value, "<i4", count)
            first = counts[:index].sum()
            parts.append(np.frombuffer(value, dtype, offset=4 * count)[first : first + counts[index]])
            lengths.append(counts[index])
        stops = np.cumsum(np.array(lengths, np.int64))
        starts = stops - np.array(lengths, np.int64)
        return starts[place], stops[place], np.concatenate(parts)

    def _values(self, side: str, nodes: np.ndarray) -> list[bytes | None]:
        pipe = self.client.pipeline(transaction=False)
        for node in nodes.tolist():
            pipe.get(_key(self.place, side, node))
        try:
            return pipe.execute()
        except redis.RedisError as error:
            raise StoreDown(str(error)) from None


def fill_rows(url: str, place: str, packed: Mapping[str, PackedLists]) -> int:
    """Writes the rows of all nodes by side, unless they are there; returns their number.

    Raises:
        InputError: no answer.
    """
    client, count = connect(url, PATIENCE), sum(one.n_nodes for one in packed.values())
    try:
        if client.get(ready(place)) == str(count).encode():
            return count
        for side, one in packed.items():
            n_paths = len(one.paths)
            lengths = np.diff(one.indptr).astype("<i4")
            for start in range(0, one.n_nodes, BATCH):
                pipe = client.pipeline(transaction=False)
                for node in range(start, min(start + BATCH, one.n_nodes)):
                    first = (node if one.rows is None else int(one.rows[node])) * n_paths
                    entries = one.entries[one.indptr[first] : one.indptr[first + n_paths]]
                    value = lengths[first : first + n_paths].tobytes() + entries.tobytes()
                    pipe.set(_key(place, side, node), value)
                pipe.execute()
        client.set(ready(place), count)
    except redis.RedisError as error:
        raise InputError(f"{url}: cannot be written ({error})") from None
    finally:
        client.close()
    return count


def _key(place: str, side: str, node: int) -> str:
    return f"mmbee:{place}:{side}:{node}"
