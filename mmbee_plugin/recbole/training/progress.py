"""Progress lines of a run: its slow stages, and one line per epoch.

Lines go to stdout and are flushed, so that they also reach a pipe or a file in time; bars are for terminals.
"""

from __future__ import annotations

import functools
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from recbole.trainer import Trainer
from recbole.trainer import trainer as recbole_trainer
from recbole.utils import early_stopping

from mmbee_plugin.command.time_left import in_words

SLOW = 2.0
"""seconds after which a stage is printed"""
STAGES = logging.getLogger("mmbee_plugin.stages")
"""Logger of stage names, which are in RecBole's log too."""
RECENT = 5
"""number of latest epochs whose mean duration predicts the time left"""


def begin_stage(name: str) -> None:
    """Announces a stage of the work, such as ``graph stage: u2a``."""
    STAGES.info(name)


@dataclass
class _Trained:
    """A trained epoch whose line is not printed yet."""

    epoch: int
    loss: float
    seconds: float


class Progress(logging.Handler):
    """Prints the lines of one model's run.

    Args:
        label: prefix of each line, for runs of several models.
    """

    def __init__(self, label: str = "") -> None:
        super().__init__()
        self.label = label
        self._timer: threading.Timer | None = None
        self._epoch: _Trained | None = None
        self._trained: deque[float] = deque(maxlen=RECENT)
        self._evaluated: deque[float] = deque(maxlen=RECENT)
        self._begun = self._mark = time.perf_counter()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Prints stages during the block, and has RecBole's bars removed when full."""
        stock, level = recbole_trainer.tqdm, STAGES.level
        recbole_trainer.tqdm = functools.partial(stock, leave=False)
        STAGES.addHandler(self)
        STAGES.setLevel(logging.INFO)
        try:
            yield
        finally:
            self._end_stage()
            STAGES.setLevel(level)
            STAGES.removeHandler(self)
            recbole_trainer.tqdm = stock

    def say(self, line: str) -> None:
        """Writes one line."""
        sys.stdout.write(f"{self.label}: {line}\n" if self.label else f"{line}\n")
        sys.stdout.flush()

    def emit(self, record: logging.LogRecord) -> None:
        """Begins a stage, whose name is printed after ``SLOW`` seconds."""
        self._end_stage()
        self._timer = threading.Timer(SLOW, self.say, [f"{record.getMessage()} ..."])
        self._timer.daemon = True
        self._timer.start()

    def begin_training(self, first: int, epochs: int, batches: int, rows: int, among: int) -> None:
        """Ends the stages before training and prints its first line.

        Args:
            first: the first epoch, from 0.
            rows: training rows that are trained on, of so many (``among``).
        """
        self._end_stage()
        self._lap()
        resumed = f", resumed at epoch {first + 1}" if first else ""
        ready = f"ready after {time.perf_counter() - self._begun:.1f} s"
        chosen = "" if rows == among else f"{rows:,} of {among:,} training rows, "
        self.say(f"{ready}; {chosen}at most {epochs} epochs of {batches:,} batches{resumed}")

    def trained(self, trainer: Trainer, epoch: int, loss: float) -> None:
        """Notes a trained epoch; its line is printed after its evaluation, if any.

        Args:
            trainer: RecBole's. epoch: from 0. loss: mean of the batches.
        """
        self.flush_epoch(trainer)
        seconds = self._lap()
        self._trained.append(seconds)
        self._epoch = _Trained(epoch, loss, seconds)
        if (epoch + 1) % trainer.eval_step:
            self.flush_epoch(trainer)

    def validated(self, trainer: Trainer, score: float) -> None:
        """Prints an evaluated epoch, before RecBole has noted whether it is the best."""
        if self._epoch is None:
            return
        seconds = self._lap()
        self._evaluated.append(seconds)
        best, bigger = trainer.best_valid_score, trainer.valid_metric_bigger
        _, misses, stops, is_best = early_stopping(
            score, best, trainer.cur_step, trainer.stopping_step, bigger=bigger
        )
        mark = " (best)" if is_best else ""
        self._epoch.seconds += seconds
        self._write_epoch(trainer, f", {trainer.valid_metric} {score:.4f}{mark}", misses, stops)

    def flush_epoch(self, trainer: Trainer) -> None:
        """Prints the pending epoch, if any, without an evaluation."""
        if self._epoch is not None:
            self._write_epoch(trainer, "", trainer.cur_step, False)

    def _write_epoch(self, trainer: Trainer, valid: str, misses: int, stops: bool) -> None:
        assert self._epoch is not None
        number, epochs = self._epoch.epoch + 1, max(trainer.epochs, self._epoch.epoch + 1)
        if stops:
            left = f"; stops, {misses} evaluations in a row were no better"
        else:
            left = self._time_left(trainer, number, epochs, misses)
        self.say(
            f"epoch {number} of {epochs}: loss {self._epoch.loss:.4f}{valid}, {self._epoch.seconds:.1f} s{left}"
        )
        self._epoch = None

    def _time_left(self, trainer: Trainer, number: int, epochs: int, misses: int) -> str:
        """The time until the last epoch, and until early stopping if no further evaluation is better."""
        if number == epochs:
            return ""
        step = trainer.eval_step
        evaluation = sum(self._evaluated) / len(self._evaluated) / step if self._evaluated else 0.0
        an_epoch = sum(self._trained) / len(self._trained) + evaluation
        until_stop = (trainer.stopping_step + 1 - misses) * step - number % step
        rest = f"; {in_words(an_epoch * (epochs - number))} left"
        if until_stop < epochs - number:
            rest += f", {in_words(an_epoch * until_stop)} if none is better"
        return rest

    def _lap(self) -> float:
        """Seconds since the last call."""
        now = time.perf_counter()
        seconds, self._mark = now - self._mark, now
        return seconds

    def _end_stage(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
