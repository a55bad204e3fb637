"""Holds the serving scorer and swaps it for a newer one, which is loaded beside it.

The manifest of the serving bundle is held by a lock, by which pruning leaves the bundle.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from typing import IO

from mmbee_plugin.errors import InputError
from mmbee_plugin.files import hold
from mmbee_plugin.serving.bundle.arrays import mapped
from mmbee_plugin.serving.bundle.manifest import FILE
from mmbee_plugin.serving.bundle.opened import Bundle
from mmbee_plugin.serving.scorer import Scorer
from mmbee_plugin.serving.store.records import MappedStore, Store

RETRY = 10.0
"""seconds until a refused bundle is tried again"""

Event = Callable[[str, str], None]
"""called with ``swapped`` and the bundle's id, ``refused`` and the reason in one line, or ``kept`` and the id when the
served bundle is wanted again after another was refused"""


class Holder(ABC):
    """The serving scorer, swapped by one assignment to what a pointer names.

    Args:
        tell: see `Event`.

    Attributes:
        scorer: the serving one; None before the first. A request reads this attribute once.
        poll: seconds between two looks at the pointer.
    """

    poll: float

    def __init__(self, tell: Event = lambda what, detail: None) -> None:
        self.tell = tell
        self.scorer: Scorer | None = None
        self._failed: str | None = None
        self._served: Hashable = None
        self._tried: tuple[Hashable, float] | None = None
        self._held: IO[bytes] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follower", daemon=True)

    @property
    def refused(self) -> str | None:
        """Why what the pointer names is not served; None if it is."""
        return self._failed

    def start(self) -> None:
        """Loads what the pointer names, then follows it in a daemon thread."""
        self.look()
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; the scorer remains."""
        self._stop.set()
        self._thread.join()

    def look(self) -> None:
        """Swaps to what the pointer names unless it is served already; tells a failure once, retries after RETRY."""
        try:
            wanted = self._wanted()
            if wanted is None or wanted == self._served:
                if self._failed is not None and self.scorer is not None:
                    self._failed = None
                    self.tell("kept", self.scorer.bundle.id)
                return
            if self._tried is not None and self._tried[0] == wanted and time.monotonic() < self._tried[1]:
                return
            self._tried = wanted, time.monotonic() + RETRY
            self._swap(wanted)
            self._served, self._failed = wanted, None
            assert self.scorer is not None
            before, self._held = self._held, hold(self.scorer.bundle.folder / FILE)
            if before is not None:
                before.close()
            self.tell("swapped", self.scorer.bundle.id)
        except Exception as error:  # after any error the old bundle is served on, and the pointer followed
            reason = " ".join(str(error).split()) if isinstance(error, InputError) else f"{error!r}"
            if reason != self._failed:
                self._failed = reason
                self.tell("refused", reason)

    @abstractmethod
    def _wanted(self) -> Hashable:
        """What the pointer names; None if there is nothing to serve."""

    @abstractmethod
    def _swap(self, wanted: Hashable) -> None:
        """Loads what the pointer names and assigns `scorer`."""

    def _follow(self) -> None:
        while not self._stop.wait(self.poll):
            self.look()


def store_of(bundle: Bundle, url: str | None, checked: bool) -> Store:
    """The store of a bundle's users: a Redis or Valkey, or for None the bundle's own file.

    Args:
        checked: whether to wait for the server, and raise InputError if it does not answer or does not have the users;
            else a request waits no longer than it may, and is flagged.
    """
    if url is None:
        return MappedStore(bundle.folder)
    from mmbee_plugin.serving.store.redis import PATIENCE, RedisStore  # the client may not be installed

    dtype = mapped(bundle.folder / "users.npy").dtype
    if not checked:
        return RedisStore(url, bundle.id, dtype)
    store = RedisStore(url, bundle.id, dtype, PATIENCE)
    store.check()
    return store
