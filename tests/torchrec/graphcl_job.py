"""One process of the GraphCL command, for test_graphcl.py."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

from mmbee_plugin.torchrec.graphcl import main as command
from mmbee_plugin.torchrec.launch import run


def main(rank: int, count: int, port: int, arguments: list[str], output: Path) -> None:
    """Runs it as torchrun would, its messages in ``output``."""
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
    os.environ |= {"LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    sys.argv = ["graphcl", *arguments]
    sys.stderr = (output / f"stderr-{rank}").open("w")
    run(command)
