"""Determines the inputs of a model from its settings and the data's description."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mmbee_plugin.assembly.parts import DataShape, Parts, parts_of
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.deciding import of_lists
from mmbee_plugin.graph.metapaths import Metapath
from mmbee_plugin.graph.pools import Pool, pools_of
from mmbee_plugin.modules.objective import Objective
from mmbee_plugin.modules.parts import INTERESTS, needs_prefixes, pays_per_pair
from mmbee_plugin.modules.tokens import WORD_WIDTH
from mmbee_plugin.torchrec.settings import JobModelSettings, Settings
from mmbee_plugin.torchrec.shards.layout import Live, Modality
from mmbee_plugin.torchrec.shards.store import ShardStore


class StoredData(Protocol):
    """Properties of the data that determine a model's inputs, as of `ShardStore`."""

    @property
    def n_users(self) -> int: ...
    @property
    def n_authors(self) -> int: ...
    @property
    def ordered(self) -> bool: ...
    @property
    def categories(self) -> bool: ...
    @property
    def metapaths(self) -> tuple[str, ...]: ...
    @property
    def modalities(self) -> Mapping[str, Modality]: ...
    @property
    def attribute_width(self) -> int: ...
    @property
    def has_reach(self) -> bool: ...
    @property
    def pooled_at(self) -> float | None: ...
    @property
    def live(self) -> Live | None: ...


@dataclass(frozen=True)
class Inputs:
    """The features of a batch, in the order of the tables and tensors."""

    model: JobModelSettings
    n_users: int
    n_authors: int
    parts: Parts
    """settings of the model's parts."""
    modalities: tuple[str, ...]
    """modalities of the content encoder."""
    dense: dict[str, int]
    """raw width of each dense modality."""
    words: dict[str, int]
    """vocabulary of each bag-of-words modality."""
    user_paths: tuple[Metapath, ...]
    author_paths: tuple[Metapath, ...]
    segments: int
    """segments L of a sample of live data; 0 of static items."""

    @classmethod
    def of(cls, model: JobModelSettings, data: StoredData) -> Inputs:
        """Raises InputError for modalities, metapaths, categories or segments that the data lack, and for an impossible
        ``query_start``."""
        chosen = tuple(data.modalities) if model.modalities is None else model.modalities
        _check("modality", chosen, data.modalities)
        _check("metapath", model.lists, data.metapaths)
        paths = [Metapath.parse(name) for name in model.means]
        live = data.live
        if live is not None and model.segments > live.per_sample:
            raise InputError(
                f"model.segments {model.segments}: the data hold the last {live.per_sample} of a sample"
            )
        modalities = chosen if model.reads_modalities else ()
        kinds = {name: data.modalities[name] for name in modalities}
        shape = DataShape(
            widths={name: one.width if one.kind == "dense" else WORD_WIDTH for name, one in kinds.items()},
            attribute_width=data.attribute_width if paths and model.attributes else 0,
            reach=model.reach and data.has_reach,
            pooled_at=data.pooled_at,
            ordered=data.ordered,
            categories=data.categories,
            tasks=() if live is None else live.tasks,
        )
        inputs = cls(
            model=model,
            n_users=data.n_users,
            n_authors=data.n_authors,
            parts=parts_of(model, shape),
            modalities=modalities,
            dense={name: one.width for name, one in kinds.items() if one.kind == "dense"},
            words={name: one.vocabulary for name, one in kinds.items() if one.kind == "bag"},
            user_paths=tuple(path for path in paths if path.start == "u"),
            author_paths=tuple(path for path in paths if path.start == "a"),
            segments=0 if live is None else model.segments,
        )
        if inputs.num_queries:
            _ = inputs.query_start
        return inputs

    @property
    def peer_paths(self) -> tuple[str, ...]:
        """Metapaths to a user's and an author's peers; empty if the model reads no peers."""
        return INTERESTS[self.model.interest].peer_paths

    @property
    def pools(self) -> tuple[Pool, ...]:
        """Pools of neighbours that are averaged, the users' first."""
        return pools_of(self.user_paths + self.author_paths, self.model.pooling)

    def pools_of(self, side: str) -> tuple[Pool, ...]:
        """Pools of side ``u`` or ``a``, in the order of the tensors."""
        return tuple(pool for pool in self.pools if pool.start == side)

    @property
    def num_queries(self) -> int:
        """Query tokens of an author; 0 if the model reads none."""
        return self.model.num_queries if self.model.reads_queries and self.modalities else 0

    @property
    def query_start(self) -> str:
        """Initialisation of the query tokens; raises InputError as `chosen_start`."""
        return self.model.started(self.segments > 0)

    @property
    def objective(self) -> Objective:
        """The loss of a batch."""
        return Objective(self.model.loss, self.model.temperature)

    @property
    def shares_pool(self) -> bool:
        """Whether the rows of a global batch share one pool of candidates."""
        model = self.model
        return self.objective.shares_pool(pays_per_pair(model.backbone, model.interest, model.head))


def open_store(settings: Settings) -> ShardStore:
    """Opens the job's shards, with the modalities and metapaths that its model reads.

    Raises:
        InputError: as :class:`~mmbee_plugin.torchrec.shards.store.ShardStore`; histories that the backbone cannot read.
    """
    model = settings.model
    store = ShardStore(Path(settings.data.shards), model.modalities, model.lists)
    if why := needs_prefixes(model.backbone, model.short_length, store.history_mode(settings.data.history)):
        raise InputError(why)
    return store


def graph_read(inputs: Inputs, store: ShardStore) -> dict[str, Any] | None:
    """The settings that decide what a model reads of its shards' graph; None where it reads none, or the shards are
    older and do not tell."""
    gtr, paths, graph = inputs.parts.gtr, inputs.model.lists, store.description.graph
    if graph is None or not paths:
        return None
    return of_lists(graph, paths, gtr.reach, gtr.attribute_width > 0)


def _check(kind: str, asked: tuple[str, ...], known: Collection[str]) -> None:
    for name in asked:
        if name not in known:
            raise InputError(f"unknown {kind} {name!r}; the data have: {', '.join(known) or 'none'}")
