"""Makes the two sides of a batch from rows of the shards: tensors for the model, and ids to look up in the tables."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmbee_plugin.graph.metapaths import Metapath, Neighbours
from mmbee_plugin.modules.batch import AuthorSide, UserSide, distinct_moments
from mmbee_plugin.modules.exchange import word_table
from mmbee_plugin.torchrec.batches.bags import PEERS, Bag, singles
from mmbee_plugin.torchrec.shards.ids import Place, TableIds

if TYPE_CHECKING:
    from mmbee_plugin.torchrec.batches.inputs import Inputs
    from mmbee_plugin.torchrec.settings import JobModelSettings
    from mmbee_plugin.torchrec.shards.store import ShardStore


@dataclass
class Lookups:
    """Ids to look up in the three modules of tables, by feature."""

    sequences: dict[str, Bag] = field(default_factory=dict)
    bags: dict[str, Bag] = field(default_factory=dict)
    pools: dict[str, Bag] = field(default_factory=dict)


@dataclass(frozen=True)
class History:
    """Histories of ``B`` users, padded on the right.

    Shapes:
        - authors: (B, L) author rows
        - lengths: (B,)
        - gaps: (B, L) int64 buckets of their time gaps, or None without time
        - longest: behaviours H of the longest history of the batch, at least 1
    """

    authors: NDArray
    lengths: NDArray
    gaps: torch.Tensor | None
    longest: int


@dataclass(frozen=True)
class Moments:
    """Authors, each at a moment.

    Shapes:
        - authors: (C,) author rows
        - segments: (C,) rows of their newest known segments, -1 for none; None for the end of training
        - paired: (B,) place of each row's author, where rows are scored pair by pair
    """

    authors: NDArray
    segments: NDArray | None = None
    paired: torch.Tensor | None = None

    @classmethod
    def of_rows(cls, authors: NDArray, segments: NDArray | None, n_authors: int) -> Moments:
        """Distinct (author, segment) pairs of rows (B,)."""
        newest = None if segments is None else torch.from_numpy(segments)
        first, paired = distinct_moments(torch.from_numpy(authors), newest, n_authors)
        rows = first.numpy()  # a tensor of one row would index NumPy's arrays as a number
        return cls(authors[rows], None if segments is None else segments[rows], paired)


class Sides:
    """Makes the sides of batches.

    Args:
        store: the shards.
        model: settings of the job's model.
        inputs: which inputs the model reads.
    """

    def __init__(self, store: ShardStore, model: JobModelSettings, inputs: Inputs) -> None:
        self.store, self.inputs = store, inputs
        self.ids = TableIds(store, model)

    def users(
        self, lookups: Lookups, users: NDArray, history: History, fold: int | None, place: Place | None
    ) -> UserSide:
        """Users (B,) with their histories; adds their ids to ``lookups``.

        Args:
            fold: neighbours come from the graph without its edges; None for the whole graph.
            place: of the batch in training; None in evaluation.
        """
        if self.inputs.model.user_ids:
            tables = lookups.sequences if self.inputs.peer_paths else lookups.bags
            tables["user"] = singles(self.ids.users(users, place))
        longest = history.longest
        valid = np.arange(history.authors.shape[1]) < history.lengths[:, None]
        lookups.sequences["history"] = Bag(history.lengths, self.store.author_ids(history.authors[valid]))
        return UserSide(
            user=None,
            history=torch.empty(len(users), longest, 0),
            history_mask=torch.from_numpy(valid[:, :longest]),
            history_gap=None if history.gaps is None else history.gaps[:, :longest],
            history_category=self._categories(history.authors[:, :longest]),
            **self._reach(users, fold),
            **self._interest(lookups, "u", users, fold),
        )

    def authors(self, lookups: Lookups, moments: Moments, fold: int | None) -> AuthorSide:
        """Authors (C,), as ``users``; the caller adds the ids of their own vectors to ``lookups``."""
        authors = moments.authors
        if self.inputs.num_queries:
            lookups.bags["query"] = singles(self.store.author_ids(authors))
        segments, mask = self._content(lookups.bags, moments)
        return AuthorSide(
            author=torch.empty(len(authors), 0),
            ids=torch.from_numpy(authors.astype(np.int64)),
            category=self._categories(authors),
            seen=torch.from_numpy(self.store.author_seen(authors)),
            segments=segments,
            segment_mask=mask,
            **self._interest(lookups, "a", authors, fold),
        )

    def _categories(self, authors: NDArray) -> torch.Tensor | None:
        return (
            torch.from_numpy(self.store.category(authors)) if self.inputs.parts.sim.search == "hard" else None
        )

    def _reach(self, users: NDArray, fold: int | None) -> dict[str, torch.Tensor]:
        if not self.inputs.parts.gtr.reach:
            return {}
        ids, weights = self.store.reach(users, fold)
        return {"reach_ids": torch.from_numpy(ids), "reach_weights": torch.from_numpy(weights)}

    def _content(
        self, bags: dict[str, Bag], moments: Moments
    ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Vectors (C, L, F, D) of dense modalities and presence (C, L) of all; adds word ids to ``bags``."""
        store, inputs, authors, window = self.store, self.inputs, moments.authors, None
        if inputs.segments and inputs.modalities:
            newest = store.segments.newest(authors) if moments.segments is None else moments.segments
            window = store.segments.windows(newest, inputs.segments)
        segments: dict[str, torch.Tensor] = {}
        mask: dict[str, torch.Tensor] = {}
        for name in inputs.modalities:
            if name in inputs.words:
                lengths, words, present = store.bag(name, authors)
                bags[word_table(name)] = Bag(lengths, words)
                mask[name] = torch.from_numpy(present).unsqueeze(1)
                continue
            if window is None:
                values, present = store.dense(name, authors)
                values, present = values[:, None, None], present[:, None]
            else:
                values, present = store.segments.features(name, window)
            segments[name], mask[name] = torch.from_numpy(values), torch.from_numpy(present)
        return segments, mask

    def _interest(self, lookups: Lookups, side: str, nodes: NDArray, fold: int | None) -> dict[str, Any]:
        """Inputs of the interest encoders for nodes (B,) of side ``u`` or ``a``: counts and mean attributes of pooled
        neighbours (GIE), weights of peers (BDR)."""
        return self._neighbours(lookups.pools, side, nodes, fold) | self._peers(
            lookups.sequences, side, nodes, fold
        )

    def _neighbours(
        self, pools: dict[str, Bag], side: str, nodes: NDArray, fold: int | None
    ) -> dict[str, torch.Tensor]:
        store, inputs = self.store, self.inputs
        weighted, chosen = inputs.model.neighbour_weights, inputs.pools_of(side)
        if not chosen:
            return {}
        counts = np.zeros((len(nodes), len(chosen)), dtype=np.float32)
        attributes = np.zeros((*counts.shape, inputs.parts.gtr.attribute_width), dtype=np.float32)
        for place, pool in enumerate(chosen):
            found = pool.lists(lambda path: self._lists(path, nodes, fold), weighted)
            for one, lists in zip(pool.parts, found, strict=True):
                lengths = np.diff(lists.indptr)
                pools[one.name] = Bag(lengths, lists.ids + 1, lists.weights)
                counts[:, place] += lengths
                if inputs.parts.gtr.attribute_width:
                    stored = one.name if pool.is_stored(weighted) else None
                    brought = store.brought(lists, one.end, nodes, fold, stored)
                    if brought is not None:
                        attributes[:, place] += brought
        fields = {"neighbour_count": torch.from_numpy(counts)}
        return fields | (
            {"attributes": torch.from_numpy(attributes)} if inputs.parts.gtr.attribute_width else {}
        )

    def _peers(
        self, sequences: dict[str, Bag], side: str, nodes: NDArray, fold: int | None
    ) -> dict[str, torch.Tensor]:
        fields = {}
        for path in self.inputs.peer_paths:
            if Metapath.parse(path).start != side:
                continue
            lengths, rows, found = self.store.neighbours(path, nodes, fold)
            ids = self.store.user_ids(rows) if side == "u" else self.store.author_ids(rows)
            sequences[PEERS[side]] = Bag(lengths, ids)
            filled = np.arange(max(1, int(lengths.max(initial=0)))) < lengths[:, None]
            weights = np.zeros(filled.shape, dtype=np.float32)
            weights[filled] = found
            fields["peer_weights"] = torch.from_numpy(weights)
        return fields

    def _lists(self, path: str, nodes: NDArray, fold: int | None) -> Neighbours:
        """Neighbours of nodes (b,) along a metapath, in the order of the batch."""
        lengths, rows, weights = self.store.neighbours(path, nodes, fold)
        return Neighbours(np.concatenate([[0], np.cumsum(lengths)]), rows, weights)
