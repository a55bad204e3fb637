"""Each row's settings, searched on validation for the same number of minutes.

What was tried stands in one JSON file a model, rewritten after every trial, best first. The search is RecBole's
`HyperTuning` in its exhaustive form, which draws settings in a seeded random order without repeating any. Going on
after a kill, it proposes the same settings again; those in the file are answered from there and cost nothing. One seed
may favour the wrong settings, so the best trials may meet again as finalists, trained to the end with several seeds,
which comes on top of the minutes. No choice reads the test split.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.files import write_json
from mmbee_plugin.recbole.options import dataset_settings, merged, of_model
from mmbee_plugin.recbole.report import plain_settings
from mmbee_plugin.recbole.run import build_config
from mmbee_plugin.recbole.tune import nested, search_of, searched_settings
from mmbee_plugin.tables.ranking.run import with_protocol
from mmbee_plugin.tables.training import prepared, ran_away, state_of_the_code

SEED = 2020
"""of the trials and of the order in which settings are drawn; a table's seeds are others"""
SHARE = 5
"""A trial may take one part in so many of the minutes, so that slow rows try several settings too."""
TOO_SHORT = 20
"""With less than one part in so many left, no further trial is begun."""


class BudgetSpentError(Exception):
    """The row's minutes are over."""


@dataclass(frozen=True)
class Trial:
    """One training for its validation metrics.

    Attributes:
        settings: beyond the dataset's; none for its own settings, which are always the first trial.
        score: the metric that epochs and settings are chosen by; None where the loss was no number.
        valid: all validation metrics of the best epoch.
        cut: whether it was stopped for time; its best epoch until then counts.
        code: the state of the code it ran.
    """

    settings: dict[str, Any]
    score: float | None
    valid: dict[str, float]
    epochs: int
    seconds: float
    cut: bool
    code: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Finalist:
    """One of the best trials' settings, trained again to the end.

    Attributes:
        scores: the tuning's metric on validation, with seeds 1, 2, ...; None where the loss was no number.
        code: the state of the code they ran.
    """

    settings: dict[str, Any]
    scores: list[float | None]
    code: str

    @property
    def mean(self) -> float | None:
        """Over the seeds; None where one failed."""
        found = [score for score in self.scores if score is not None]
        return fmean(found) if len(found) == len(self.scores) else None


@dataclass
class Tuning:
    """A model's trials on a dataset, and the file that keeps them.

    Attributes:
        data: name, kind and hash of the dataset. metric: what was compared. larger: whether more of it is better.
        given: settings that all trials had in common.
        base: those of the dataset's file for the model, which a trial's settings change.
        trials: best first.
        finalists: of these trials, by the mean of their scores, best first; none where one seed chose.
    """

    file: Path
    model: str
    data: dict[str, str]
    metric: str
    larger: bool
    given: dict[str, Any]
    base: dict[str, Any]
    trials: list[Trial] = field(default_factory=list)
    finalists: list[Finalist] = field(default_factory=list)

    @property
    def chosen(self) -> dict[str, Any] | None:
        """The settings of the best finalist, of the best trial where there are none; None where all trials failed."""
        finalists = [each for each in self.finalists if each.mean is not None]
        best = [each.settings for each in finalists or self.leading(1)]
        return best[0] if best else None

    def leading(self, count: int) -> list[Trial]:
        """The ``count`` best trials, fewer where fewer gave a number."""
        return [trial for trial in self.trials[:count] if trial.score is not None]

    @property
    def seconds(self) -> float:
        """Spent on all trials."""
        return sum(trial.seconds for trial in self.trials)

    def find(self, settings: Mapping[str, Any]) -> Trial | None:
        """The trial of these settings, if there was one."""
        return next((trial for trial in self.trials if trial.settings == settings), None)

    def add(self, trial: Trial) -> None:
        """Keeps a trial, in the file too; finalists of fewer trials are no longer valid."""
        sign = -1 if self.larger else 1
        self.trials.append(trial)
        self.trials.sort(key=lambda each: (each.score is None, sign * (each.score or 0.0)))
        self.finalists = []
        self._write()

    def decide(self, finalists: Iterable[Finalist]) -> None:
        """Keeps the finalists, in the file too."""
        sign = -1 if self.larger else 1
        self.finalists = sorted(finalists, key=lambda each: (each.mean is None, sign * (each.mean or 0.0)))
        self._write()

    def _write(self) -> None:
        content = {name: value for name, value in asdict(self).items() if name != "file"}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.file, content)


