"""Tunes each row's settings on validation, for the same number of CPU minutes.

Trials are kept in one JSON file a model, rewritten after every trial, best first. The search is RecBole's exhaustive
`HyperTuning`, which draws settings in a seeded random order without repetition. A resumed search proposes the same
settings again and reads those tried before from the file. Since one seed may favour the wrong settings, the best trials
can be trained in full with several seeds as finalists, outside the minutes. No choice reads the test split.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.training import prepared, ran_away, state_of_the_code
from mmbee_plugin.recbole.config.sources import merged, nested, of_model, plain_settings
from mmbee_plugin.recbole.config.tuned import Trial, Tuning, base_of, read_tuning
from mmbee_plugin.recbole.run import build_config
from mmbee_plugin.recbole.tune import search_of, searched_settings
from mmbee_plugin.tables.ranking.run import with_protocol

SEED = 1
"""seed of a new tuning's trials and of the order of settings; finalists and a table's cells use others, so that none of
them is the training that chose"""
SHARE = 5
"""a trial takes at most 1/5 of the minutes, so that slow models try several settings too"""
TOO_SHORT = 20
"""no trial is begun with less than 1/20 of the minutes left"""


class BudgetSpentError(Exception):
    """The row's minutes are spent."""


def begin_tuning(
    file: Path, model: str, folder: DatasetFolder, given: Mapping[str, Any], space: Path
) -> Tuning:
    """The tuning in ``file``, to resume, or a new one.

    Raises:
        InputError: the file is of other data or settings, the space cannot be read, or a given setting is in the space.
    """
    given = of_model(given, model)
    for name in searched_settings(space, model):
        if name.partition(".")[0] in given:
            raise InputError(f"setting {name!r}: {space} searches it; it cannot be given for the tuning")
    config = build_config(model, folder, with_protocol(model, folder, given))
    metric, larger = config["valid_metric"].lower(), bool(config["valid_metric_bigger"])
    data = {"name": folder.name, "kind": folder.kind, "hash": folder.hash}
    new = Tuning(file, model, data, metric, larger, plain_settings(given), base_of(model, folder), seed=SEED)
    old = read_tuning(file)
    if old is None:
        return new
    for name in ("data", "metric", "given"):
        before, now = getattr(old, name), getattr(new, name)
        if before != now:
            raise InputError(
                f"{file}: was tuned with {name} {before}, now it is {now}; keep it elsewhere, or name another folder "
                "with --tuned"
            )
    other = [name for name in old.base | new.base if old.base.get(name) != new.base.get(name)]
    if other:
        raise InputError(
            f"{file}: was tuned from other settings of the dataset's file ({', '.join(other)}); delete it to tune "
            "again, or name another folder with --tuned"
        )
    return old


def tune(tuning: Tuning, path: Path, space: Path, minutes: float) -> None:
    """Tries settings until the row's CPU minutes, including earlier runs, are spent or the space is exhausted.

    Args:
        path: the dataset folder. space: a params file of RecBole's HyperTuning with ``choice`` lines only.
    """
    budget = 60 * minutes

    def tried(settings: dict[str, Any]) -> Trial:
        known = tuning.find(settings)
        if known is None:
            if budget - tuning.spent < budget / TOO_SHORT:
                raise BudgetSpentError
            known = _trial(tuning, path, settings, min(budget / SHARE, budget - tuning.spent))
            tuning.add(known)
        return known

    def objective(params: dict[str, Any], _files: Any = None) -> dict[str, Any]:
        trial = tried(plain_settings(nested(params)))
        worst = -float("inf") if tuning.larger else float("inf")
        return {
            "model": tuning.model,
            "best_valid_score": worst if trial.score is None else trial.score,
            "valid_score_bigger": tuning.larger,
            "best_valid_result": trial.valid,
            "test_result": None,
        }

    logging.getLogger("hyperopt").setLevel(logging.CRITICAL)  # it logs BudgetSpentError as an error
    os.environ["HYPEROPT_FMIN_SEED"] = str(tuning.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of hyperopt's own imports
        search = search_of(objective, space, tuning.seed, algo="exhaustive", early_stop=1_000_000)
    with contextlib.suppress(BudgetSpentError), contextlib.redirect_stdout(io.StringIO()):
        tried({})
        search.run()


def _trial(tuning: Tuning, path: Path, settings: dict[str, Any], seconds: float) -> Trial:
    given = with_protocol(tuning.model, DatasetFolder(path), merged(tuning.given, settings))
    with prepared(tuning.model, path, given, tuning.seed) as training:
        try:
            cut = training.try_out(seconds)
        except ValueError as error:
            if not ran_away(error):
                raise
            cut = False
        facts = training.facts()
        score, spent = training.valid.get(tuning.metric), round(training.cpu_spent, 3)
    code = state_of_the_code(tuning.model)["code"]
    epochs, seconds = facts["epochs"], facts["seconds"]
    return Trial(settings, score, facts["valid"], epochs, seconds, cut, code, facts["versions"], spent)
