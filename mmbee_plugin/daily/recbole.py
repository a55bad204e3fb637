"""The RecBole adapter of the loop: trains MMBee on a day's samples, from nothing or from the day before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from recbole.config import Config
from recbole.data import data_preparation
from recbole.utils import get_trainer, init_seed

from mmbee_plugin.daily.adapter import NODES, Start, differing, folds_of, refreshed, refuse_decided
from mmbee_plugin.daily.settings import DailySettings
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.graph.snapshot import Snapshot
from mmbee_plugin.modules.exchange import write_exchange
from mmbee_plugin.offline.node_vectors import write_vectors
from mmbee_plugin.recbole.bundle import RecBoleSource, open_source
from mmbee_plugin.recbole.config.known import check_given
from mmbee_plugin.recbole.config.sources import plain_settings
from mmbee_plugin.recbole.exchange import continue_exchange, exchange_of, optimizer_of
from mmbee_plugin.recbole.models.mmbee import MMBee
from mmbee_plugin.recbole.run import build_config, seeded_dataset
from mmbee_plugin.recbole.training.checkpoint import MAY_DIFFER
from mmbee_plugin.recbole.training.logs import run_log
from mmbee_plugin.recbole.training.progress import Progress
from mmbee_plugin.recbole.training.trainer import resumable

MODEL, START = "model.pth", "start.pt"
"""Files of a training: its checkpoint, and the exchange file with optimizer state that the next day starts from."""
OF_A_DAY = MAY_DIFFER | {"dataset", "dataset_hash", "seed"}
"""settings that may differ between a model and the one it goes on from"""


BY_THE_LOOP = {
    "epochs": "daily.epochs and daily.cold_epochs",
    "seed": "daily.seed",
    "train_days": "the rows since yesterday's cut",
    "checkpoint_dir": "a folder of the day",
    "graph.fold_by": "day",
    "graph.folds": "one a day that is trained on, or 0",
    "graph.refresh_from": "daily.refresh",
    "graph.refresh_limit": "daily.refresh_limit",
    "graphcl.start": "yesterday's vectors",
} | dict.fromkeys(
    ("eval_step", "stopping_step", "valid_metric", "metrics"), "the gate, no validation within training"
)
"""settings of a model that the loop decides -> what decides them"""


class RecBoleAdapter:
    """Implements :class:`~mmbee_plugin.daily.adapter.Adapter`.

    Args:
        settings: of the loop.
        given: settings of the model, above those of the dataset's file.

    Raises:
        InputError: an unknown setting, or one that the loop decides.
    """

    name = "recbole"

    def __init__(self, settings: DailySettings, given: Mapping[str, Any]) -> None:
        check_given(given, ["MMBee"])
        refuse_decided(given, BY_THE_LOOP)
        self.chosen, self.given = settings, dict(given)

    def settings(self, samples: DatasetFolder) -> dict[str, Any]:
        config = build_config("MMBee", samples, self.given)
        return {k: v for k, v in plain_settings(config.final_config_dict).items() if k not in OF_A_DAY}

    def unfit(self, folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
        missing = None if (folder / START).exists() else f"has left no {folder / START}"
        return differing(before, now) or missing

    def train(
        self, samples: DatasetFolder, start: Start | None, folder: Path, show: Callable[[str], None]
    ) -> RecBoleSource:
        config = self._config(samples, start, folder)
        progress = _Lines(show)
        with run_log(config, quiet=True, folder=folder / "log"), progress.listening():
            loader = data_preparation(config, seeded_dataset(config))[0]
            init_seed(config["seed"], config["reproducibility"])
            model = MMBee(config, loader.dataset).to(config["device"])
            trainer = resumable(get_trainer(config["MODEL_TYPE"], "MMBee"))(config, model)
            trainer.progress = progress
            trainer.saved_model_file = str(folder / MODEL)
            if trainer.last_file.exists():
                trainer.resume_checkpoint(trainer.last_file)
            elif start is not None:
                continue_exchange(model, loader.dataset, trainer, start.folder / START)
            trainer.fit(loader, None, verbose=False, show_progress=False)
        model.cpu()
        state = optimizer_of(model, loader.dataset, trainer)
        write_exchange(folder / START, replace(exchange_of(model, loader.dataset), optimizer=state))
        if model.snapshot_key is not None and config["node_tables"] == "graphcl":
            nodes = Snapshot.open(samples.path / "graph" / model.snapshot_key).nodes()
            write_vectors(folder / NODES, samples.user_tokens, samples.item_tokens, nodes)
        return RecBoleSource(model, loader.dataset)

    def source(self, samples: DatasetFolder, folder: Path) -> RecBoleSource:
        return open_source(folder / MODEL)

    def _config(self, samples: DatasetFolder, start: Start | None, folder: Path) -> Config:
        """The settings of a day's training: those of the model, and which rows it is trained on from what start."""
        chosen, own = self.chosen, dict(self.given)
        plain = build_config("MMBee", samples, self.given)
        if plain["graph"] is not None and plain["graph"].get("folds", 1):
            folds = folds_of(samples, start)
            own["graph"] = {**(own.get("graph") or {}), "folds": folds, "fold_by": "day"}
        if plain["graph"] is not None and (earlier := refreshed(start, chosen)):
            own["graph"] = {**(own.get("graph") or {}), **earlier}
        own["epochs"] = chosen.cold_epochs if start is None else chosen.epochs
        if start is not None:
            own["train_days"] = start.days
            if (start.folder / NODES).exists():
                passes = {"epochs": chosen.graphcl_epochs, "learning_rate": chosen.graphcl_learning_rate}
                vectors = {"start": str((start.folder / NODES).absolute()), **passes}
                own["graphcl"] = {**(own.get("graphcl") or {}), **vectors}
        own |= {"seed": chosen.seed, "checkpoint_dir": str(folder), "show_progress": False}
        return build_config("MMBee", samples, own)


class _Lines(Progress):
    """Progress of a training as lines for ``show``."""

    def __init__(self, show: Callable[[str], None]) -> None:
        super().__init__()
        self.show = show

    def say(self, line: str) -> None:
        self.show(line)
