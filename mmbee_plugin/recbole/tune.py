"""Searches for good settings with RecBole's `HyperTuning`: ``mmbee tune --model=MMBee --dataset=tiktok``, or ``python
run_hyper.py`` with the same."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from recbole.trainer import HyperTuning

from mmbee_plugin.builtin.sample import ensure
from mmbee_plugin.command.entry import exit_status
from mmbee_plugin.command.extras import check_extra
from mmbee_plugin.command.time_left import TimeLeft
from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.config import options
from mmbee_plugin.recbole.config.files import config_folder
from mmbee_plugin.recbole.config.given import given_settings
from mmbee_plugin.recbole.config.idle import check_read
from mmbee_plugin.recbole.config.known import check_given, check_settings, known_settings
from mmbee_plugin.recbole.config.layers import check_model
from mmbee_plugin.recbole.config.sources import merged, nested, of_model
from mmbee_plugin.recbole.run import build_config, train_and_test
from mmbee_plugin.recbole.training import report


def main(argv: list[str] | None = None) -> int:
    """The command line; returns the exit status: 0, or 2 for bad input."""
    return exit_status(lambda: _tune(sys.argv[1:] if argv is None else argv))


def _tune(argv: list[str]) -> None:
    chosen, rest = options.TUNE.parser().read(argv)
    model = chosen.model or "MMBee"
    check_model(model)
    if not chosen.dataset:
        raise InputError("needs --dataset=NAME")
    if chosen.max_evals < 1:
        raise InputError(f"--max_evals={chosen.max_evals}: at least one setting has to be tried")
    check_extra("hyperopt", "a search")
    params_file = chosen.params_file or space_file(model)
    searched = searched_settings(params_file, model)
    given = given_settings(chosen.config_files, rest)
    check_given(given, [model])
    given = of_model(given, model)
    folder = ensure(chosen.dataset, chosen.data_path)
    config = build_config(model, folder, given)  # raises for bad settings before the search starts
    check_read([config], given_settings(None, rest), varied=searched)

    left = TimeLeft(chosen.max_evals, "trials")

    def objective(params: dict[str, Any], _files: Any = None) -> dict[str, Any]:
        trial = build_config(model, folder, merged(given, nested(params)))
        result = train_and_test(trial, folder, quiet="state" not in given, saved=False, tested=False)
        left.step()
        sys.stdout.write(f"trial {left.done} of at most {left.total}; {left}\n")
        sys.stdout.flush()
        return {
            "model": model,
            "best_valid_score": result.valid[trial["valid_metric"].lower()],
            "valid_score_bigger": trial["valid_metric_bigger"],
            "best_valid_result": result.valid,
            "test_result": result.test,
        }

    search = search_of(objective, params_file, config["seed"], algo=chosen.algo, max_evals=chosen.max_evals)
    search.run()
    best = search.params2str(search.best_params)
    metric = config["valid_metric"].lower()
    value = search.params2result[best]["best_valid_result"][metric]
    lines = [
        "",
        *report.provenance_lines(folder),
        f"Best of {len(search.params_list)}: {best}",
        f"{metric} on validation data: {value}",
        "",
    ]
    sys.stdout.write("\n".join(lines))


class Search(HyperTuning):
    """RecBole's search, which prints what it has found on validation alone."""

    def _print_result(self, result_dict: dict[str, Any]) -> None:
        sys.stdout.write(f"best so far on validation data: {result_dict['best_valid_score']:.4f}\n")
        sys.stdout.flush()


Objective = Callable[..., dict[str, Any]]
"""settings -> RecBole's dict of a trial's outcome"""


def space_file(model: str) -> Path:
    """The file with the settings that are searched for a model."""
    return config_folder() / "tuning" / f"{model}.hyper"


def searched_settings(params_file: Path, model: str) -> list[str]:
    """The settings named in a params file.

    Raises:
        InputError: the file cannot be read, names no setting, or one unknown to the model.
    """
    try:
        lines = params_file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InputError(f"{params_file}: the file of settings to search cannot be read: {reason}") from None
    names = [line.split()[0] for line in lines if len(line.split(" ")) >= 3]
    if not names:
        raise InputError(
            f"{params_file}: no settings to search; a line is: name choice|uniform|quniform|loguniform values"
        )
    known = known_settings(model)
    check_settings([name.partition(".")[0] for name in names], known, str(params_file))
    return names


def search_of(objective: Objective, params_file: Path, seed: int, **chosen: Any) -> Search:
    """RecBole's search; equal seeds propose the same settings in the same order.

    Args:
        chosen: other arguments of RecBole's HyperTuning.

    Raises:
        InputError: the params file cannot be understood.
    """
    os.environ.setdefault("HYPEROPT_FMIN_SEED", str(seed))
    try:
        return Search(objective, params_file=str(params_file), **chosen)
    except (ValueError, SyntaxError, NameError, TypeError, AttributeError) as error:
        raise InputError(
            f"{params_file}: {error}; a line is: name choice|uniform|quniform|loguniform values, of an exhaustive "
            "search choice alone, and none of them a list"
        ) from None
