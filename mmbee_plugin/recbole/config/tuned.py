"""Tuned settings: a model's trials on a dataset in one JSON file, best first, and the settings they chose.

`mmbee_plugin.tables.ranking.tuning` makes the files; ``run_recbole.py --tuned`` trains with what they chose.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.errors import InputError
from mmbee_plugin.files import write_json
from mmbee_plugin.recbole.config.files import config_folder, dataset_settings
from mmbee_plugin.recbole.config.sources import merged, of_model, plain_settings


@dataclass(frozen=True)
class Trial:
    """One training for its validation metrics.

    Attributes:
        settings: changes to the dataset's settings; the first trial has none.
        score: the metric that epochs and settings are chosen by; None where the loss was no number.
        valid: all validation metrics of the best epoch.
        cut: whether it ran out of time; its best epoch until then counts.
        seconds: by the clock on the wall.
        code: version of the code that ran.
        cpu_seconds: None in a file from before they were kept.
    """

    settings: dict[str, Any]
    score: float | None
    valid: dict[str, float]
    epochs: int
    seconds: float
    cut: bool
    code: str
    versions: dict[str, str]
    cpu_seconds: float | None = None


@dataclass(frozen=True)
class Finalist:
    """One of the best trials' settings, trained again to the end.

    Attributes:
        scores: the tuning's metric on validation, one a seed of a table; None where the loss was no number.
        code: version of the code that ran.
    """

    settings: dict[str, Any]
    scores: list[float | None]
    code: str

    @property
    def mean(self) -> float | None:
        """Mean over the seeds; None where one failed."""
        found = [score for score in self.scores if score is not None]
        return fmean(found) if len(found) == len(self.scores) else None


@dataclass
class Tuning:
    """A model's trials on a dataset, and the file that keeps them.

    Attributes:
        data: name, kind and hash of the dataset.
        metric: validation metric by which trials are compared.
        larger: whether larger values are better.
        given: settings given to all trials.
        base: settings of the dataset's file for the model, which a trial's settings change.
        trials: best first.
        seed: of the trials, and of the order in which settings are tried; 2020 in a file from before it was kept.
        finalists: best first by their mean scores; none if a single seed chose.
    """

    file: Path
    model: str
    data: dict[str, str]
    metric: str
    larger: bool
    given: dict[str, Any]
    base: dict[str, Any]
    trials: list[Trial] = field(default_factory=list)
    seed: int = 2020
    finalists: list[Finalist] = field(default_factory=list)

    @property
    def chosen(self) -> dict[str, Any] | None:
        """The settings of the best finalist, else of the best trial; None where all trials failed."""
        finalists = [each for each in self.finalists if each.mean is not None]
        best = [each.settings for each in finalists or self.leading(1)]
        return best[0] if best else None

    def leading(self, count: int) -> list[Trial]:
        """The ``count`` best trials, without those whose loss was no number."""
        return [trial for trial in self.trials[:count] if trial.score is not None]

    @property
    def spent(self) -> float:
        """CPU seconds of all trials; a trial without them counts its seconds."""
        return sum(trial.seconds if trial.cpu_seconds is None else trial.cpu_seconds for trial in self.trials)

    def find(self, settings: Mapping[str, Any]) -> Trial | None:
        """The trial with these settings, if any."""
        return next((trial for trial in self.trials if trial.settings == settings), None)

    def mean_of(self, settings: Mapping[str, Any]) -> float | None:
        """The mean score of the finalist with these settings, if any."""
        return next((each.mean for each in self.finalists if each.settings == settings), None)

    def add(self, trial: Trial) -> None:
        """Adds a trial and writes the file; drops finalists, which were chosen from fewer trials."""
        sign = -1 if self.larger else 1
        self.trials.append(trial)
        self.trials.sort(key=lambda each: (each.score is None, sign * (each.score or 0.0)))
        self.finalists = []
        self._write()

    def decide(self, finalists: Iterable[Finalist]) -> None:
        """Sets the finalists and writes the file."""
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
        InputError: the file cannot be read as a tuning.
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


def tunings_folder(folder: DatasetFolder) -> Path:
    """The folder of a dataset's tunings, one file ``<model>.json`` each."""
    return config_folder() / "tuning" / folder.name


