"""Records in Redis or Valkey: one key ``mmbee:<bundle>:<user>`` each, with the bytes of the mapped file.

The key ``mmbee:<bundle>`` holds the number of users and is set once all are written. A request reads a single key, so a
cluster works as well as one server.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import redis
from numpy.typing import NDArray

from mmbee_plugin.errors import InputError
from mmbee_plugin.serving.store.records import MappedStore, StoreDown

BATCH = 1000
"""keys written or checked at once"""
SAMPLE = 200
"""records that are read back and compared after writing"""
DEADLINE = 0.02
"""timeout of a read, in seconds"""
PATIENCE = 5.0
"""timeout of everything else, in seconds"""
PAUSE = 1.0
"""seconds after a failed read in which none is tried, so that requests do not all wait for the timeout"""


class RedisStore:
    """The records of one bundle.

    Args:
        url: such as ``redis://localhost:6379/0``.
        bundle: its id.
        dtype: of a record.
        seconds: timeout of a read; by default :data:`DEADLINE`.

    Raises:
        InputError: invalid URL.
    """

    def __init__(self, url: str, bundle: str, dtype: np.dtype, seconds: float | None = None) -> None:
        self.client = connect(url, DEADLINE if seconds is None else seconds)
        self.url, self.bundle, self.dtype = url, bundle, dtype
        self.prefix = _prefix(bundle)
        self._silent_until = 0.0

    def check(self) -> None:
        """Raises InputError if the server does not answer, or the bundle's users have not been written."""
        try:
            whole = self.client.get(ready(self.bundle))
        except redis.RedisError as error:
            raise InputError(f"{self.url}: no answer ({error})") from None
        if whole is None:
            raise InputError(
                f"{self.url}: has no users of bundle {self.bundle}; mmbee bundle publish --store={self.url} writes them"
            )

    def read(self, user: str) -> NDArray | None:
        if time.monotonic() < self._silent_until:
            raise StoreDown("the store is given a pause")
        try:
            found: Any = self.client.get(self.prefix + user.encode(errors="surrogatepass"))
            lost = found is None and self.client.get(ready(self.bundle)) is None
        except redis.RedisError as error:
            self._silent_until = time.monotonic() + PAUSE
            raise StoreDown(str(error)) from None
        if lost:  # a server that began anew is empty, and its users are not unknown
            self._silent_until = time.monotonic() + PAUSE
            raise StoreDown(f"the bundle's users are no longer at {self.url}")
        if found is None:
            return None
        if len(found) != self.dtype.itemsize:
            raise StoreDown(f"a record of {len(found)} bytes, expected {self.dtype.itemsize}")
        return np.frombuffer(bytearray(found), dtype=self.dtype)


def fill(url: str, folder: Path, bundle: str) -> int:
    """Writes a bundle's users unless they are there, checks them, and returns their number.

    Raises:
        InputError: no answer, missing keys, or a record that differs when read back.
    """
    client, mapped = connect(url, PATIENCE), MappedStore(folder)
    count, prefix = len(mapped.index), _prefix(bundle)
    try:
        if client.get(ready(bundle)) == str(count).encode():
            return count
        for rows in _batches(count):
            pipe = client.pipeline(transaction=False)
            for row in rows:
                pipe.set(prefix + mapped.index.token(row).encode(), mapped.records[row : row + 1].tobytes())
            pipe.execute()
        there = 0
        for rows in _batches(count):
            pipe = client.pipeline(transaction=False)
            for row in rows:
                pipe.exists(prefix + mapped.index.token(row).encode())
            there += sum(pipe.execute())
        for row in np.linspace(1, count, min(SAMPLE, count)).astype(int).tolist():
            if (
                client.get(prefix + mapped.index.token(row).encode())
                != mapped.records[row : row + 1].tobytes()
            ):
                raise InputError(
                    f"{url}: the record of user {mapped.index.token(row)!r} is not what was written"
                )
        if there != count:
            raise InputError(f"{url}: {there:,} of {count:,} users are there; it may be out of memory")
        client.set(ready(bundle), count)
    except redis.RedisError as error:
        raise InputError(f"{url}: cannot be written ({error})") from None
    finally:
        client.close()
    return count


def drop(url: str, bundle: str) -> None:
    """Removes a bundle's users, the key of their number first. Raises InputError."""
    client = connect(url, PATIENCE)
    try:
        client.unlink(ready(bundle))
        found: list[bytes] = []
        for key in client.scan_iter(match=_prefix(bundle) + b"*", count=BATCH):
            found.append(key)
            if len(found) == BATCH:
                client.unlink(*found)
                found = []
        if found:
            client.unlink(*found)
    except redis.RedisError as error:
        raise InputError(f"{url}: cannot be written ({error})") from None
    finally:
        client.close()


def connect(url: str, seconds: float) -> redis.Redis:
    """A client whose calls have this timeout. Raises InputError for an invalid URL."""
    try:
        return redis.Redis.from_url(url, socket_timeout=seconds, socket_connect_timeout=max(seconds, 0.2))
    except ValueError as error:
        raise InputError(f"--store {url}: {error}") from None


def _batches(count: int) -> Iterator[range]:
    for start in range(1, count + 1, BATCH):
        yield range(start, min(start + BATCH, count + 1))


def ready(bundle: str) -> bytes:
    """Key that holds the number of a bundle's users once all are written."""
    return f"mmbee:{bundle}".encode()


def _prefix(bundle: str) -> bytes:
    return f"mmbee:{bundle}:".encode()
