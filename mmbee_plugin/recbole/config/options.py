"""The command lines that train under RecBole: what each takes, and what it asks for.

Later sources of settings win: RecBole's and the model's defaults, `RUN_DEFAULTS`, ``recbole_configs/<dataset>.yaml``,
its section for the model, its section for samples, ``--tuned``, ``--config_files`` with their sections for the model,
the command line, a variant's own. A setting that nothing reads is refused.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from mmbee_plugin.command.spelling import spelled
from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.config.given import given_sources
from mmbee_plugin.recbole.config.sources import COMMAND_LINE, Source, combined, settings_of
from mmbee_plugin.recbole.config.variants import Variant, named, separated


@dataclass(frozen=True)
class Options:
    """A parsed command line.

    Attributes:
        variants: the models to train, each with settings of its own; none yet for a run to resume.
        sources: of settings for all variants, from ``--config_files``, then from the command line.
        tuned: folder of tunings whose settings are used; None for none, "" for the dataset's.
        print_config: print the settings instead of training.
    """

    variants: tuple[Variant, ...]
    dataset: str | None
    data_path: Path
    result: Path | None
    resume: Path | None
    sources: tuple[Source, ...]
    tuned: str | None
    print_config: bool

    @property
    def models(self) -> tuple[str, ...]:
        """The models of the variants, each once."""
        return tuple(dict.fromkeys(variant.model for variant in self.variants))

    @property
    def given(self) -> dict[str, Any]:
        """The settings of all sources, as :func:`combined`."""
        return combined(self.sources)

    @property
    def on_command_line(self) -> dict[str, Any]:
        """The settings of the command line for all variants."""
        return settings_of((source for source in self.sources if source.file == COMMAND_LINE), "")

    def sources_of(self, variant: Variant) -> tuple[Source, ...]:
        """The sources, and the variant's own settings last."""
        return (*self.sources, variant.source) if variant.settings else self.sources


