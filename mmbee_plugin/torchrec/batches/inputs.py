"""Which inputs a model reads: its settings met with what the data offer, before any table exists."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.metapaths import Metapath
from mmbee_plugin.graph.pools import Pool, pools_of
from mmbee_plugin.modules.mfq import chosen_start
from mmbee_plugin.modules.objective import Objective
from mmbee_plugin.modules.parts import BACKBONES, CONTENTS, INTERESTS, head_of, needs_prefixes, pays_per_pair
from mmbee_plugin.modules.shapes import ContentSettings, GTRSettings, SIMSettings
from mmbee_plugin.modules.sim import GAP_BUCKETS, chosen_search
from mmbee_plugin.modules.tokens import WORD_WIDTH
from mmbee_plugin.torchrec.settings import ModelSettings, Settings
from mmbee_plugin.torchrec.shards.layout import Live, Modality
from mmbee_plugin.torchrec.shards.store import ShardStore


class DataShape(Protocol):
    """What has to be known of the data; a :class:`~mmbee_plugin.torchrec.shards.store.ShardStore` knows it."""

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
    def live(self) -> Live | None: ...


@dataclass(frozen=True)
class Inputs:
    """The features of a batch, in the order of the tables and tensors."""

    model: ModelSettings
    n_users: int
    n_authors: int
    ordered: bool
    search: str
    """SIM's, hard or soft; soft of every other backbone."""
    modalities: tuple[str, ...]
    """modalities of the content encoder."""
    dense: dict[str, int]
    """width of the raw vectors of each of them that is dense."""
    words: dict[str, int]
    """vocabulary of each of them that is a bag of words."""
    user_paths: tuple[Metapath, ...]
    author_paths: tuple[Metapath, ...]
    attribute_width: int
    """width of the neighbours' mean attributes, 0 for none."""
    reach: bool
    segments: int
    """segments L of a sample of live data; 0 of static items."""
    tasks: tuple[str, ...]
    """what the model predicts, the gift first."""

    @classmethod
    def of(cls, model: ModelSettings, data: DataShape) -> Inputs:
        """Raises InputError for a modality, metapath or category, or for more segments than the data have, and for
        queries that cannot start as they should."""
        chosen = tuple(data.modalities) if model.modalities is None else model.modalities
        _check("modality", chosen, data.modalities)
        _check("metapath", model.lists, data.metapaths)
        paths = (
            [Metapath.parse(name) for name in model.metapaths]
            if INTERESTS[model.interest].takes_means
            else []
        )
        live = data.live
        if live is not None and model.segments > live.per_sample:
            raise InputError(
                f"model.segments {model.segments}: the data hold the last {live.per_sample} of a sample"
            )
        modalities = chosen if CONTENTS[model.content].reads_modalities else ()
        kinds = {name: data.modalities[name] for name in modalities}
        searches = BACKBONES[model.backbone].searches
        several = head_of(model.backbone, model.head).several_tasks
        inputs = cls(
            model=model,
            n_users=data.n_users,
            n_authors=data.n_authors,
            ordered=data.ordered,
            search=chosen_search(model.search, data.categories) if searches else "soft",
            modalities=modalities,
            dense={name: one.width for name, one in kinds.items() if one.kind == "dense"},
            words={name: one.vocabulary for name, one in kinds.items() if one.kind == "bag"},
            user_paths=tuple(path for path in paths if path.start == "u"),
            author_paths=tuple(path for path in paths if path.start == "a"),
            attribute_width=data.attribute_width if paths and model.attributes else 0,
            reach=bool(paths) and model.reach and data.has_reach,
            segments=0 if live is None else model.segments,
            tasks=("gift", *(live.tasks if live is not None and several else ())),
        )
        if inputs.num_queries:
            _ = inputs.query_start
        return inputs

    @property
    def peer_paths(self) -> tuple[str, ...]:
        """The metapaths to a user's and an author's peers; none where nobody reads them."""
        return INTERESTS[self.model.interest].peer_paths

    @property
    def pools(self) -> tuple[Pool, ...]:
        """What the means over neighbours are taken over, the users' first."""
        return pools_of(self.user_paths + self.author_paths, self.model.pooling)

    def pools_of(self, side: str) -> tuple[Pool, ...]:
        """Those of ``u`` or ``a``, in the order of the tensors."""
        return tuple(pool for pool in self.pools if pool.start == side)

    @property
    def num_queries(self) -> int:
        """Query tokens an author owns, 0 where nothing reads them."""
        reads = CONTENTS[self.model.content].reads_queries and self.model.use_queries and self.modalities
        return self.model.num_queries if reads else 0

    @property
    def query_start(self) -> str:
        """How they start; InputError as `chosen_start`."""
        model = self.model
        return chosen_start(model.query_start, self.segments > 0, model.content_width, model.width)

    @property
    def objective(self) -> Objective:
        """The loss of a batch."""
        return Objective(self.model.loss, self.model.temperature)

    @property
    def shares_pool(self) -> bool:
        """Whether the rows of the global batch have one pool of candidates."""
        model = self.model
        return self.objective.shares_pool(pays_per_pair(model.backbone, model.interest, model.head))

    def gtr_settings(self) -> GTRSettings:
        """Names and shapes of the model's parts."""
        model = self.model
        return GTRSettings(
            backbone=model.backbone,
            content=model.content,
            interest=model.interest,
            head=model.head,
            width=model.width,
            hidden=model.hidden,
            dropout=model.dropout,
            history_dropout=model.history_dropout,
            pooling=model.pooling,
            neighbour_weights=model.neighbour_weights,
            user_metapaths=tuple(path.name for path in self.user_paths),
            author_metapaths=tuple(path.name for path in self.author_paths),
            attribute_width=self.attribute_width,
            reach=self.reach,
            reach_floor=model.reach_floor,
            reach_weight=model.reach_weight,
            tasks=self.tasks,
            experts=model.experts,
            user_ids=model.user_ids,
        )

    def content_settings(self) -> ContentSettings:
        """Shapes of the content encoder."""
        model = self.model
        return ContentSettings(
            widths={name: self.dense.get(name, WORD_WIDTH) for name in self.modalities},
            width=model.content_width,
            heads=model.heads,
            num_queries=model.num_queries,
            use_queries=model.use_queries,
            shared_queries=model.shared_queries,
            match=model.match,
            projection=model.projection,
            dropout=model.content_dropout,
            joint_layers=model.joint_layers,
            fusion=model.fusion,
            fusion_threshold=model.fusion_threshold,
            modality_dropout=model.modality_dropout,
            default_query_rate=model.default_query_rate,
        )

    def sim_settings(self) -> SIMSettings:
        """Shapes of SIM; without time there are no gaps."""
        model = self.model
        return SIMSettings(
            width=model.width,
            heads=model.search_heads,
            search=self.search,
            searched=model.searched,
            short=model.short_length,
            gaps=GAP_BUCKETS if self.ordered else 0,
        )


def open_store(settings: Settings) -> ShardStore:
    """The job's shards, with the modalities and metapaths that its model reads.

    Raises:
        InputError: as :class:`~mmbee_plugin.torchrec.shards.store.ShardStore`; histories that the backbone cannot read.
    """
    model = settings.model
    store = ShardStore(Path(settings.data.shards), model.modalities, model.lists)
    if why := needs_prefixes(model.backbone, model.short_length, store.history_mode(settings.data.history)):
        raise InputError(why)
    return store


def _check(kind: str, asked: tuple[str, ...], known: Collection[str]) -> None:
    for name in asked:
        if name not in known:
            raise InputError(f"unknown {kind} {name!r}; the data have: {', '.join(known) or 'none'}")
