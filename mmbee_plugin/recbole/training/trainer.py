"""Resumable RecBole trainers: a run killed at any moment and resumed ends with the same metrics.

A run keeps two files in ``checkpoint_dir``, under a unique name of model, dataset, time and eight random digits.
``<name>.pth`` has the best epoch, as in RecBole. ``<name>-last.pth`` has the latest state between two epochs: weights,
optimizers, random states, early stopping and the best result so far; it is replaced atomically. Resuming repeats the
interrupted epoch; on a CPU the result is the same to the last digit. A training run is locked against other processes.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from recbole.config import Config
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import AbstractRecommender
from recbole.trainer import Trainer
from torch import Tensor

from mmbee_plugin.errors import InputError
from mmbee_plugin.files import check_folder, claim, stamp
from mmbee_plugin.modules.rowwise import RowwiseAdagrad
from mmbee_plugin.recbole.training import checkpoint
from mmbee_plugin.recbole.training.din import give_full_ranking
from mmbee_plugin.recbole.training.evaluation import SampleCollector
from mmbee_plugin.recbole.training.progress import Progress
from mmbee_plugin.recbole.training.randomness import random_states, restore_random_states

TABLE_LEARNING_RATE = 0.05
"""Default of ``table_learning_rate``."""


class Resumable(Trainer):
    """Mix-in for RecBole's trainer classes, applied by `resumable`; see the module's docstring."""

    progress: Progress | None = None
    """prints every epoch"""

    def __init__(self, config: Config, model: AbstractRecommender) -> None:
        checkpoint.plain_config(config)  # fails before training if a setting cannot be saved
        check_folder(Path(config["checkpoint_dir"]), "checkpoints")
        super().__init__(config, model)
        self._unclaimed = self.saved_model_file = self._name()
        give_full_ranking(model)
        self.eval_collector = SampleCollector(config)
        self._loaders: list[AbstractDataLoader | None] = []
        self._alone = ExitStack()
        self.epoch_seconds: list[float] = []
        """training time of each epoch, without evaluation"""
        self._keeps_last = False
        self._resumed: dict[str, Any] | None = None
        self._latest_valid_result: dict[str, float] | None = None

    def _build_optimizer(self, **kwargs: Any) -> torch.optim.Optimizer:
        """RecBole's optimizer; Adam runs fused, in one pass over memory instead of many."""
        optimizer = super()._build_optimizer(**kwargs)
        if isinstance(optimizer, torch.optim.Adam):
            for group in optimizer.param_groups:
                group["fused"] = True
        return optimizer

    @property
    def last_file(self) -> Path:
        """The file with the latest state between two epochs."""
        return checkpoint.last_file(self.saved_model_file)

    def _name(self) -> str:
        """A name for the best epoch's file."""
        name = f"{self.config['model']}-{self.config['dataset']}-{stamp()}.pth"
        return str(Path(self.config["checkpoint_dir"]) / name)

    @property
    def _writes(self) -> bool:
        """Whether this process, of a distributed run, writes the files."""
        return self.config["single_spec"] or self.config["local_rank"] == 0

    def _claim_files(self) -> None:
        """Claims a unique name for the files, unless it was set from outside, and locks them."""
        if self.saved_model_file == self._unclaimed:
            while self._writes and not claim(self.last_file):
                self.saved_model_file = self._name()
            if not self.config["single_spec"]:  # the other processes load the best epoch from it
                names = [self.saved_model_file]
                torch.distributed.broadcast_object_list(names)
                self.saved_model_file = names[0]
            self._unclaimed = ""
        if self._resumed is None:
            self._hold()

    def _hold(self) -> None:
        if self._writes:
            self._alone.enter_context(checkpoint.alone(self.last_file))

    def fit(
        self,
        train_data: AbstractDataLoader,
        valid_data: AbstractDataLoader | None = None,
        verbose: bool = True,
        saved: bool = True,
        show_progress: bool = False,
        callback_fn: Callable[[int, float], None] | None = None,
    ) -> tuple[float, dict[str, float] | None]:
        """``Trainer.fit``; continues a run restored by `resume_checkpoint`, without training if that had ended.

        Returns:
            the best validation score and all metrics of its epoch.

        Raises:
            InputError: another run writes to the same files, or they cannot be written.
        """
        self._loaders = [train_data, valid_data]
        self._keeps_last = saved
        with self._alone:
            if self._resumed is not None and self._has_ended():
                self.eval_collector.data_collect(train_data)
                return self.best_valid_score, self.best_valid_result
            if saved:
                self._claim_files()
            if self.progress is not None:
                among = len(train_data.dataset.inter_feat)
                rows = len(getattr(train_data, "rows", range(among)))  # RecBole's own loaders take all
                self.progress.begin_training(self.start_epoch, self.epochs, len(train_data), rows, among)
            result = super().fit(train_data, valid_data, verbose, saved, show_progress, callback_fn)
            if self.progress is not None:
                self.progress.flush_epoch(self)
            if saved:
                ended = max([self.start_epoch, *(epoch + 1 for epoch in self.train_loss_dict)])
                self._save_state(ended, self.last_file)
        return result

    def scores(self, interaction: Interaction) -> Tensor:
        """Scores (B, n_items) of users (B,) and every item, minus infinity for padding; only after an evaluation.

        Models without ``full_sort_predict`` score pair by pair.
        """
        return self._full_sort_batch_eval((interaction, None, None, None))[1]

    def resume_checkpoint(self, resume_file: str | Path) -> None:
        """Restores the run saved in `resume_file`, either of its two files; to be called before `fit`.

        Raises:
            InputError: the file is damaged or no checkpoint of this plugin, the run had other settings (the first one
                that differs is named), another process trains it, or the weights of the best epoch are missing.
        """
        state = checkpoint.load(resume_file, self.device)
        best = checkpoint.best_file(resume_file)
        self.saved_model_file = str(best)
        self._hold()
        checkpoint.check_same_settings(state["config"], self.config, resume_file)
        if state["best_valid_result"] is not None and not best.exists():
            raise InputError(f"{best}: missing; it has the best epoch of the run in {resume_file}")
        self.start_epoch, self.cur_step = state["epoch"] + 1, state["cur_step"]
        self.best_valid_score, self.best_valid_result = state["best_valid_score"], state["best_valid_result"]
        self.train_loss_dict = dict(state["train_loss_dict"])
        self.model.load_state_dict(state["state_dict"])
        self.model.load_other_parameter(state["other_parameter"])
        self.model.__dict__.update(state["counters"])
        for name, optimizer_state in state["optimizers"].items():
            getattr(self, name).load_state_dict(optimizer_state)
        self._resumed = state
        self.logger.info(f"Resuming {resume_file} at epoch {self.start_epoch}")

    def _has_ended(self) -> bool:
        return self.start_epoch >= self.epochs or self.cur_step > self.stopping_step

    def _train_epoch(
        self,
        train_data: AbstractDataLoader,
        epoch_idx: int,
        loss_func: Callable[..., Tensor] | None = None,
        show_progress: bool = False,
    ) -> float | tuple[float, ...]:
        """Saves the state before each epoch; restores the random states of a resumed run before its first."""
        if self._resumed is not None:
            restore_random_states(self._resumed["random"], self._loaders)
            self._resumed = None
        if self._keeps_last:
            self._save_state(epoch_idx, self.last_file)
        begun = time.perf_counter()
        loss = super()._train_epoch(train_data, epoch_idx, loss_func, show_progress)
        self.epoch_seconds.append(time.perf_counter() - begun)
        if self.progress is not None:
            total = sum(loss) if isinstance(loss, tuple) else loss
            self.progress.trained(self, epoch_idx, total / max(1, len(train_data)))
        return loss

    def _valid_epoch(
        self, valid_data: AbstractDataLoader, show_progress: bool = False
    ) -> tuple[float, dict[str, float]]:
        score, result = super()._valid_epoch(valid_data, show_progress)
        self._latest_valid_result = result
        if self.progress is not None:
            self.progress.validated(self, score)
        return score, result

    def _save_checkpoint(self, epoch: int, verbose: bool = True, **kwargs: Any) -> None:
        """Saves the best epoch, with its result, which ``fit`` notes only after this call."""
        self.best_valid_result = self._latest_valid_result or self.best_valid_result
        path = kwargs.pop("saved_model_file", self.saved_model_file)
        self._save_state(epoch + 1, path)
        if verbose:
            self.logger.info(f"Saving current: {path}")

    def _save_state(self, next_epoch: int, path: str | Path) -> None:
        if not self._writes:
            return
        optimizers = {
            k: v.state_dict() for k, v in vars(self).items() if isinstance(v, torch.optim.Optimizer)
        }
        state = {
            "config": self.config,
            "epoch": next_epoch - 1,
            "cur_step": self.cur_step,
            "best_valid_score": self.best_valid_score,
            "best_valid_result": self.best_valid_result,
            "train_loss_dict": self.train_loss_dict,
            "state_dict": self.model.state_dict(),
            "other_parameter": self.model.other_parameter(),
            # Numbers on the model, such as MultiVAE's step count for its annealing.
            "counters": {k: v for k, v in vars(self.model).items() if type(v) in (int, float)},
            "optimizer": self.optimizer.state_dict(),  # the name under which stock functions expect it
            "optimizers": optimizers,
            "random": random_states(self._loaders),
        }
        checkpoint.save(state, path)


