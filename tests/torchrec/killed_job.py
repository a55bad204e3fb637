"""One process of the training job, for test_checkpoint.py: it may be killed at a step."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from mmbee_plugin.torchrec.settings import parse_settings
from mmbee_plugin.torchrec.training.loop import Trainer, train


def main(content: dict[str, Any], result: Path, resume: bool, fatal: tuple[int, ...]) -> None:
    """Trains; ``fatal`` is a step, then the ranks that end there by SIGKILL."""
    stock = Trainer._log

    def log(self: Trainer, *arguments: Any) -> None:
        stock(self, *arguments)
        if fatal and self.step == fatal[0] and self.process.rank in fatal[1:]:
            os.kill(os.getpid(), signal.SIGKILL)

    Trainer._log = log  # type: ignore[method-assign]
    train(parse_settings(content, "test"), resume, result)