def read_tuning(file: Path) -> Tuning | None:
    """The tuning in a file, or None where there is no such file.

    Raises:
        InputError: the file is no tuning.
    """
    if not file.exists():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        trials = [Trial(**each) for each in content.pop("trials")]
        finalists = [Finalist(**each) for each in content.pop("finalists", [])]
        return Tuning(file=file, trials=trials, finalists=finalists, **content)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{file}: no file of tuned settings ({error}); delete it and tune again") from None


def is_stale(tuning: Tuning, folder: DatasetFolder, given: Mapping[str, Any]) -> bool:
    """Whether the settings that a tuning's trials changed are others today, with the given ones and without."""
    base = base_of(tuning.model, folder)
    today = merged(base, plain_settings(of_model(given, tuning.model)))
    return tuning.base != base and merged(tuning.base, tuning.given) != today


def base_of(model: str, folder: DatasetFolder) -> dict[str, Any]:
    """What the dataset's file says for the model, as plain values."""
    of_dataset = dataset_settings(folder.name, model, folder.kind == "sample", folder.live is not None)
    return plain_settings(of_dataset)


def begin_tuning(
    file: Path, model: str, folder: DatasetFolder, given: Mapping[str, Any], space: Path
) -> Tuning:
    """The tuning to go on with, or a new one.

    Raises:
        InputError: the file is of other data or settings, the space cannot be read, or a given setting is searched.
    """
    given = of_model(given, model)
    for name in searched_settings(space, model):
        if name.partition(".")[0] in given:
            raise InputError(f"setting {name!r}: {space} searches it; it cannot be given for the tuning")
    config = build_config(model, folder, with_protocol(model, folder, given))
    metric, larger = config["valid_metric"].lower(), bool(config["valid_metric_bigger"])
    data = {"name": folder.name, "kind": folder.kind, "hash": folder.hash}
    new = Tuning(file, model, data, metric, larger, plain_settings(given), base_of(model, folder))
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
    """Tries settings until the row's minutes are spent, those of earlier runs included, or all are tried.

    Args:
        path: the dataset folder. space: a params file of RecBole's HyperTuning, all of its lines ``choice``.
    """
    budget = 60 * minutes

    def tried(settings: dict[str, Any]) -> Trial:
        known = tuning.find(settings)
        if known is None:
            if budget - tuning.seconds < budget / TOO_SHORT:
                raise BudgetSpentError
            known = _trial(tuning, path, settings, min(budget / SHARE, budget - tuning.seconds))
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

    logging.getLogger("hyperopt").setLevel(logging.CRITICAL)  # it reports the end of the budget as an error
    os.environ["HYPEROPT_FMIN_SEED"] = str(SEED)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of hyperopt's own imports
        search = search_of(objective, space, SEED, algo="exhaustive", early_stop=1_000_000)
    with contextlib.suppress(BudgetSpentError), contextlib.redirect_stdout(io.StringIO()):
        tried({})
        search.run()


def _trial(tuning: Tuning, path: Path, settings: dict[str, Any], seconds: float) -> Trial:
    given = with_protocol(tuning.model, DatasetFolder(path), merged(tuning.given, settings))
    with prepared(tuning.model, path, given, SEED) as training:
        try:
            cut = training.try_out(seconds)
        except ValueError as error:
            if not ran_away(error):
                raise
            cut = False
        facts = training.facts()
        score = training.valid.get(tuning.metric)
    code = state_of_the_code(tuning.model)["code"]
    epochs, spent = facts["epochs"], facts["seconds"]
    return Trial(settings, score, facts["valid"], epochs, spent, cut, code, facts["versions"])
