"""What the processes of test_two_processes.py and test_graphcl.py do."""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torchrec.distributed.planner import EmbeddingShardingPlanner
from torchrec.distributed.planner.types import PlannerError

from mmbee_plugin.torchrec.checkpoints.checkpoint import started_state
from mmbee_plugin.torchrec.graphcl import main as graphcl_command
from mmbee_plugin.torchrec.processes.entry import run
from mmbee_plugin.torchrec.processes.launch import process_group
from mmbee_plugin.torchrec.settings import parse_settings
from mmbee_plugin.torchrec.training.loop import Trainer, train
from mmbee_plugin.torchrec.training.stepper import PipelinedStepper


def main(kind: str, content: Any, output: Path) -> None:
    """One process of a kind of job, as a command would run it; its messages go to ``output``."""
    sys.stderr = (output / f"stderr-{os.environ['RANK']}").open("w")
    run(lambda: KINDS[kind](content, output))


def losses(content: Any, output: Path) -> None:
    """Trains several models in turn; ``content`` has their settings by name."""
    found = {}
    with process_group(60) as process:
        for name, settings in content.items():
            trainer = Trainer(parse_settings(settings, name), process)
            if trainer.settings.checkpoint.warm_from is not None:
                trainer.warm_start(Path(trainer.settings.checkpoint.warm_from))
            if name == "pipelined":
                trainer.stepper = PipelinedStepper(trainer.model, trainer.optimizer, process.device)
            outcome = trainer.run()
            found[name] = {"losses": list(outcome["losses"].values()), "validation": outcome["validation"]}
        if process.rank == 0:
            (output / f"losses-{process.world_size}.json").write_text(json.dumps(found))


def training(content: Any, output: Path) -> None:
    """The whole job."""
    train(parse_settings(content, "test"))


def start_of(content: Any, output: Path) -> None:
    """Saves what a job starts from, before its first step."""
    settings = parse_settings(content, "test")
    with process_group(60) as process:
        trainer = Trainer(settings, process)
        if settings.checkpoint.warm_from is not None:
            trainer.warm_start(Path(settings.checkpoint.warm_from))
        else:
            started_state(trainer.optimizer)  # by a step of its own, which moves weights
        trainer._save()


def graphcl(arguments: list[str], output: Path) -> None:
    """The command."""
    sys.argv = ["graphcl", *arguments]
    graphcl_command()


def crash(content: Any, output: Path) -> None:
    """The second process divides by zero while the first waits for it."""
    with process_group(300) as process:
        if process.rank == 1:
            1 / 0  # noqa: B018
        dist.all_reduce(torch.zeros(1))


def unplanned(content: Any, output: Path) -> None:
    """The planner, which runs in the first process alone, finds no place."""

    def refuse(*arguments: object) -> None:
        raise PlannerError("no room")

    with process_group(300) as process:
        if process.rank == 0:
            EmbeddingShardingPlanner.plan = refuse  # type: ignore[assignment]
        Trainer(parse_settings(content, "test"), process)


def full_disk(content: Any, output: Path) -> None:
    """The process of rank ``content["rank"]`` can write files of 4 KiB at most."""
    if int(os.environ["RANK"]) == content["rank"]:
        for stream in (1, 2):  # the limit holds for what libraries log, too, where that goes to a file
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
    train(parse_settings(content["settings"], "test"))


KINDS = {
    "full disk": full_disk,
    "losses": losses,
    "training": training,
    "start of": start_of,
    "graphcl": graphcl,
    "crash": crash,
    "unplanned": unplanned,
}
