"""The TorchRec adapter of the loop: a day's samples as shards, and a job of several processes over sharded tables."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mmbee_plugin.command.shipped import shipped
from mmbee_plugin.command.yaml_settings import read_mapping
from mmbee_plugin.daily.adapter import NODES, Start, differing, folds_of, refreshed, refuse_decided
from mmbee_plugin.daily.job_settings import DaySettings
from mmbee_plugin.daily.settings import DailySettings
from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.files import locked, write_json
from mmbee_plugin.offline.node_vectors import GraphCLSettings, write_vectors
from mmbee_plugin.torchrec.checkpoints.bundle import TorchRecSource, open_source
from mmbee_plugin.torchrec.checkpoints.checkpoint import latest, read_state
from mmbee_plugin.torchrec.checkpoints.resume import flat
from mmbee_plugin.torchrec.checkpoints.warm import must_be_alike
from mmbee_plugin.torchrec.settings import Settings
from mmbee_plugin.torchrec.shards.layout import DESCRIPTION
from mmbee_plugin.torchrec.shards.settings import LIVE_GRAPH
from mmbee_plugin.torchrec.shards.store import ShardStore
from mmbee_plugin.torchrec.shards.write import write_shards

SHARDS, CHECKPOINTS, JOB, LOG, LOCK = "shards", "checkpoints", "job.yaml", "job.log", ".job.lock"
"""Of a training's folder: the shards, the job's checkpoints, its settings, what it said, and its launcher's lock."""
LIVE = "torchrec_configs/livesim.yaml"
"""settings of logs without a file of their own"""

BY_THE_LOOP = {
    "data.shards": "the day",
    "train.epochs": "daily.epochs and daily.cold_epochs",
    "train.seed": "daily.seed",
    "checkpoint.folder": "the day",
    "checkpoint.warm_from": "the day that is gone on from",
    "checkpoint.keep": "what the next day needs",
    "graph.fold_by": "day",
    "graph.folds": "one a day that is trained on, or 0",
    "graph.refresh_from": "daily.refresh",
    "graph.refresh_limit": "daily.refresh_limit",
    "graphcl.start": "yesterday's vectors",
} | dict.fromkeys(("train.eval_every", "train.patience"), "the gate, no validation within training")
"""settings of a job that the loop decides -> what decides them"""


