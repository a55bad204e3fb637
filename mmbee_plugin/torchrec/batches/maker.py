"""From rows of the shards to the batch of one process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from mmbee_plugin.modules.sim import gap_buckets
from mmbee_plugin.torchrec.batches.bags import Bag, keyed, singles
from mmbee_plugin.torchrec.batches.batch import AuthorPart, Batch, Targets, UserPart
from mmbee_plugin.torchrec.batches.content import Moments, add_content
from mmbee_plugin.torchrec.batches.inputs import Inputs
from mmbee_plugin.torchrec.batches.negatives import draw_negatives, lacks_nobody
from mmbee_plugin.torchrec.batches.neighbours import add_neighbours, add_peers
from mmbee_plugin.torchrec.settings import Settings
from mmbee_plugin.torchrec.shards.ids import Place, TableIds

if TYPE_CHECKING:
    from mmbee_plugin.torchrec.batches.reader import GlobalRows
    from mmbee_plugin.torchrec.shards.store import ShardStore

Histories = tuple[NDArray, NDArray, torch.Tensor | None]
"""author rows (B, L) and lengths (B,) of users, and the buckets (B, L) of their time gaps."""


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
        self.ids = TableIds(store, settings.model)
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
        users, positives = rows.users[own], rows.authors[own]
        place = self.seed, epoch, rows.index
        if self.negatives == 0:
            authors = self._pairs(positives, None if rows.segments is None else rows.segments[own])
            stride, targets = len(own), self._labelled_targets(rows, own, real)
        else:
            idle = lacks_nobody(self.store, rows.users)
            weights = self._weights(real & ~idle[own], total - int(idle.sum()))
            if self.inputs.shares_pool:
                drawn = draw_negatives(self.store, rows.users, np.arange(total), self.negatives, place)
                candidates = np.concatenate([rows.authors[:, None].astype(np.int64), drawn], axis=1)
                pool, stride, targets = self._shared_pool(candidates, dealt, weights, users)
            else:
                drawn = draw_negatives(self.store, users, own, self.negatives, place)
                candidates = np.concatenate([positives[:, None].astype(np.int64), drawn], axis=1)
                pool, stride, targets = self._own_pool(candidates, weights)
            authors = Moments(pool)
        times = None if rows.times is None else rows.times[own]
        histories = self._histories(users, times, rows.positions[own], positives)
        longest = self.store.longest(rows.users, rows.positions, self.history_length, self.history_mode)
        return self._batch(
            users, authors, max(stride, len(own)), rows.fold, histories, longest, targets, place
        )

    def users(self, rows: NDArray, stride: int | None = None, times: NDArray | None = None) -> Batch:
        """Users (B,) with their whole histories, to be ranked for.

        Args:
            rows: (B,) user rows.
            stride: at least B, and equal on all processes; B by default.
            times: (B,) moments of the requests, in seconds since the data's first interaction; by default the end of
                training.
        """
        return self.labelled(rows, np.empty(0, dtype=np.int64), stride, times=times)

    def authors(self, rows: NDArray, stride: int | None = None) -> Batch:
        """Authors (C,), of live data as of the end of training; arguments as ``users``."""
        stride = len(rows) if stride is None else stride
        return self._batch(np.empty(0, dtype=np.int64), Moments(rows), stride, None)

    def labelled(
        self,
        users: NDArray,
        authors: NDArray,
        stride: int | None = None,
        segments: NDArray | None = None,
        times: NDArray | None = None,
    ) -> Batch:
        """Users (B,) and their authors (B,), to be scored pair by pair, or no authors.

        Args:
            users, authors: rows.
            stride: as of ``users``.
            segments: (B,) of live data the newest known segments, -1 for none; None for those at the end of training.
            times: as of ``users``.
        """
        stride = len(users) if stride is None else stride
        histories = self._histories(users, times)
        longest = max(1, int(histories[1].max(initial=0)))
        moments = self._pairs(authors, segments)
        return self._batch(users, moments, stride, None, histories, longest)

    def _histories(
        self,
        users: NDArray,
        times: NDArray | None,
        positions: NDArray | None = None,
        targets: NDArray | None = None,
    ) -> Histories:
        """Of user rows (B,) at times (B,), the end of training by default; whole ones, or those of training rows at
        positions (B,), without their targets (B,)."""
        mode = self.history_mode
        rows, lengths, stamps = self.store.history(users, positions, self.history_length, targets, mode)
        if stamps is None:
            return rows, lengths, None
        moments = np.full(len(users), self.store.until) if times is None else times
        # In float32, as RecBole's batches have them: a gap at the edge of two buckets falls into the same.
        return rows, lengths, gap_buckets(torch.from_numpy(stamps), torch.from_numpy(moments).float())

    def _pairs(self, authors: NDArray, segments: NDArray | None) -> Moments:
        """The authors of rows (B,), each once as of each moment that its content tells from others."""
        segments = segments if self.inputs.modalities else None
        return Moments.of_rows(authors, segments, self.store.n_authors)

    def _labelled_targets(self, rows: GlobalRows, own: NDArray, real: NDArray[np.bool_]) -> Targets:
        """Labels of this process's rows (b,), with those of other tasks where the model has any."""
        assert rows.labels is not None  # a job on data without labels draws negatives
        labels = torch.from_numpy(rows.labels[own].astype(np.float32))
        targets = Targets(self._weights(real, len(rows.labels)), labels=labels)
        if len(self.inputs.tasks) > 1:
            assert rows.tasks is not None
            every = np.concatenate([rows.labels[:, None], rows.tasks], axis=1)
            known = every >= 0
            weights = self.world_size / np.maximum(1, known.sum(axis=0))  # (T,)
            targets.tasks = torch.from_numpy(every[own].astype(np.float32))
            counted = (known[own] & real[:, None]) * weights
            targets.task_weights = torch.from_numpy(counted.astype(np.float32))
        return targets

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

    def _own_pool(self, candidates: NDArray, weights: torch.Tensor) -> tuple[NDArray, int, Targets]:
        """The candidates (b, 1 + M) of this process's rows alone; the stride has room for any process's."""
        pool, position = np.unique(candidates, return_inverse=True)
        stride = min(candidates.size, self.store.n_authors)
        return pool, stride, Targets(weights, position=torch.from_numpy(position.reshape(candidates.shape)))

    def _weights(self, counted: NDArray[np.bool_], total: int) -> torch.Tensor:
        """(b,) the same for each row that counts, of ``total`` in the global batch; 0 for the others."""
        return torch.from_numpy(np.where(counted, self.world_size / max(1, total), 0).astype(np.float32))

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
        authors: Moments,
        stride: int,
        fold: int | None,
        histories: Histories | None = None,
        longest: int = 1,
        targets: Targets | None = None,
        place: Place | None = None,
    ) -> Batch:
        features = Features(sequences={"author": singles(self.ids.authors(authors.authors, place))})
        if self.inputs.model.user_ids:
            tables = features.sequences if self.inputs.peer_paths else features.bags
            tables["user"] = singles(self.ids.users(users, place))
        user_part = self._users(users, fold, histories, longest, features)
        author_part = self._authors(authors, fold, features)
        return Batch(
            sequences=keyed(features.sequences, stride),
            bags=keyed(features.bags, stride) if features.bags else None,
            pools=keyed(features.pools, stride) if features.pools else None,
            users=user_part if len(users) else None,
            authors=author_part if len(authors.authors) else None,
            targets=targets,
        )

    def _users(
        self, users: NDArray, fold: int | None, histories: Histories | None, longest: int, features: Features
    ) -> UserPart:
        """The users' dense part; what their histories and neighbours look up goes into ``features``."""
        part = UserPart(count=len(users), longest=longest)
        history = singles(np.empty(0, dtype=np.int64))
        if histories is not None:
            rows, lengths, gaps = histories
            valid = np.arange(rows.shape[1]) < lengths[:, None]
            history = Bag(lengths, self.store.author_ids(rows[valid]))
            part.gap = None if gaps is None else gaps[:, :longest]
            if self.inputs.search == "hard":
                part.category = torch.from_numpy(self.store.category(rows[:, :longest]))
        features.sequences["history"] = history
        if self.inputs.reach:
            ids, weights = self.store.reach(users, fold)
            part.reach_ids, part.reach_weights = torch.from_numpy(ids), torch.from_numpy(weights)
        self._interest(part, "u", users, fold, features)
        return part

    def _authors(self, moments: Moments, fold: int | None, features: Features) -> AuthorPart:
        """The authors' dense part; what their content and neighbours look up goes into ``features``."""
        authors = moments.authors
        part = AuthorPart(
            count=len(authors),
            ids=torch.from_numpy(authors.astype(np.int64)),
            seen=torch.from_numpy(self.store.author_seen(authors)),
            place=None if moments.place is None else torch.from_numpy(moments.place),
        )
        if self.inputs.search == "hard":
            part.category = torch.from_numpy(self.store.category(authors))
        if self.inputs.num_queries:
            features.bags["query"] = singles(self.store.author_ids(authors))
        add_content(part, features.bags, self.store, self.inputs, moments)
        self._interest(part, "a", authors, fold, features)
        return part

    def _interest(
        self, part: UserPart | AuthorPart, side: str, nodes: NDArray, fold: int | None, features: Features
    ) -> None:
        add_neighbours(part, features.pools, self.store, self.inputs, side, nodes, fold)
        add_peers(part, features.sequences, self.store, self.inputs, side, nodes, fold)


def _deal(values: NDArray, parts: int) -> NDArray:
    """values (n,) -> (ceil(n / parts), parts), column r every ``parts``-th from r on; the end repeats the first."""
    padded = np.full(-(-len(values) // parts) * parts, values[0])
    padded[: len(values)] = values
    return padded.reshape(-1, parts)
