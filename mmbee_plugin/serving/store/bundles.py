"""A bundle in Redis or Valkey: its users, and the rows of its topology if it has one."""

from __future__ import annotations

from collections.abc import Callable

from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.serving.bundle.topology import ENTRY, open_topology
from mmbee_plugin.serving.store.redis import drop, fill
from mmbee_plugin.serving.store.walks import drop_walks, fill_walks


def fill_bundle(url: str, shelf: Shelf, bundle: str, show: Callable[[str], None]) -> None:
    """Writes a bundle unless it is there; to be done before it is published.

    Args:
        show: called with a line for each kind of rows.

    Raises:
        InputError: a missing or damaged bundle, no answer, or a record that differs when read back.
    """
    manifest, folder = shelf.verify(bundle), shelf.path / bundle
    show(f"{url}: {fill(url, folder, bundle):,} users")
    if ENTRY in manifest:
        show(f"{url}: {fill_walks(url, bundle, open_topology(folder, manifest)):,} nodes to walk")


def drop_bundle(url: str, bundle: str) -> None:
    """Removes what `fill_bundle` wrote. Raises InputError: no answer."""
    drop(url, bundle)
    drop_walks(url, bundle)
