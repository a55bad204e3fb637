"""Cells of the labelled tables: one model trained with one seed, its scores on validation and test, its cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.cells import Cell, Job, seed_jobs
from mmbee_plugin.experiments.cost import CPUClock
from mmbee_plugin.experiments.scoring import first_time, predictions
from mmbee_plugin.experiments.training import (
    EVALUATED,
    data_of_the_key,
    prepared,
    settings_of_the_key,
    state_of_the_code,
)
from mmbee_plugin.recbole.run import build_config

KIND = "labelled 2"
"""version of the cells' content, part of their key"""


def labelled_jobs(
    name: str, model: str, folder: DatasetFolder, given: Mapping[str, Any], seeds: Sequence[int]
) -> list[Job]:
    """Jobs of one row's cells, one a seed.

    Raises:
        InputError: settings invalid for the model or the data, or an evaluation that is not on labelled samples.
    """
    config = build_config(model, folder, dict(given))
    if set(config["eval_args"]["mode"].values()) != {"labeled"}:
        raise InputError(
            f"{folder.name}: evaluates by ranking; AUC needs labelled samples, eval_args.mode labeled (see "
            "recbole_configs/labelled.yaml), or --dataset=livesim, which has them"
        )
    key = {
        **{"kind": KIND, "data": data_of_the_key(folder), "settings": settings_of_the_key(config)},
        **state_of_the_code(model),
    }
    return seed_jobs(name, key, labelled_cell, (model, folder.path, dict(given)), seeds)


def labelled_cell(model: str, path: Path, given: Mapping[str, Any], seed: int) -> Cell:
    """Trains a model and scores the validation and test rows with the weights of its best epoch.

    Returns:
        arrays: per split ``<split> users`` (n,) int32 rows of the folder, ``labels`` (n,) bool, ``scores`` (n,) float32
        and, with time, ``times`` (n,) float64 in the file's unit.
        facts: those of :meth:`Training.facts`, infer_samples_per_s, score_cpu_us and flops a sample.
    """
    with prepared(model, path, given, seed) as training:
        training.fit()
        since = first_time(training.folder)
        arrays: dict[str, NDArray] = {}
        inference, clock = 0.0, CPUClock()
        for split, loader in zip(EVALUATED, training.evaluated, strict=True):
            with clock.running():
                columns, seconds = predictions(training.network, loader, since)
            arrays |= {f"{split} {name}": values for name, values in columns.items()}
            inference += seconds
        batch = next(iter(training.evaluated[1]))[0].to(training.config["device"])
        scored = sum(len(arrays[f"{split} scores"]) for split in EVALUATED)
        facts = {
            **training.facts(),
            "infer_samples_per_s": round(scored / inference, 1),
            "score_cpu_us": clock.per(scored, 1e-6),
            "flops": flops(lambda: training.network.predict(batch)) / len(batch),
        }
    return Cell(arrays, facts)


def flops(forward: Callable[[], object]) -> int:
    """Floating point operations of one call, two for a multiplication and its addition.

    Counts matrix products only, by ``torch.utils.flop_counter``. Attention runs unfused, since the counter does not
    support the CPU's fused kernel.
    """
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        forward()
    return counter.get_total_flops()
