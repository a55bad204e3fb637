"""Evaluation of a distributed model: full ranking of static items, or metrics of labelled samples.

Metrics do not depend on the number of processes: sums are of whole numbers
(:func:`~mmbee_plugin.evaluation.metrics.exact_sum`), and samples are grouped by user before averaging.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torchrec.distributed import DistributedModelParallel

from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.metrics import exact_mean, exact_sum, ranking_metrics
from mmbee_plugin.modules.gtr import EncodedAuthor, EncodedUser
from mmbee_plugin.torchrec.batches.maker import BatchMaker
from mmbee_plugin.torchrec.batches.reader import EvalReader, RankedUsers
from mmbee_plugin.torchrec.processes.collectives import add_up
from mmbee_plugin.torchrec.processes.launch import Process
from mmbee_plugin.torchrec.sharded.gather import interleave
from mmbee_plugin.torchrec.sharded.model import TrainModel
from mmbee_plugin.torchrec.training.labelled import labelled_metrics

AUTHORS_AT_ONCE = 4096
"""authors a process encodes at once"""
USERS_AT_ONCE = 256
"""users a process ranks for at once"""
SAMPLES_AT_ONCE = 4096
"""labelled samples a process scores at once"""
CELLS = 2**24
"""user-author scores held at once"""


class Evaluator:
    """Evaluates a model; its methods are collective.

    Args:
        model: the distributed :class:`~mmbee_plugin.torchrec.sharded.model.TrainModel`.
        maker: of this process's batches.
        process: this process.
    """

    def __init__(self, model: DistributedModelParallel, maker: BatchMaker, process: Process) -> None:
        self.model = model
        self.maker = maker
        self.process = process
        self.store = maker.store

    @torch.no_grad()
    def ranking(self, reader: EvalReader, topk: Sequence[int] = (10, 20)) -> dict[str, float]:
        """Means over users of :func:`~mmbee_plugin.evaluation.metrics.ranking_metrics`, on every process.

        All authors are ranked, except the user's training positives that are no positives of the split.

        Raises:
            InputError: no user has a positive in the split; rows that cannot be read.
        """
        with _evaluating(self.model) as model:
            authors = self._authors(model)
            sums: dict[str, NDArray[np.int64]] = {}
            users = 0
            for asked in reader.ranked(USERS_AT_ONCE * self.process.world_size):
                hits, positives = self._hits(model, authors, asked, min(max(topk), self.store.n_authors))
                users += len(positives)
                for name, values in ranking_metrics(hits, positives, topk).items():
                    sums[name] = sums.get(name, 0) + exact_sum(values)
        if not sums:
            raise InputError(f"{self.store.path}: no user has a positive to rank")
        total = add_up(np.concatenate([[users], *sums.values()]), self.process.device)
        pairs = total[1:].reshape(-1, 2)
        return {name: exact_mean(pair, int(total[0])) for name, pair in zip(sums, pairs, strict=True)}

    @torch.no_grad()
    def labelled(self, reader: EvalReader) -> dict[str, float]:
        """``auc``, ``uauc``, ``gauc`` and ``logloss`` of a split's labelled rows, on every process.

        Raises:
            InputError: data without labels, labels that are all the same; rows that cannot be read.
        """
        world_size, rank = self.process.world_size, self.process.rank
        columns: list[tuple[NDArray, NDArray, NDArray]] = []
        with _evaluating(self.model) as model:
            for rows in reader.labelled(SAMPLES_AT_ONCE * world_size):
                stride = -(-len(rows.users) // world_size)
                own = slice(rank, None, world_size)
                users, authors = rows.users[own], rows.authors[own]
                segments = None if rows.segments is None else rows.segments[own]
                times = None if rows.times is None else rows.times[own]
                batch = self.maker.labelled(users, authors, stride, segments, times).to(self.process.device)
                columns.append((users, rows.labels[own], model.score(batch).sigmoid().cpu().numpy()))
        if not columns:
            raise InputError(f"{self.store.path}: no labelled row to score")
        users, labels, scores = (np.concatenate(part) for part in zip(*columns, strict=True))
        return labelled_metrics(users, labels, scores, self.process.device)

    def _authors(self, model: TrainModel) -> EncodedAuthor:
        """Encodes all authors, in row order: each process its share, gathered on every process."""
        world_size, rank = self.process.world_size, self.process.rank
        step, n_authors = AUTHORS_AT_ONCE * world_size, self.store.n_authors
        parts = []
        for start in range(0, n_authors, step):
            # The last share is padded with row 0.
            count = -(-min(step, n_authors - start) // world_size) * world_size
            rows = np.arange(start + rank, start + count, world_size)
            batch = self.maker.authors(np.where(rows < n_authors, rows, 0)).to(self.process.device)
            encoded = model.encode_authors(batch)
            assert encoded is not None
            # Only a cross part reads the id vector on its own; for a dot head it is part of `top`.
            cross = model.scorer.gtr.backbone.cross_width
            author = (
                interleave(encoded.author)
                if cross
                else encoded.top.new_empty(len(encoded.top) * world_size, 0)
            )
            views = None if encoded.views is None else interleave(encoded.views)
            parts.append(EncodedAuthor(interleave(encoded.top), author, views=views))
        whole = next(EncodedAuthor.cat(parts).split(n_authors))
        category = None
        if self.maker.inputs.parts.sim.search == "hard":
            category = torch.from_numpy(self.store.category(np.arange(n_authors))).to(self.process.device)
        return replace(whole, ids=torch.arange(n_authors, device=self.process.device), category=category)

    def _hits(
        self, model: TrainModel, authors: EncodedAuthor, asked: RankedUsers, k: int
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Hits (b, k) of positives among the k best authors and numbers of positives (b,), of this process's users."""
        world_size, rank = self.process.world_size, self.process.rank
        rows = asked.users[rank::world_size]
        times = None if asked.times is None else asked.times[rank::world_size]
        batch = self.maker.users(rows, -(-len(asked.users) // world_size), times).to(self.process.device)
        user = model.encode_users(batch)
        if user is None:
            return np.empty((0, k), dtype=bool), np.empty(0, dtype=np.int64)
        masked = _share(asked.masked_user, asked.masked, rank, world_size)
        best = _best(model, user, authors, masked, k).cpu().numpy()
        row, positive = _share(asked.positive_user, asked.positives, rank, world_size)
        n_authors = self.store.n_authors
        hits = np.isin(np.arange(len(rows))[:, None] * n_authors + best, row * n_authors + positive)
        return hits & (best >= 0), np.bincount(row, minlength=len(rows))


@contextmanager
def _evaluating(model: DistributedModelParallel) -> Iterator[TrainModel]:
    """The wrapped module in evaluation mode; restores its mode on exit."""
    training = model.training
    model.eval()
    try:
        yield model.module
    finally:
        model.train(training)


def _best(
    model: TrainModel, user: EncodedUser, authors: EncodedAuthor, masked: tuple[NDArray, NDArray], k: int
) -> torch.Tensor:
    """(b, k) rows of each user's best authors, best first, without masked (user, author) pairs; padded with -1."""
    rows = len(user.top)
    device = user.top.device
    mask_row, mask_author = (torch.from_numpy(part).to(device) for part in masked)
    best = torch.full((rows, k), -torch.inf, device=device)
    found = torch.full((rows, k), -1, device=device)
    start = 0
    for part in authors.split(max(k, CELLS // rows)):
        scores = model.scorer.gtr.score_all(user, part)
        within = (mask_author >= start) & (mask_author < start + scores.shape[1])
        scores[mask_row[within], mask_author[within] - start] = -torch.inf
        best, place = torch.cat([best, scores], dim=1).topk(k, dim=1)
        columns = torch.arange(start, start + scores.shape[1], device=device).expand(rows, -1)
        found = torch.cat([found, columns], dim=1).gather(1, place)
        start += scores.shape[1]
    return found


def _share(places: NDArray, values: NDArray, rank: int, world_size: int) -> tuple[NDArray, NDArray]:
    """Entries of this process's rows of a batch: their places among these rows, and their values."""
    own = places % world_size == rank
    return places[own] // world_size, values[own]
