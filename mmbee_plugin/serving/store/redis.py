"""Records in Redis or Valkey: one key ``mmbee:<bundle>:<user>`` each, with the bytes of the mapped file.

The key ``mmbee:<bundle>`` holds the number of users and is set once all are written. A request reads a single key, so a
cluster works as well as one server.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
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
        """Raises InputError if the server does not answer, may drop users, or was not given the bundle's."""
        try:
            check_keeps(self.client, self.url)
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
    """Writes a bundle's users, of one that was written those that are missing, checks them, and returns their number.

    Raises:
        InputError: no answer, a server that may drop users, missing keys, or a record that differs when read back.
    """
    client, mapped = connect(url, PATIENCE), MappedStore(folder)
    count, prefix = len(mapped.index), _prefix(bundle)

    def key(row: int) -> bytes:
        return prefix + mapped.index.token(row).encode()

    def value(row: int) -> bytes:
        return mapped.records[row : row + 1].tobytes()

    try:
        check_keeps(client, url)
        written = client.get(ready(bundle)) == str(count).encode()
        there = write(client, range(1, count + 1), key, value, written)
        for row in np.linspace(1, count, min(SAMPLE, count)).astype(int).tolist():
            if client.get(key(row)) != value(row):
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


def write(
    client: redis.Redis,
    rows: range,
    key: Callable[[int], bytes | str],
    value: Callable[[int], bytes],
    written: bool,
) -> int:
    """Writes a key for each row, `BATCH` at once; returns how many are there then. Raises RedisError.

    Args:
        written: whether all were written before, so that only those that are gone are written again.
    """
    for part in _batches(rows):
        gone = (
            part
            if not written
            else [row for row, there in zip(part, _there(client, part, key), strict=True) if not there]
        )
        pipe = client.pipeline(transaction=False)
        for row in gone:
            pipe.set(key(row), value(row))
        pipe.execute()
    return sum(sum(_there(client, part, key)) for part in _batches(rows))


def check_keeps(client: redis.Redis, url: str) -> None:
    """Raises InputError if the server drops keys without a time to live, as these are, when its memory is full.

    A user that it dropped would be one that the bundle does not know.
    """
    try:
        policy = client.info("memory").get("maxmemory_policy", "")
    except redis.ResponseError:  # a server that does not tell
        return
    if policy.startswith("allkeys"):
        raise InputError(
            f"{url}: maxmemory-policy {policy} drops users when memory is full; noeviction keeps them"
        )


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


def _batches(rows: range) -> Iterator[range]:
    for start in range(0, len(rows), BATCH):
        yield rows[start : start + BATCH]


def _there(client: redis.Redis, rows: range, key: Callable[[int], bytes | str]) -> list[int]:
    """1 for each row whose key is there, else 0."""
    pipe = client.pipeline(transaction=False)
    for row in rows:
        pipe.exists(key(row))
    return pipe.execute()


def ready(bundle: str) -> bytes:
    """Key that holds the number of a bundle's users once all are written."""
    return f"mmbee:{bundle}".encode()


def _prefix(bundle: str) -> bytes:
    return f"mmbee:{bundle}:".encode()