def resumable(trainer_class: type) -> type:
    """`trainer_class` with `Resumable` mixed in; unchanged if it is no gradient trainer of RecBole's."""
    if issubclass(trainer_class, Resumable) or not issubclass(trainer_class, Trainer):
        return trainer_class
    name, bases = f"Resumable{trainer_class.__name__}", (Resumable, trainer_class)
    return type(
        name, bases if trainer_class is not Trainer else bases[:1], {"__doc__": trainer_class.__doc__}
    )


class MMBeeTrainer(Resumable):
    """RecBole's `Trainer`, resumable, with learning rates that fall and an optional optimizer for the embedding tables.

    Epoch e, from 0, has the learning rates times ``learning_rate_decay`` to the power of e.

    Under ``table_optimizer: rowwise_adagrad`` the model's ``tables()`` are updated by
    :class:`~mmbee_plugin.modules.rowwise.RowwiseAdagrad`, at ``table_learning_rate`` and without weight decay, all
    other parameters by ``learner``.
    """

    def _build_optimizer(self, **kwargs: Any) -> torch.optim.Optimizer:
        self.table_optimizer: RowwiseAdagrad | None = None
        if self.config["table_optimizer"] is None or "params" in kwargs:
            return super()._build_optimizer(**kwargs)
        if self.config["enable_scaler"]:
            raise InputError(
                "table_optimizer and enable_scaler: the scaler knows of one optimizer; choose one"
            )
        tables = [table.weight for table in self.model.tables().values()]
        own = {id(weight) for weight in tables}
        rest = [parameter for parameter in self.model.parameters() if id(parameter) not in own]
        rate = self.config["table_learning_rate"]
        self.table_optimizer = RowwiseAdagrad(tables, TABLE_LEARNING_RATE if rate is None else rate)
        optimizer = super()._build_optimizer(params=rest, **kwargs)
        optimizer.register_step_post_hook(self._step_tables)
        return optimizer

    def _train_epoch(self, train_data: AbstractDataLoader, epoch_idx: int, *args: Any, **kwargs: Any) -> Any:
        falling = (self.config["learning_rate_decay"] or 1.0) ** epoch_idx  # not every model has it
        for optimizer in filter(None, (self.optimizer, self.table_optimizer)):
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * falling
        return super()._train_epoch(train_data, epoch_idx, *args, **kwargs)

    def _step_tables(self, *_: Any) -> None:
        assert self.table_optimizer is not None
        self.table_optimizer.step()
        self.table_optimizer.zero_grad()
