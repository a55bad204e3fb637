"""Rows of a snapshot's nodes in Redis or Valkey: stored lists, or the graphs' edges to walk.

One key ``mmbee:<place>:<side>:<node>`` a node, with the lengths of its lists (int32 each) and their entries as the
snapshot's files have them. What :mod:`mmbee_plugin.graph.neighbourhoods` does over mapped files it does over these.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import redis

from mmbee_plugin.errors import InputError
from mmbee_plugin.serving.store.records import StoreDown
from mmbee_plugin.serving.store.redis import PATIENCE, check_keeps, connect, ready, write

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
    """Writes the rows of all nodes by side, of a place that was written those that are missing; returns their number.

    Raises:
        InputError: no answer, a server that may drop rows, or rows that are missing then.
    """
    client, count = connect(url, PATIENCE), sum(one.n_nodes for one in packed.values())
    try:
        check_keeps(client, url)
        written, there = client.get(ready(place)) == str(count).encode(), 0
        for side, one in packed.items():
            key = partial(_key, place, side)
            there += write(client, range(one.n_nodes), key, partial(_value, one), written)
        if there != count:
            raise InputError(f"{url}: {there:,} of {count:,} rows are there; it may be out of memory")
        client.set(ready(place), count)
    except redis.RedisError as error:
        raise InputError(f"{url}: cannot be written ({error})") from None
    finally:
        client.close()
    return count


def _value(packed: PackedLists, node: int) -> bytes:
    """A node's lengths and entries along all paths."""
    paths = len(packed.paths)
    first = (node if packed.rows is None else int(packed.rows[node])) * paths
    stops = packed.indptr[first : first + paths + 1]
    return np.diff(stops).astype("<i4").tobytes() + packed.entries[stops[0] : stops[-1]].tobytes()


def _key(place: str, side: str, node: int) -> str:
    return f"mmbee:{place}:{side}:{node}"
