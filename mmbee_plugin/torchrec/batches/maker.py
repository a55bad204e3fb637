"""Makes the batches of one process from rows of the shards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from mmbee_plugin.modules.batch import Targets
from mmbee_plugin.modules.losses import log_expected_draws
from mmbee_plugin.modules.sim import gap_buckets
from mmbee_plugin.torchrec.batches.bags import keyed, singles
from mmbee_plugin.torchrec.batches.batch import Batch
from mmbee_plugin.torchrec.batches.inputs import Inputs
from mmbee_plugin.torchrec.batches.negatives import draw_negatives, has_every_author
from mmbee_plugin.torchrec.batches.sides import History, Lookups, Moments, Sides
from mmbee_plugin.torchrec.settings import Settings
from mmbee_plugin.torchrec.shards.ids import Place

if TYPE_CHECKING:
    from mmbee_plugin.torchrec.batches.reader import GlobalRows
    from mmbee_plugin.torchrec.shards.store import ShardStore

NO_ROWS = np.empty(0, dtype=np.int64)


class BatchMaker:
    """Makes one process's part of global training batches, and batches for evaluation.

    Candidates, pool and stride are functions of the global batch, so processes agree on them without communication.

    Args:
        store: the shards.
        settings: of the job.
        rank, world_size: which process this is.
    """

    def __init__(self, store: ShardStore, settings: Settings, rank: int = 0, world_size: int = 1) -> None:
        self.store = store
        self.inputs = Inputs.of(settings.model, store)
        self.sides = Sides(store, settings.model, self.inputs)
        self.history_length, self.history_mode = settings.data.history_length, settings.data.history
        self.negatives = settings.train.negatives
        self.seed = settings.train.seed
        self.log_q = settings.model.log_q
        self.rank, self.world_size = rank, world_size
        self._positives = float(store.drawn.sum())
        self._among: NDArray[np.int64] | None = None
        if self.negatives and not settings.model.new_as_negatives:
            self._among = np.flatnonzero(store.drawn[store.author_ids(np.arange(store.n_authors))] > 0)

    def train(self, rows: GlobalRows, epoch: int) -> Batch:
        """Rows ``rank``, ``rank + world_size``, … of a global batch, padded with row 0 at weight 0."""
        total = len(rows.users)
        dealt = _deal(np.arange(total), self.world_size)  # (b, world)
        own = dealt[:, self.rank]
        real = np.arange(self.rank, dealt.size, self.world_size) < total
        place = self.seed, epoch, rows.index
        users, positives = rows.users[own], rows.authors[own]
        times = None if rows.times is None else rows.times[own]
        longest = self.store.longest(rows.users, rows.positions, self.history_length, self.history_mode)
        history = self._history(users, times, rows.positions[own], positives, longest)
        if self.negatives:
            return self._drawn(rows, own, real, history, place)
        moments = self._pairs(positives, None if rows.segments is None else rows.segments[own])
        targets = self._labelled_targets(rows, own, real)
        return self._batch(users, moments, len(own), rows.fold, history, place, targets)

    def users(self, rows: NDArray, stride: int | None = None, times: NDArray | None = None) -> Batch:
        """Users (B,) with their whole histories, to rank authors for.

        Args:
            rows: (B,) user rows.
            stride: at least B, and equal on all processes; B by default.
            times: (B,) moments of the requests, in seconds since the data's first interaction; by default the end of
                training.
        """
        return self.labelled(rows, NO_ROWS, stride, times=times)

    def authors(self, rows: NDArray, stride: int | None = None) -> Batch:
        """Authors (C,), of live data as of the end of training; arguments as ``users``."""
        stride = len(rows) if stride is None else stride
        return self._batch(NO_ROWS, Moments(rows), stride, None, self._history(NO_ROWS, None))

    def labelled(
        self,
        users: NDArray,
        authors: NDArray,
        stride: int | None = None,
        segments: NDArray | None = None,
        times: NDArray | None = None,
    ) -> Batch:
        """Pairs of users (B,) and authors (B,) to score, or users without authors.

        Args:
            users, authors: rows.
            stride: as of ``users``.
            segments: (B,) of live data the newest known segments, -1 for none; None for those at the end of training.
            times: as of ``users``.
        """
        stride = len(users) if stride is None else stride
        moments = self._pairs(authors, segments)
        return self._batch(users, moments, stride, None, self._history(users, times))

    def _history(
        self,
        users: NDArray,
        times: NDArray | None,
        positions: NDArray | None = None,
        targets: NDArray | None = None,
        longest: int | None = None,
    ) -> History:
        """Histories of user rows (B,) at times (B,), by default the end of training: whole, or for training rows those
        up to positions (B,), as the history mode selects, without targets (B,)."""
        mode = self.history_mode
        rows, lengths, stamps = self.store.history(users, positions, self.history_length, targets, mode)
        longest = max(1, int(lengths.max(initial=0))) if longest is None else longest
        if stamps is None:
            return History(rows, lengths, None, longest)
        moments = np.full(len(users), self.store.until) if times is None else times
        gaps = gap_buckets(torch.from_numpy(stamps), torch.from_numpy(moments))
        return History(rows, lengths, gaps, longest)

    def _pairs(self, authors: NDArray, segments: NDArray | None) -> Moments:
        """Distinct (author, newest segment) pairs of rows (B,); distinct authors if no modality is read."""
        segments = segments if self.inputs.modalities else None
        return Moments.of_rows(authors, segments, self.store.n_authors)

    def _labelled_targets(self, rows: GlobalRows, own: NDArray, real: NDArray[np.bool_]) -> Targets:
        """Labels of this process's rows (b,), with those of other tasks where the model has any."""
        assert rows.labels is not None  # a job on data without labels draws negatives
        labels = rows.labels[:, None]
        if len(self.inputs.parts.gtr.tasks) > 1:
            assert rows.tasks is not None
            labels = np.concatenate([labels, rows.tasks], axis=1)
        known = labels >= 0
        of_tasks = (known[own] & real[:, None]) * (self.world_size / np.maximum(1, known.sum(axis=0)))
        return Targets(
            labels=torch.from_numpy(labels[own].astype(np.float32)),
            weights=self._weights(real, len(labels)),
            task_weights=torch.from_numpy(of_tasks.astype(np.float32)),
        )

    def _drawn(
        self, rows: GlobalRows, own: NDArray, real: NDArray[np.bool_], history: History, place: Place
    ) -> Batch:
        """This process's rows (b,) against drawn candidates: a pool of all processes, of which each encodes every
        ``world_size``-th, or the candidates of its own rows only."""
        idle = has_every_author(self.store, rows.users, self._among)
        weights = self._weights(real & ~idle[own], len(idle) - int(idle.sum()))
        shares = self.inputs.shares_pool
        which = np.arange(len(rows.users)) if shares else own
        drawn = draw_negatives(self.store, rows.users[which], which, self.negatives, place, self._among)
        candidates = np.concatenate([rows.authors[which][:, None].astype(np.int64), drawn], axis=1)
        pool, position = np.unique(candidates, return_inverse=True)
        position = position.reshape(candidates.shape)
        users = rows.users[own]
        if not shares:
            # An upper bound for all processes.
            stride = max(min(candidates.size, self.store.n_authors), len(own))
            targets = Targets(position=torch.from_numpy(position), weights=weights)
            return self._batch(users, Moments(pool), stride, rows.fold, history, place, targets)
        slots = _deal(pool, self.world_size)  # (c, world), padded with the first candidate
        allowed = np.zeros((len(own), slots.size), dtype=bool)
        allowed[:, : len(pool)] = self.store.lack(users, pool)
        targets = Targets(
            position=torch.from_numpy(position[own, 0]),
            allowed=torch.from_numpy(allowed),
            log_expected=self._log_expected(slots.ravel(), len(drawn), drawn.size) if self.log_q else None,
            weights=weights,
        )
        moments, stride = Moments(slots[:, self.rank]), max(len(slots), len(own))
        return self._batch(users, moments, stride, rows.fold, history, place, targets, slots.ravel())

    def _weights(self, counted: NDArray[np.bool_], total: int) -> torch.Tensor:
        """(b,) world_size / total for counted rows, of which the global batch has ``total``; 0 for others."""
        return torch.from_numpy(np.where(counted, self.world_size / max(1, total), 0).astype(np.float32))

    def _log_expected(self, pool: NDArray, rows: int, draws: int) -> torch.Tensor:
        counts = torch.from_numpy(self.store.drawn[self.store.author_ids(pool)].astype(np.float64))
        drawable = self.store.n_authors if self._among is None else len(self._among)
        return log_expected_draws(counts, self._positives, rows, draws, drawable).float()

    def _batch(
        self,
        users: NDArray,
        authors: Moments,
        stride: int,
        fold: int | None,
        history: History,
        place: Place | None = None,
        targets: Targets | None = None,
        pool: NDArray | None = None,
    ) -> Batch:
        lookups = Lookups({"author": singles(self.sides.ids.authors(authors.authors, place))})
        user_side = self.sides.users(lookups, users, history, fold, place)
        author_side = self.sides.authors(lookups, authors, fold)
        return Batch(
            sequences=keyed(lookups.sequences, stride),
            bags=keyed(lookups.bags, stride) if lookups.bags else None,
            pools=keyed(lookups.pools, stride) if lookups.pools else None,
            users=user_side if len(users) else None,
            authors=author_side if len(authors.authors) else None,
            paired=authors.paired,
            targets=targets,
            pool=None if pool is None else torch.from_numpy(pool),
        )


def _deal(values: NDArray, parts: int) -> NDArray:
    """values (n,) -> (ceil(n / parts), parts), column r every ``parts``-th from r on, padded with the first value."""
    padded = np.full(-(-len(values) // parts) * parts, values[0])
    padded[: len(values)] = values
    return padded.reshape(-1, parts)