class OptionParser(argparse.ArgumentParser):
    """Parser of a command that takes the settings of a run, which its help lists; its errors are InputErrors."""

    def error(self, message: str) -> NoReturn:
        raise InputError(message)

    def format_help(self) -> str:
        from mmbee_plugin.recbole.config.help import run_help

        return f"{super().format_help()}\n{run_help()}\n"

    def read(self, argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
        """The options and the ``--key=value`` arguments that are none, in any order; ``-`` and ``_`` are the same in
        names."""
        words = [spelled(argument) for argument in argv]
        settings = [word for word in words if "=" in word and not self._takes(word)]
        known, rest = self.parse_known_intermixed_args([word for word in words if word not in settings])
        return known, [*rest, *settings]

    def _takes(self, word: str) -> bool:
        return not word.startswith("--") or word.partition("=")[0] in self._option_string_actions


ARGUMENTS: dict[str, dict[str, Any]] = {
    "--model": {"metavar": "NAME", "help": "a model of this package or of RecBole"},
    "--compare": {
        "metavar": "VARIANTS",
        "help": "several models, separated by commas, on the same split; each may have settings of its own: "
        "'MMBee,MMBee content=none,SIM'",
    },
    "compare": {
        "metavar": "VARIANT",
        "nargs": "+",
        "help": "a model, or one with settings of its own: 'MMBee content=none'; rows are named by what differs",
    },
    "--resume": {"metavar": "CHECKPOINT", "type": Path, "help": "go on with an interrupted run"},
    "resume": {
        "metavar": "CHECKPOINT",
        "type": Path,
        "help": "of an interrupted run: saved/...-last.pth; it keeps its settings, but epochs, stopping_step and "
        "where files go may change",
    },
    "--dataset": {"metavar": "NAME", "help": "a folder in --data_path"},
    "--data_path": {
        "metavar": "DIR",
        "type": Path,
        "default": Path("datasets"),
        "help": "the folder of dataset folders; default: datasets",
    },
    "--config_files": {
        "metavar": "FILES",
        "help": "YAML files with settings, separated by spaces or commas; recbole_configs/NAME.yaml is found in an "
        "installation too",
    },
    "--tuned": {
        "metavar": "FOLDER",
        "nargs": "?",
        "const": "",
        "help": "take the settings that a tuning chose; default: recbole_configs/tuning/<dataset>",
    },
    "--result": {"metavar": "PATH", "type": Path, "help": "also write the outcome as JSON"},
    "--print_config": {
        "action": "store_true",
        "help": "print every setting in effect and its source; train nothing",
    },
    "--params_file": {
        "metavar": "FILE",
        "type": Path,
        "help": "the settings to search; default: recbole_configs/tuning/<model>.hyper",
    },
    "--max_evals": {"metavar": "N", "type": int, "default": 20, "help": "settings to try; default: 20"},
    "--algo": {"choices": ("bayes", "random", "exhaustive"), "default": "bayes", "help": "default: bayes"},
}
"""Every option, declared once; a name without dashes is an argument."""


@dataclass(frozen=True)
class Command:
    """A command's name, what it does, and those of `ARGUMENTS` that it takes."""

    name: str
    purpose: str
    takes: tuple[str, ...]

    def parser(self) -> OptionParser:
        """Its parser; any setting may be added as ``--key=value``."""
        made = OptionParser(
            prog=self.name,
            description=self.purpose,
            allow_abbrev=False,
            epilog="Any other --key=value is a setting of those below, such as --epochs=5, --backbone=din, "
            "--content=none, --interest=none, --modalities=visual,text or --graph.top_k=20. A "
            "dataset's own settings are in recbole_configs/<dataset>.yaml, what was found by tuning in "
            "recbole_configs/tuning/<dataset>. docs/running.md tells what a run prints and keeps.",
        )
        for name in self.takes:
            made.add_argument(name, **ARGUMENTS[name])
        return made


_DATA = ("--dataset", "--data_path", "--config_files")
_KEPT = ("--result", "--print_config")
TRAINS = "Train a model and print its metrics on the validation and test split."
RUN = Command("run_recbole.py", TRAINS, ("--model", *_DATA, "--tuned", "--compare", "--resume", *_KEPT))
TRAIN = Command("mmbee train", TRAINS, ("--model", *_DATA, "--tuned", *_KEPT))
COMPARE = Command(
    "mmbee compare",
    "Train variants of models on one split and print their metrics side by side.",
    ("compare", *_DATA, "--tuned", *_KEPT),
)
RESUME = Command(
    "mmbee resume",
    "Go on with an interrupted run, to the figures that it would have had.",
    ("resume", *_DATA, *_KEPT),
)
TUNE = Command(
    "mmbee tune",
    "Search for the settings with the best validation metric.",
    ("--model", *_DATA, "--params_file", "--max_evals", "--algo"),
)


def parse_run(argv: Sequence[str], command: Command = RUN) -> Options:
    """Parses the command line of a command that trains.

    Raises:
        InputError: an unknown model, an argument that is no ``--key=value``, an unreadable file.
    """
    known, rest = command.parser().read(argv)
    asked = {name.removeprefix("--"): None for name in ARGUMENTS} | vars(known)
    compare, model, resume = asked["compare"], asked["model"], asked["resume"]
    if compare and (model or resume):
        raise InputError("--compare names its models itself and goes with neither --model nor --resume")
    texts = separated(compare) if isinstance(compare, str) else compare or [model] * (model is not None)
    if not resume and not (texts and known.dataset):
        named_by = {"mmbee train": "--model=NAME", "mmbee compare": "a VARIANT, such as MMBee,"}
        raise InputError(
            f"needs {named_by.get(command.name, '--model=NAME (or --compare=NAME,NAME)')} and --dataset=NAME"
        )
    if resume and asked["tuned"] is not None:
        raise InputError("--tuned is for new runs: --resume goes on with the settings that its run had")
    return Options(
        *(named(texts), known.dataset, known.data_path, known.result, resume),
        given_sources(known.config_files, rest),
        *(asked["tuned"], known.print_config),
    )
