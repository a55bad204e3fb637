"""From rows of the shards to the batch of one process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from mmbee_plugin.graph.metapaths import Metapath
from mmbee_plugin.modules.sim import gap_buckets
from mmbee_plugin.torchrec.bags import Bag, keyed, singles
from mmbee_plugin.torchrec.batch import AuthorPart, Batch, Targets, UserPart
from mmbee_plugin.torchrec.inputs import Inputs
from mmbee_plugin.torchrec.negatives import draw_negatives
from mmbee_plugin.torchrec.settings import Settings
from mmbee_plugin.torchrec.tables import WORDS

if TYPE_CHECKING:
    from mmbee_plugin.torchrec.reader import GlobalRows
    from mmbee_plugin.torchrec.store import ShardStore

Histories = tuple[NDArray, NDArray, NDArray | None]
"""author rows (B, L), lengths (B,) and times (B, L) of users."""


@dataclass
class Features:
    """What the three modules of tables look up, by feature."""

    sequences: dict[str, Bag] = field(default_factory=dict)
    bags: dict[str, Bag] = field(default_factory=dict)
    pools: dict[str, Bag] = field(default_factory=dict)


class BatchMaker:
    """Makes the part of a global batch that one process trains on, and batches to evaluate with.

    Everything drawn or shared is a function of the global batch alone, so every process arrives at the same
    candidates, pool and stride without asking the others.

    Args:
        store: the shards.
        settings: of the job.
        rank, world_size: which process this is.
    """

    def __init__(self, store: ShardStore, settings: Settings, rank: int = 0, world_size: int = 1) -> None:
        self.store = store
        self.inputs = Inputs.of(settings.model, store)
        self.history_length, self.history_mode = settings.data.history_length, settings.data.history
        self.negatives = settings.train.negatives
        self.seed = settings.train.seed
        self.log_q = settings.model.log_q
        self.rank, self.world_size = rank, world_size
        self._positives = float(store.drawn.sum())

    def train(self, rows: GlobalRows, epoch: int) -> Batch:
        """Rows ``rank``, ``rank + world_size``, … of a global batch; uneven ends repeat row 0 at weight 0."""
        total = len(rows.users)
        dealt = _deal(np.arange(total), self.world_size)  # (b, world)
        own = dealt[:, self.rank]
        real = np.arange(self.rank, dealt.size, self.world_size) < total
        weights = torch.from_numpy(np.where(real, self.world_size / total, 0).astype(np.float32))
        if self.negatives == 0:
            assert rows.labels is not None  # a job on data without labels draws negatives
            authors, stride = rows.authors[own], len(own)
            targets = Targets(weights, labels=torch.from_numpy(rows.labels[own].astype(np.float32)))
        else:
            generator = np.random.default_rng((self.seed, epoch, rows.index))
            drawn = draw_negatives(self.store, rows.users, self.negatives, generator)
            candidates = np.concatenate([rows.authors[:, None].astype(np.int64), drawn], axis=1)
            pick = self._shared_pool if self.inputs.shares_pool else self._own_pool
            authors, stride, targets = pick(candidates, dealt, weights, rows.users[own])
        histories = self.store.history(
            rows.users, rows.positions, self.history_length, rows.authors, self.history_mode
        )
        longest = max(1, int(histories[1].max(initial=0)))
        times = None if histories[2] is None else histories[2][own]
        own_histories = histories[0][own], histories[1][own], times
        return self._batch(
            rows.users[own], authors, max(stride, len(own)), rows.fold, own_histories, longest, targets
        )

    def users(self, rows: NDArray, stride: int | None = None) -> Batch:
        """Users (B,) with their whole histories, to be ranked for.

        Args:
            rows: (B,) user rows.
            stride: at least B, and equal on all processes; B by default.
        """
        return self.labelled(rows, np.empty(0, dtype=np.int64), stride)

    def authors(self, rows: NDArray, stride: int | None = None) -> Batch:
        """Authors (C,); arguments as ``users``."""
        return self._batch(np.empty(0, dtype=np.int64), rows, len(rows) if stride is None else stride, None)

    def labelled(self, users: NDArray, authors: NDArray, stride: int | None = None) -> Batch:
        """Users (B,) and authors (C,), aligned where they are to be scored pair by pair; arguments as ``users``."""
        stride = max(len(users), len(authors)) if stride is None else stride
        histories = self.store.history(users, None, self.history_length)
        longest = max(1, int(histories[1].max(initial=0)))
        return self._batch(users, authors, stride, None, histories, longest)

    def _shared_pool(
        self, candidates: NDArray, dealt: NDArray, weights: torch.Tensor, users: NDArray
    ) -> tuple[NDArray, int, Targets]:
        """All processes' candidates, dealt out: each encodes every ``world_size``-th."""
        pool, position = np.unique(candidates, return_inverse=True)
        position = position.reshape(candidates.shape)[:, 0]
        slots = _deal(pool, self.world_size)  # (c, world), padded with the first candidate
        allowed = self._allowed(users, pool, slots.size)
        targets = Targets(
            weights,
            position=torch.from_numpy(position[dealt[:, self.rank]]),
            allowed=torch.from_numpy(allowed),
            log_expected=torch.from_numpy(self._log_expected(slots.ravel(), candidates.shape)),
            pool_ids=torch.from_numpy(slots.ravel()),
        )
        return slots[:, self.rank], len(slots), targets

    def _own_pool(
        self, candidates: NDArray, dealt: NDArray, weights: torch.Tensor, users: NDArray
    ) -> tuple[NDArray, int, Targets]:
        """The candidates of this process's rows alone; the stride holds the largest pool of any process."""
        n_authors = self.store.n_authors
        keys = (
            np.arange(self.world_size)[:, None, None] * n_authors + candidates[dealt.T]
        )  # (world, b, 1 + M)
        sizes = np.bincount(np.unique(keys) // n_authors)
        pool, position = np.unique(candidates[dealt[:, self.rank]], return_inverse=True)
        position = position.reshape(len(dealt), candidates.shape[1])
        return pool, int(sizes.max()), Targets(weights, position=torch.from_numpy(position))

    def _allowed(self, users: NDArray, pool: NDArray, columns: int) -> NDArray[np.bool_]:
        """(B, columns) false where the user has the candidate among its training items, and beyond the pool."""
        row, author = self.store.known(users)
        place = np.searchsorted(pool, author).clip(max=len(pool) - 1)
        hit = pool[place] == author
        allowed = np.ones((len(users), columns), dtype=bool)
        allowed[:, len(pool) :] = False
        allowed[row[hit], place[hit]] = False
        return allowed

    def _log_expected(self, pool: NDArray, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """As the counts say for positives, evenly for negatives; zeros where ``log_q`` is off."""
        if not self.log_q:
            return np.zeros(len(pool), dtype=np.float32)
        rows, width = shape
        positives = rows * self.store.drawn[self.store.author_ids(pool)] / self._positives
        return np.log(positives + rows * (width - 1) / self.store.n_authors).astype(np.float32)

    def _batch(
        self,
        users: NDArray,
        authors: NDArray,
        stride: int,
        fold: int | None,
        histories: Histories | None = None,
        longest: int = 1,
        targets: Targets | None = None,
    ) -> Batch:
        features = Features()
        user_part = self._users(users, fold, histories, longest, features)
        author_part = self._authors(authors, fold, features)
        return Batch(
            sequences=keyed(features.sequences, stride),
            bags=keyed(features.bags, stride),
            pools=keyed(features.pools, stride) if features.pools else None,
            users=user_part if len(users) else None,
            authors=author_part if len(authors) else None,
            targets=targets,
        )

    def _users(
        self, users: NDArray, fold: int | None, histories: Histories | None, longest: int, features: Features
    ) -> UserPart:
        """The users' dense part; their ids go into ``features``."""
        part = UserPart(count=len(users), longest=longest)
        history = singles(np.empty(0, dtype=np.int64))
        if histories is not None:
            rows, lengths, times = histories
            valid = np.arange(rows.shape[1]) < lengths[:, None]
            history = Bag(lengths, self.store.author_ids(rows[valid]))
            if times is not None and len(times):
                part.gap = gap_buckets(torch.from_numpy(times[:, :longest]))
        features.sequences["history"] = history
        features.bags["user"] = singles(self.store.user_ids(users))
        if self.inputs.reach:
            ids, weights = self.store.reach(users, fold)
            part.reach_ids, part.reach_weights = torch.from_numpy(ids), torch.from_numpy(weights)
        self._neighbours(part, self.inputs.user_paths, users, fold, features)
        return part

    def _authors(self, authors: NDArray, fold: int | None, features: Features) -> AuthorPart:
        """The authors' dense part; their ids go into ``features``."""
        ids = singles(self.store.author_ids(authors))
        part = AuthorPart(
            count=len(authors),
            ids=torch.from_numpy(authors.astype(np.int64)),
            seen=torch.from_numpy(self.store.author_seen(authors)),
        )
        features.sequences["author"] = ids
        if self.inputs.num_queries:
            features.bags["query"] = ids
        for name in self.inputs.modalities:
            if name in self.inputs.words:
                lengths, words, present = self.store.bag(name, authors)
                features.bags[WORDS + name] = Bag(lengths, words)
            else:
                values, present = self.store.dense(name, authors)
                part.raw[name] = torch.from_numpy(values)
            part.present[name] = torch.from_numpy(present)
        self._neighbours(part, self.inputs.author_paths, authors, fold, features)
        return part

    def _neighbours(
        self,
        part: UserPart | AuthorPart,
        paths: tuple[Metapath, ...],
        nodes: NDArray,
        fold: int | None,
        features: Features,
    ) -> None:
        counts = []
        for path in paths:
            lengths, rows, weights = self.store.neighbours(path.name, nodes, fold)
            features.pools[path.name] = Bag(lengths, rows + 1, weights)
            counts.append(lengths)
        if paths:
            part.neighbour_count = torch.from_numpy(np.stack(counts, axis=1).astype(np.float32))
            part.attributes = self._attributes(paths, nodes, fold)

    def _attributes(
        self, paths: tuple[Metapath, ...], nodes: NDArray, fold: int | None
    ) -> torch.Tensor | None:
        """(B, P, D) mean attributes, zero for paths that end at users."""
        if not self.inputs.attribute_width:
            return None
        values = np.zeros((len(nodes), len(paths), self.inputs.attribute_width), dtype=np.float32)
        for place, path in enumerate(paths):
            found = self.store.attributes(path.name, nodes, fold)
            if found is not None:
                values[:, place] = found
        return torch.from_numpy(values)


def _deal(values: NDArray, parts: int) -> NDArray:
    """values (n,) -> (ceil(n / parts), parts), column r every ``parts``-th from r on; the end repeats the first."""
    padded = np.full(-(-len(values) // parts) * parts, values[0])
    padded[: len(values)] = values
    return padded.reshape(-1, parts)