def is_stale(
    tuning: Tuning, folder: DatasetFolder, given: Mapping[str, Any], beside: Collection[str] = ()
) -> bool:
    """Whether a tuning's trials changed other settings than today's, of the dataset's file and the given ones.

    Args:
        beside: names of settings that change no result.
    """
    today = merged(base_of(tuning.model, folder), plain_settings(of_model(given, tuning.model)))
    tried = merged(tuning.base, tuning.given)
    return any(tried.get(name) != today.get(name) for name in (tried | today).keys() - set(beside))


def base_of(model: str, folder: DatasetFolder) -> dict[str, Any]:
    """Settings of the dataset's file for the model, as plain values."""
    of_dataset = dataset_settings(folder, model)
    return plain_settings(of_dataset)


def tuning_for(model: str, folder: DatasetFolder, tunings: Path) -> Tuning:
    """The tuning whose chosen settings a run asks for.

    Args:
        tunings: folder of the files, such as :func:`tunings_folder`.

    Raises:
        InputError: there is no such file, all of its trials failed, or it is of another model or other data.
    """
    file = tunings / f"{model}.json"
    tuning = read_tuning(file)
    if tuning is None:
        known = ", ".join(sorted(each.stem for each in tunings.glob("*.json"))) or "none"
        raise InputError(
            f"{file}: no such file, so no tuned settings of {model}; models tuned there: {known}"
        )
    if tuning.chosen is None:
        raise InputError(f"{file}: all of its trials failed; leave out --tuned")
    if tuning.model != model:
        raise InputError(f"{file}: of model {tuning.model!r}, expected {model!r}")
    if tuning.data["hash"] != folder.hash:
        raise InputError(
            f"{file}: tuned on other data, {tuning.data['kind']} {tuning.data['name']}, than those in {folder.path} "
            f"({folder.kind}); leave out --tuned, or give its settings as --key=value"
        )
    return tuning


def hint(model: str, folder: DatasetFolder, in_effect: Mapping[str, Any]) -> str | None:
    """One line on tuned settings that are better than those in effect; None if there are none.

    Compares means of finalists, else trials, of one seed and equal minutes.
    """
    tuning = read_tuning(tunings_folder(folder) / f"{model}.json")
    if tuning is None or tuning.chosen is None or tuning.data["hash"] != folder.hash:
        return None
    plain = plain_settings(in_effect)
    if all(_holds(plain.get(name), value) for name, value in tuning.chosen.items()):
        return None
    means = [tuning.mean_of(settings) for settings in (tuning.chosen, {})]
    trials = [tuning.find(settings) for settings in (tuning.chosen, {})]
    chosen, base = means if None not in means else [trial.score if trial else None for trial in trials]
    sign = 1 if tuning.larger else -1
    if chosen is None or (base is not None and sign * chosen <= sign * base):
        return None
    against = "" if base is None else f" against {base:.4f} of the dataset's file"
    if None not in means:
        how = ", means of several seeds"
    else:
        how = " in a trial of as many minutes"
        how += "" if means[0] is None else f"; trained to the end {means[0]:.4f}, the mean of several seeds"
    return (
        f"better settings are known: {tuning.file} (validation {tuning.metric} {chosen:.4f}{against}{how}); take them "
        "with --tuned"
    )


def _holds(value: Any, wanted: Any) -> bool:
    """Whether a setting has the wanted value; of a dict only the wanted entries count."""
    if isinstance(wanted, Mapping) and isinstance(value, Mapping):
        return all(_holds(value.get(name), entry) for name, entry in wanted.items())
    return value == wanted