class TorchRecAdapter:
    """Implements :class:`~mmbee_plugin.daily.adapter.Adapter`.

    Args:
        settings: of the loop.
        given: settings of the job by section, above those of the dataset's file; ``graph``, ``category_field`` and
            ``processes`` as of `DaySettings`.

    Raises:
        InputError: an unknown setting, or one that the loop decides.
    """

    name = "torchrec"

    def __init__(self, settings: DailySettings, given: Mapping[str, Any]) -> None:
        refuse_decided(given, BY_THE_LOOP)
        self.chosen, self.given = settings, dict(given)
        self._settings(Path(LIVE).stem)  # raises before anything is done

    def settings(self, samples: DatasetFolder) -> dict[str, Any]:
        found = self._settings(samples.name).model_dump(mode="json", exclude={"checkpoint"})
        return {name: value for name, value in flat(found).items() if name != "data.shards"}

    def unfit(self, folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
        sides = (
            {name: value for name, value in side.items() if must_be_alike(name) or _of_shards(name)}
            for side in (before, now)
        )
        if why := differing(*sides):
            return why
        checkpoint = latest(folder / CHECKPOINTS)
        if checkpoint is None:
            return f"has left no checkpoint in {folder / CHECKPOINTS}"
        shards = Path(read_state(checkpoint).settings["data"]["shards"])
        return None if (shards / DESCRIPTION).exists() else f"was trained on {shards}, which is gone"

    def train(
        self, samples: DatasetFolder, start: Start | None, folder: Path, show: Callable[[str], None]
    ) -> TorchRecSource:
        day = self._settings(samples.name, folder, start)
        shards = folder / SHARDS
        if not (shards / DESCRIPTION).exists():
            show("graph and shards")
            self._write_shards(samples, start, day, shards)
        nodes = ShardStore(shards).nodes()
        if nodes is not None and not (folder / NODES).exists():
            write_vectors(folder / NODES, samples.user_tokens, samples.item_tokens, nodes)
        write_json(folder / JOB, day.part(Settings).model_dump(mode="json"))  # JSON is YAML
        # Waits for the job of a loop that was killed, which goes on to its end.
        with locked(folder / LOCK) as lock:
            _run(folder, day.processes, lock, show)
        return self.source(samples, folder)

    def source(self, samples: DatasetFolder, folder: Path) -> TorchRecSource:
        return open_source(folder / CHECKPOINTS, folder / SHARDS, samples.path)

    def _settings(self, name: str, folder: Path = Path(), start: Start | None = None) -> DaySettings:
        """Settings for samples of a name, and of the training of a day in a folder."""
        chosen = self.chosen
        own, live = (shipped(Path(path)) for path in (f"torchrec_configs/{name}.yaml", LIVE))
        content = _over({"graph": LIVE_GRAPH}, read_mapping(own if own.exists() else live))
        warm = None if start is None else str((start.folder / CHECKPOINTS).absolute())
        epochs = chosen.cold_epochs if start is None else chosen.epochs
        decided: dict[str, Any] = {
            "data": {"shards": str((folder / SHARDS).absolute())},
            "train": {"epochs": epochs, "seed": chosen.seed, "eval_every": 0, "patience": 0},
            "checkpoint": {"folder": str((folder / CHECKPOINTS).absolute()), "warm_from": warm, "keep": 1},
        }
        if start is not None and (start.folder / NODES).exists():
            decided["graphcl"] = {
                "start": str((start.folder / NODES).absolute()),
                "epochs": chosen.graphcl_epochs,
                "learning_rate": chosen.graphcl_learning_rate,
            }
        return DaySettings.of(_over(_over(content, self.given), decided), "settings of the job")

    def _write_shards(
        self, samples: DatasetFolder, start: Start | None, day: DaySettings, shards: Path
    ) -> None:
        graph = day.graph
        if graph is not None and graph.folds:
            graph = graph.replace(folds=folds_of(samples, start), fold_by="day")
        if graph is not None:
            graph = graph.replace(**refreshed(start, self.chosen))
        graphcl = day.graphcl.part(GraphCLSettings, width=day.model.width)
        write_shards(
            samples,
            shards,
            graph,
            graphcl if day.model.node_tables == "graphcl" else None,
            modalities=day.model.modalities,
            train_days=None if start is None else start.days,
            category_field=day.category_field,
            seed=self.chosen.seed,
        )


def _of_shards(name: str) -> bool:
    """Whether a setting decides what the model reads, besides those of the job itself."""
    return name.startswith("graph.") or name in ("graph", "category_field")


def _over(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the entries of ``over``; sections within sections likewise."""
    found = dict(base)
    for name, value in over.items():
        both = isinstance(value, Mapping) and isinstance(found.get(name), Mapping)
        found[name] = _over(found[name], value) if both else value
    return found


def _run(folder: Path, processes: int, lock: int, show: Callable[[str], None]) -> None:
    """Runs the job of a folder to its end, from its newest checkpoint.

    What it says goes to a file, so that a job whose loop is killed can go on.

    Args:
        lock: descriptor of the launcher's lock, which it inherits.

    Raises:
        InputError: the job's own error line, or that it was ended.
    """
    job = ["-m", "mmbee_plugin.torchrec.train", "--config", str(folder / JOB), "--resume"]
    launch = ["-m", "mmbee_plugin.cli", "torchrun", "--standalone", f"--nproc_per_node={processes}"]

    def tell() -> None:
        for line in written:
            if not line.startswith("["):  # a library's warning
                show(line.rstrip())

    with (folder / LOG).open("w") as out, (folder / LOG).open() as written:
        process = subprocess.Popen(
            [sys.executable, *launch, *job], stdout=out, stderr=subprocess.STDOUT, pass_fds=(lock,)
        )
        try:
            while process.poll() is None:
                tell()
                try:
                    process.wait(0.3)
                except subprocess.TimeoutExpired:
                    continue
        except BaseException:
            process.terminate()
            process.wait()
            raise
        tell()
    if process.returncode:
        said = (folder / LOG).read_text().splitlines()
        errors = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
        ended = f"the job ended with status {process.returncode}; {folder / LOG} has what it said"
        raise InputError(errors[0] if errors else ended)
