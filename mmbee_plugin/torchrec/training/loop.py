"""The training loop of each process: steps, evaluations, checkpoints, and a test of the best epoch."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch.utils.tensorboard import SummaryWriter

from mmbee_plugin.command import threads
from mmbee_plugin.command.stages import error_console
from mmbee_plugin.errors import InputError
from mmbee_plugin.files import write_json
from mmbee_plugin.randomness.streams import Purpose, key
from mmbee_plugin.torchrec.batches.batch import Batch
from mmbee_plugin.torchrec.batches.inputs import Inputs, open_store
from mmbee_plugin.torchrec.batches.maker import BatchMaker
from mmbee_plugin.torchrec.batches.reader import EvalReader, TrainReader
from mmbee_plugin.torchrec.checkpoints.checkpoint import StepState, latest, load, read_state, save
from mmbee_plugin.torchrec.checkpoints.resume import best_so_far, check_same_data, checkpoint_to_resume
from mmbee_plugin.torchrec.checkpoints.warm import warm_start
from mmbee_plugin.torchrec.processes.collectives import alone, from_first
from mmbee_plugin.torchrec.processes.launch import Process, process_group
from mmbee_plugin.torchrec.settings import Settings
from mmbee_plugin.torchrec.sharded.initial import InitialRows, write_initial
from mmbee_plugin.torchrec.sharded.model import TrainModel
from mmbee_plugin.torchrec.sharded.sharding import shard
from mmbee_plugin.torchrec.training.evaluate import Evaluator
from mmbee_plugin.torchrec.training.pace import Pace
from mmbee_plugin.torchrec.training.stepper import PipelinedStepper, PlainStepper, Stepper

LOG = logging.getLogger(__name__)
ELSEWHERE = "another job writes there at this moment; checkpoint.folder=… starts elsewhere"


def train(settings: Settings, resume: bool = False, result: Path | None = None) -> dict[str, Any]:
    """Trains, keeps the best epoch, and evaluates it on the test split.

    Args:
        settings: of the job.
        resume: go on from the newest checkpoint, if there is one.
        result: JSON file for the returned values, written by rank 0.

    Returns:
        ``losses`` by logged step and ``validation`` metrics by epoch, from before a resumption too, ``best`` epoch and
        its metrics, ``test`` metrics if the data have a test part, ``samples_per_second``, ``world_size``, ``threads``,
        ``provenance`` of the data.

    Raises:
        InputError: bad shards or settings, checkpoints of another run in the folder, a loss that is not finite.
    """
    lock = Path(settings.checkpoint.folder) / ".lock"
    with process_group(settings.train.timeout) as process, alone(lock, ELSEWHERE):
        checkpoint = from_first(lambda: checkpoint_to_resume(settings, resume))
        goes_on = checkpoint is not None or settings.checkpoint.warm_from is not None
        trainer = Trainer(settings, process, goes_on)
        if checkpoint is not None:
            trainer.restore(checkpoint)
        elif settings.checkpoint.warm_from is not None:
            trainer.warm_start(Path(settings.checkpoint.warm_from))
        outcome = trainer.run()
        if process.rank == 0 and result is not None:
            write_json(result, outcome)
    return outcome


class Trainer:
    """Trains one process's share of a job; all methods are collective.

    Args:
        settings, process: of the job.
        goes_on: whether a checkpoint will bring the tables, so that ``model.node_tables=graphcl`` needs no vectors.

    Raises:
        InputError: bad shards or settings, such as no negatives for data without labels, or no node vectors.
    """

    def __init__(self, settings: Settings, process: Process, goes_on: bool = False) -> None:
        self.settings, self.process = settings, process
        store = open_store(settings)
        inputs = Inputs.of(settings.model, store)
        draws = settings.train.negatives > 0
        if not draws and not store.labelled:
            raise InputError(f"{store.path}: no labels, so negatives must be drawn; set train.negatives")
        pretrained = settings.model.node_tables == "graphcl" and bool(inputs.pools)
        nodes = store.nodes() if pretrained else None
        if pretrained and nodes is None and not goes_on:
            raise InputError(
                f"{store.path}: no node vectors; train them with `mmbee torchrun -m mmbee_plugin.torchrec.graphcl`, or "
                "set model.node_tables=fresh"
            )
        LOG.info("%s", store.provenance)
        LOG.info("%s", threads.line())
        if inputs.pools:
            LOG.info("Node tables start %s", "from stored vectors" if nodes is not None else "fresh")
        torch.manual_seed(key(Purpose.WEIGHTS, settings.train.seed))
        initial = InitialRows(inputs, settings.train.seed, nodes)
        model = TrainModel(inputs, settings.train.precision)
        longest = min(settings.data.history_length, store.longest_history)
        if idle := model.scorer.gtr.backbone.idle(longest):
            LOG.warning("%s", idle)
        self.model, self.optimizer = shard(model, settings, process.device)
        write_initial(self.model.module.tables, initial)
        self.store = store
        self.maker = BatchMaker(store, settings, process.rank, process.world_size)
        self.reader = TrainReader(
            store, settings.data, settings.train.batch_size, settings.train.seed, positives_only=draws
        )
        self.evaluator = Evaluator(self.model, self.maker, process)
        self.ranks = draws
        self.metric = f"recall@{max(settings.train.topk)}" if self.ranks else "gauc"
        stepper: type[Stepper] = PipelinedStepper if process.device.type == "cuda" else PlainStepper
        self.stepper = stepper(self.model, self.optimizer, process.device)
        self.folder = Path(settings.checkpoint.folder)
        self.epoch = self.batch = self.step = 0
        self.best: dict[str, Any] | None = None
        self.writer: SummaryWriter | None = None
        self.losses: dict[int, float] = {}
        self.validation: dict[int, dict[str, float]] = {}
        self.pace = Pace()

    def restore(self, path: Path) -> None:
        """Resumes the run of a checkpoint. Raises InputError if its data or model differ."""
        check_same_data(read_state(path), self.store, path)
        state = load(path, self.model, self.optimizer)
        self.epoch, self.batch, self.step = state.epoch, state.batch, state.step
        self.losses, self.validation = state.losses, state.validation
        self.best = from_first(lambda: best_so_far(self.folder, state.best))
        LOG.info("Resuming %s: epoch %d, batch %d", path, self.epoch, self.batch)

    def warm_start(self, path: Path) -> None:
        """Goes on from the weights and optimizer state of another job. Raises InputError as `warm.warm_start`."""
        warm_start(path, self.settings, self.store, self.model, self.optimizer)
        LOG.info("Goes on from %s", path)

    def run(self) -> dict[str, Any]:
        """Trains to the last epoch or until ``patience`` runs out, then tests the best epoch; returns as `train`."""
        if self.process.rank == 0:
            self.writer = SummaryWriter(str(self.folder / "tensorboard"), purge_step=self.step + 1)
        try:
            return self._run()
        finally:  # a failing process ends by os._exit, which would lose events not yet written
            if self.writer is not None:
                self.writer.close()

    def _run(self) -> dict[str, Any]:
        settings = self.settings.train
        while self.epoch < settings.epochs and not self._out_of_patience():
            self._train_epoch()
            self.epoch, self.batch = self.epoch + 1, 0
            if settings.eval_every and self.epoch % settings.eval_every == 0:
                self._validate()
            self._save()
        outcome: dict[str, Any] = {
            "provenance": self.store.provenance,
            "world_size": self.process.world_size,
            "threads": threads.described(),
            "losses": self.losses,
            "validation": self.validation,
            "best": self.best,
            "samples_per_second": self.pace.mean,
        }
        best = from_first(lambda: latest(self.folder, "best"))
        if self.best is not None and best is not None:
            load(best, self.model)
            if "test" in self.store.description.evaluated:
                outcome["test"] = self._evaluate("test")
                LOG.info("Best epoch %d, test: %s", self.best["epoch"], in_words(outcome["test"]))
        LOG.info("%s", self.store.provenance)
        return outcome

    def _train_epoch(self) -> None:
        settings, process = self.settings, self.process
        steps = self.reader.steps(self.epoch)
        pending = torch.zeros((), device=process.device)
        logged = self.step
        sizes: list[int] = []
        self.model.train()
        self.pace.start()
        title = f"Epoch {self.epoch + 1}/{settings.train.epochs}"
        with progress(process.rank == 0) as bar:
            task = bar.add_task(title, total=steps, completed=self.batch)
            for loss in self.stepper.steps(self._batches(sizes), self._seed):
                pending += loss
                self.step, self.batch = self.step + 1, self.batch + 1
                self.pace.add(sizes.pop(0))
                if self.step % settings.train.log_every == 0 or self.batch == steps:
                    mean = self._mean(pending / (self.step - logged))
                    self._log(mean)
                    bar.update(task, description=f"{title} loss {mean:.4f}")
                    pending.zero_()
                    logged = self.step
                bar.update(task, completed=self.batch)
                every = settings.checkpoint.every
                if every and self.step % every == 0 and self.batch < steps:
                    with self.pace.paused():
                        self._save()
        self.stepper.finish()
        LOG.info(
            "Epoch %d: loss %.4f, step %d, %.0f samples/s",
            self.epoch + 1,
            self.losses[self.step],
            self.step,
            self.pace.mean or 0,
        )

    def _batches(self, sizes: list[int]) -> Iterator[Batch]:
        for rows in self.reader.batches(self.epoch, self.batch):
            sizes.append(len(rows.users))
            yield self.maker.train(rows, self.epoch)

    def _seed(self) -> int:
        """Seed of this process's next step, a function of its number: a resumed run draws the same random numbers."""
        return key(Purpose.STEP, self.settings.train.seed, self.step, self.process.rank)

    def _mean(self, loss: torch.Tensor) -> float:
        """Mean over the processes, that is over the global batch. Raises InputError if it is not finite."""
        dist.all_reduce(loss)
        mean = float(loss) / self.process.world_size
        if not math.isfinite(mean):
            raise InputError(
                f"the loss of step {self.step} is {mean}; a smaller learning rate (train.learning_rate, "
                "tables.*.learning_rate) may help"
            )
        return mean

    def _log(self, loss: float) -> None:
        self.losses[self.step] = loss
        rate = self.pace.read()
        if self.writer is not None:
            self.writer.add_scalar("loss", loss, self.step)
            self.writer.add_scalar("samples_per_second", rate, self.step)

    def _validate(self) -> None:
        metrics = self._evaluate("valid")
        self.validation[self.epoch] = metrics
        LOG.info("Epoch %d, validation: %s", self.epoch, in_words(metrics))
        if self.writer is not None:
            for name, value in metrics.items():
                self.writer.add_scalar(f"validation/{name}", value, self.step)
        if self.best is None or metrics[self.metric] > self.best["validation"][self.metric]:
            self.best = {"epoch": self.epoch, "step": self.step, "validation": metrics}
            save(self.folder, self._state(weights_only=True), self.model, None, keep=1, kind="best")

    def _evaluate(self, split: Any) -> dict[str, float]:
        reader = EvalReader(self.store, split)
        if self.ranks:
            return self.evaluator.ranking(reader, self.settings.train.topk)
        return self.evaluator.labelled(reader)

    def _save(self) -> None:
        save(self.folder, self._state(), self.model, self.optimizer, keep=self.settings.checkpoint.keep)

    def _state(self, weights_only: bool = False) -> StepState:
        return StepState(
            self.epoch,
            self.batch,
            self.step,
            self.settings.model_dump(mode="json"),
            self.process.world_size,
            self.best,
            weights_only,
            self.store.identity,
            self.losses,
            self.validation,
        )

    def _out_of_patience(self) -> bool:
        patience, every = self.settings.train.patience, self.settings.train.eval_every
        if not patience or not every or self.best is None or self.batch:
            return False
        return (self.epoch - self.best["epoch"]) // every >= patience


def in_words(metrics: dict[str, float]) -> str:
    """Metrics in one line."""
    return ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())


def progress(first: bool) -> Progress:
    """Progress bar of steps, shown by the first process on a terminal only."""
    console = error_console()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not first or not console.is_terminal,
    )
