"""What the processes of test_two_processes.py do: ``main(rank, count, port, kind, content, output)``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torchrec.distributed.planner import EmbeddingShardingPlanner
from torchrec.distributed.planner.types import PlannerError

from mmbee_plugin.torchrec.launch import process_group, run
from mmbee_plugin.torchrec.loop import Trainer, train
from mmbee_plugin.torchrec.settings import parse_settings
from mmbee_plugin.torchrec.stepper import PipelinedStepper


def main(rank: int, count: int, port: int, kind: str, content: Any, output: Path) -> None:
    """Does as torchrun would for one process of a job, its messages in ``output``."""
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": str(port),
    }
    torch.set_num_threads(1)
    sys.stderr = (output / f"stderr-{rank}").open("w")
    run(lambda: KINDS[kind](content, output))


def losses(content: Any, output: Path) -> None:
    """Trains several models in turn; ``content`` has their settings by name."""
    found = {}
    with process_group(60) as process:
        for name, settings in content.items():
            trainer = Trainer(parse_settings(settings, name), process)
            if name == "pipelined":
                trainer.stepper = PipelinedStepper(trainer.model, trainer.optimizer, process.device)
            outcome = trainer.run()
            found[name] = {"losses": list(outcome["losses"].values()), "validation": outcome["validation"]}
        if process.rank == 0:
            (output / f"losses-{process.world_size}.json").write_text(json.dumps(found))


def training(content: Any, output: Path) -> None:
    """The whole job."""
    train(parse_settings(content, "test"))


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


KINDS = {"losses": losses, "training": training, "crash": crash, "unplanned": unplanned}
