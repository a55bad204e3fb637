"""Opens a training job's checkpoint as the source of a serving bundle, in one process without sharding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.ragged import NOBODY
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.metapaths import Metapath
from mmbee_plugin.modules.batch import AuthorSide, UserSide
from mmbee_plugin.serving.bundle.source import Facts, LiveContent, LiveModality, Longest, Windows
from mmbee_plugin.torchrec.batches.inputs import Inputs
from mmbee_plugin.torchrec.batches.maker import BatchMaker
from mmbee_plugin.torchrec.checkpoints.export import Job, exchange_of, read_job
from mmbee_plugin.torchrec.sharded.model import TrainModel
from mmbee_plugin.torchrec.sharded.tables import author_side, user_side


class TorchRecSource:
    """Implements :class:`~mmbee_plugin.serving.bundle.source.Source`.

    Args:
        job: the checkpoint.
        folder: the dataset folder of its shards; required for data with time, since shards have no clock.
    """

    def __init__(self, job: Job, folder: DatasetFolder | None = None) -> None:
        self.store, self.folder = job.store, folder
        self.inputs = Inputs.of(job.settings.model, job.store)
        self.maker = BatchMaker(job.store, job.settings)
        self.model = TrainModel(self.inputs, device=torch.device("cpu")).eval()
        self.model.load_state_dict(job.weights)
        self.gtr = self.model.scorer.gtr
        self.exchange = exchange_of(job)
        self.longest = self._longest(job.settings.data.history_length)
        description, live = job.store.description, None if folder is None else folder.live
        self.facts = Facts(
            name=description.provenance.partition(" ")[0],
            provenance=description.provenance,
            dataset=description.dataset,
            snapshot=description.snapshot,
            origin=0.0 if folder is None else folder.origin,
            until=job.store.until,
            chances=job.settings.model.loss == "bce",
            negatives=None if live is None or job.settings.train.negatives else live.train_negatives,
        )
        self.live = self._live()

    def users(self, rows: NDArray[np.int64]) -> UserSide:
        batch = self.maker.users(rows)
        side = user_side(self.inputs, batch, self.model.tables(batch))
        if side.reach_ids is not None:
            side.reach_ids = torch.where(side.reach_ids == NOBODY, NOBODY, side.reach_ids + 1)
        return side

    def histories(
        self, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64] | None]:
        return self.store.history(rows, None, self.longest.history)

    def authors(self, rows: NDArray[np.int64]) -> AuthorSide:
        batch = self.maker.authors(rows)
        return author_side(self.inputs, batch, self.model.tables(batch))

    def windows(self, rows: NDArray[np.int64]) -> Windows:
        assert self.folder is not None
        window = self.store.segments.windows(self.store.segments.newest(rows), self.inputs.segments)
        segments = self.folder.segments
        starts, ends = (
            np.where(window >= 0, times[window], np.nan) for times in (segments.starts, segments.ends)
        )
        found = {name: self.store.segments.stored(name, window) for name in self.inputs.modalities}
        values, present = ({name: pair[part] for name, pair in found.items()} for part in (0, 1))
        return Windows(starts, ends, values, present)

    def logits(self, users: NDArray[np.int64], authors: NDArray[np.int64]) -> torch.Tensor:
        batch = self.maker.labelled(users, authors)
        looked = self.model.tables(batch)
        user = self.gtr.encode_user(user_side(self.inputs, batch, looked))
        author = self.model.scorer.encode_authors(batch, looked)
        return self.gtr.score_tasks(user, author.unsqueeze(1)).squeeze(1)

    def _longest(self, history_length: int) -> Longest:
        history = max(1, min(history_length, self.store.longest_history))
        peers = {
            Metapath.parse(path).start: int(self.store.lists(path).lengths.max())
            for path in self.inputs.peer_paths
        }
        reach = max(1, self.store.longest_reach) if self.inputs.parts.gtr.reach else 0
        return Longest(history, reach, max(1, peers.get("u", 0)), max(1, peers.get("a", 0)))

    def _live(self) -> LiveContent | None:
        if not self.inputs.segments or not self.inputs.modalities:
            return None
        assert self.folder is not None and self.folder.live is not None
        modalities = {}
        for name in self.inputs.modalities:
            values, _ = self.store.segments.stored(name, np.full((1, 1), -1))
            frames, width = values.shape[2:]
            mean, deviation = (np.asarray(part) for part in self.store.segments.scaling(name))
            modalities[name] = LiveModality(frames, width, str(values.dtype), mean, deviation)
        return LiveContent(self.folder.live.seconds, self.inputs.segments, modalities)


def open_source(path: Path, shards: Path | None = None, dataset: Path | None = None) -> TorchRecSource:
    """Opens a job's checkpoint.

    Args:
        path, shards: as of `read_job`.
        dataset: the dataset folder of the shards; required for data with time.

    Raises:
        InputError: as `read_job`; a missing dataset folder, or one of other data.
    """
    job = read_job(path, shards)
    folder = None if dataset is None else DatasetFolder(dataset)
    if folder is None and job.store.ordered:
        raise InputError(
            f"{job.store.path}: data with time, whose clock is in the dataset folder; name it: --dataset=DIR"
        )
    if folder is not None and folder.hash != job.store.description.dataset:
        raise InputError(f"{folder.path}: not the data that {job.store.path} was made of, or changed since")
    return TorchRecSource(job, folder)
