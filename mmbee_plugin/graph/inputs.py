"""What a snapshot is built from, and the key that it has by it."""

import hashlib
import json
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from mmbee_plugin.data.folds import BY_TIME
from mmbee_plugin.data.visits import Visits
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.attributes import Attributes
from mmbee_plugin.graph.content import ContentSteps, ContentVectors, content_neighbours, modalities_near
from mmbee_plugin.graph.deciding import unread
from mmbee_plugin.graph.metapaths import POSITIVES
from mmbee_plugin.graph.names import Names
from mmbee_plugin.graph.refresh import Refresh
from mmbee_plugin.graph.settings import REFRESHING, GraphSettings, Interactions, NodeStage
from mmbee_plugin.graph.snapshot import CONTENT
from mmbee_plugin.graph.statistics import columns_of
from mmbee_plugin.graph.visits import check_visits


@dataclass(frozen=True)
class Inputs:
    """Inputs of the graph stage.

    Attributes:
        interactions: training interactions.
        settings: the stage's settings.
        features: dense author features by modality name; those of ``settings.content_modalities`` say who is near.
        nodes: how to train the node tables; ``None``: no tables.
        names: the nodes' tokens, stored with the snapshot; no part of its key.
        refresh: keep the lists of an earlier snapshot where nothing has changed. Folds keep them only if they are by
            time and leave out no gift that the earlier snapshot has; their lists are new otherwise.
        averaged: the modalities whose means over neighbours are attributes; by default all.
        visits: on the clock of the interactions; needed if ``settings.pools_visits``.
    """

    interactions: Interactions
    settings: GraphSettings
    features: Mapping[str, Attributes] = field(default_factory=dict)
    nodes: NodeStage | None = None
    names: Names | None = None
    refresh: Refresh | None = None
    averaged: Container[str] | None = None
    visits: Visits | None = None

    @cached_property
    def attributes(self) -> dict[str, Attributes]:
        """The features that attributes are means of."""
        chosen = self.features if self.averaged is None else self.averaged
        return {name: one for name, one in self.features.items() if name in chosen}

    @cached_property
    def columns(self) -> dict[str, Attributes]:
        """The attribute columns of the whole graph. Raises InputError as :func:`~.statistics.columns_of`."""
        return self.columns_seen(self.interactions)

    def columns_seen(self, seen: Interactions) -> dict[str, Attributes]:
        """The attribute columns of a graph of the interactions ``seen``."""
        return columns_of(self.settings.statistics, seen, self.attributes)

    def seen(self, fold: int | None) -> Interactions:
        """The interactions of the graph without a fold; all for ``None``."""
        return self.interactions if fold is None else self.interactions.seen_by(fold, self.settings)

    @property
    def positives(self) -> tuple[str, ...]:
        """Metapaths of GraphCL's positives, if they are the whole graph's lists, which are also made along them."""
        return tuple(POSITIVES.values()) if self.nodes is not None and not self.nodes.uncut else ()

    @cached_property
    def near(self) -> dict[str, Attributes]:
        """The features that say who is near by content, in one order whatever that of `features`; {} without steps by
        content. Raises InputError for authors without features."""
        if not self.settings.steps_by_content:
            return {}
        names = modalities_near(tuple(self.features), self.settings.content_modalities)
        return {name: self.features[name] for name in sorted(names)}

    @cached_property
    def content(self) -> ContentSteps | None:
        """The long walk's steps by content, in all graphs; None without. Raises InputError as :attr:`near`."""
        if not self.near:
            return None
        vectors, settings = ContentVectors.of(self.near), self.settings
        found = content_neighbours(vectors, settings.content_top_k, settings.content_sharpness)
        return found, settings.content_share

    @cached_property
    def key(self) -> str:
        """Hash of the inputs and settings.

        Raises:
            InputError: inputs that do not fit each other or the settings.
        """
        interactions, settings = self.interactions, self.settings
        _ = self.columns, self.near
        if settings.folds and settings.fold_by == "order" and interactions.later is None:
            raise InputError("graph.fold_by: order needs to know how many later interactions each user has")
        if settings.folds and settings.fold_by in BY_TIME and interactions.times is None:
            raise InputError(
                f"graph.fold_by: {settings.fold_by} needs the time of each interaction; these data have none"
            )
        features = {
            name if name in self.attributes else f"near {name}": one for name, one in self.features.items()
        }
        check_visits(self.visits, interactions, settings)
        return _key(interactions, settings, features, self.nodes, self.refresh, self.visits)


def _key(
    interactions: Interactions,
    settings: GraphSettings,
    features: Mapping[str, Attributes],
    nodes: NodeStage | None,
    refresh: Refresh | None,
    visits: Visits | None,
) -> str:
    chosen = settings.model_dump(mode="json", exclude=REFRESHING)
    others = settings.statistics != GraphSettings().statistics
    without_effect = unread(settings)
    by_content = tuple(f"content_{name}" for name in ("top_k", "modalities", "share", "sharpness"))
    of_visits = ("visits", *(f"visits_{name}" for name in ("prior", "profile", "rank", "floor")))
    for name in ("statistics", "walk_max_users", "hub_seed", *by_content, *of_visits):
        if name in without_effect or getattr(settings, name) == getattr(GraphSettings(), name):
            del chosen[name]  # keys of snapshots from before this setting stay valid
    described = {
        "schema": CONTENT,
        "settings": chosen,
        "nodes": dict(nodes.settings) if nodes is not None else None,
        "counts": [interactions.n_users, interactions.n_authors],
    }
    if refresh is not None:
        described["refresh"] = refresh.previous.manifest["key"]
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    arrays = {"users": interactions.users, "authors": interactions.authors, "amounts": interactions.amounts}
    if others or (settings.folds and settings.fold_by == "order"):
        arrays["later"] = interactions.later
    if others or (settings.folds and settings.fold_by in BY_TIME):
        arrays["times"] = interactions.times
    if refresh is not None:
        arrays |= {"earlier users": refresh.users, "earlier authors": refresh.authors}
        arrays["earlier until"] = np.array([np.nan if refresh.until is None else refresh.until])
    if visits is not None and settings.pools_visits:
        arrays |= {f"visits {name}": getattr(visits, name) for name in ("users", "authors", "ends")}
    for name, modality in sorted(features.items()):
        arrays |= {f"{name} values": modality.values, f"{name} present": modality.present}
    for name, array in arrays.items():
        if array is None:
            continue
        array = np.asarray(array)
        if name in ("users", "authors", "later"):
            array = array.astype(np.int64)
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        for start in range(0, len(array), 65_536):
            digest.update(np.ascontiguousarray(array[start : start + 65_536]).data)
    return digest.hexdigest()[:32]
