"""The graphs that a bundle's lists were made of, as rows to walk: the files ``steps/`` of the snapshot's topology.

Serving does not read them. Row v of a side is the v-th of the bundle's tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmbee_plugin.errors import InputError
from mmbee_plugin.files import link
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.graph.snapshot import Snapshot
from mmbee_plugin.graph.topology import FOLDER, Topology, with_topology
from mmbee_plugin.serving.bundle.arrays import mapped
from mmbee_plugin.serving.bundle.source import Source

ENTRY = "topology"
"""of a manifest, present where the bundle has one: the graph stage's ``settings``, and ``joined`` as of `Topology`"""


def add_topology(snapshot: Snapshot, source: Source, folder: Path) -> dict[str, Any]:
    """Gives the files of a snapshot's topology names in a bundle's folder too; returns the manifest's entry.

    Raises:
        InputError: not the snapshot that the model was trained with, or a folder that cannot be written.
    """
    key, trained = snapshot.manifest["key"], source.facts.snapshot
    if key != trained:
        raise InputError(f"{snapshot.path}: snapshot {key}, the model was trained with {trained or 'none'}")
    made = with_topology(snapshot)
    for name in made.manifest["files"]:
        if name.startswith(f"{FOLDER}/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            link(made.path / name, folder / name)
    return {"settings": made.manifest["settings"], "joined": made.manifest["joined"]}


def open_topology(folder: Path, manifest: Mapping[str, Any]) -> Topology:
    """Maps that of a bundle, whose files have been checked. Raises InputError if it has none."""
    entry = manifest.get(ENTRY)
    if entry is None:
        raise InputError(f"{folder}: has no topology; mmbee bundle build --topology=SNAPSHOT adds it")
    counts = {side[0]: manifest["tokens"][side]["count"] for side in ("users", "authors")}
    settings = GraphSettings(**entry["settings"])
    return Topology.read(folder, lambda name: mapped(folder / name), counts, settings, entry["joined"])
