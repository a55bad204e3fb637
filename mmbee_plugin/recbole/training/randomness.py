"""Saves and restores the random states of a run."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader


def _generators(loaders: list[AbstractDataLoader | None]) -> Iterator[Any]:
    """The torch and numpy generators of loaders and their samplers, in a fixed order."""
    for loader in loaders:
        # a knowledge-graph loader is two loaders in one
        for part in (
            loader,
            getattr(loader, "general_dataloader", None),
            getattr(loader, "kg_dataloader", None),
        ):
            for owner in (part, getattr(part, "_sampler", None)):
                own = vars(owner).values() if owner is not None else ()
                yield from (item for item in own if isinstance(item, torch.Generator | np.random.Generator))


def random_states(loaders: list[AbstractDataLoader | None]) -> dict[str, Any]:
    """The states of all random generators of a run, as plain values."""
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "loaders": [
            item.get_state() if isinstance(item, torch.Generator) else item.bit_generator.state
            for item in _generators(loaders)
        ],
    }


def restore_random_states(states: dict[str, Any], loaders: list[AbstractDataLoader | None]) -> None:
    """Restores `random_states`; those of CUDA are skipped on a machine with another number of GPUs."""
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["torch"].cpu())
    if states["cuda"] and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])
    for item, state in zip(_generators(loaders), states["loaders"], strict=True):
        if isinstance(item, torch.Generator):
            item.set_state(state.cpu())
        else:
            item.bit_generator.state = state
