"""The command line of a run and its settings.

Later sources win: RecBole's and the model's defaults, `RUN_DEFAULTS`, ``recbole_configs/<dataset>.yaml``,
its section for the model, its section for samples, ``--tuned``, ``--config_files`` with their sections for the model,
the command line. A setting that nothing reads is refused.
"""

import argparse
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from mmbee_plugin.command.yaml_settings import NAMES, parse_value, read_mapping
from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.config.layers import check_model
from mmbee_plugin.recbole.config.sources import COMMAND_LINE, Source, combined, merged, nested

LISTS = frozenset({"modalities", "metapaths", "metrics", "topk"})
"""Settings that are lists, so that ``--metapaths=a2a,u2a2u`` needs no brackets."""

INTERVALS = frozenset({"user_inter_num_interval", "item_inter_num_interval"})
"""Settings that are intervals such as ``[5,inf)``, which is not YAML."""


class OptionParser(argparse.ArgumentParser):
    """An argument parser whose errors are InputErrors."""

    def error(self, message: str) -> NoReturn:
        raise InputError(message)


@dataclass(frozen=True)
class Options:
    """A parsed command line.

    Attributes:
        sources: of RecBole settings, from ``--config_files``, then from the command line.
        tuned: folder of tunings whose settings are used; None for none, "" for the dataset's.
        print_config: print the settings instead of training.
    """

    models: tuple[str, ...]
    dataset: str | None
    data_path: Path
    result: Path | None
    resume: Path | None
    sources: tuple[Source, ...]
    tuned: str | None
    print_config: bool

    @property
    def given(self) -> dict[str, Any]:
        """The settings of all sources, as :func:`combined`."""
        return combined(self.sources)


class RunParser(OptionParser):
    """Parser of commands that take the settings of a run, which its help lists."""

    def format_help(self) -> str:
        from mmbee_plugin.recbole.config.help import run_help

        return f"{super().format_help()}\n{run_help()}\n"


def run_parser(description: str) -> OptionParser:
    """The options that every run has; any RecBole setting may be added as ``--key=value``."""
    parser = RunParser(
        description=description,
        allow_abbrev=False,
        epilog="Any other --key=value is a setting of those below, such as --epochs=5, --backbone=din, "
        "--content=none, --interest=none, --modalities=visual,text or --graph.top_k=20. A "
        "dataset's own settings are in recbole_configs/<dataset>.yaml, what was found by tuning in "
        "recbole_configs/tuning/<dataset>. docs/running.md tells what a run prints and keeps.",
    )
    parser.add_argument("--model", metavar="NAME", help="a model of this package or of RecBole")
    parser.add_argument("--dataset", metavar="NAME", help="a folder in --data_path")
    parser.add_argument(
        "--data_path", metavar="DIR", type=Path, default=Path("datasets"), help="default: datasets"
    )
    parser.add_argument(
        "--config_files", metavar="FILES", help="YAML files with settings, separated by spaces or commas"
    )
    return parser


def parse_run(argv: list[str]) -> Options:
    """Parses the command line of ``run_recbole.py``.

    Raises:
        InputError: an unknown model, an argument that is no ``--key=value``, an unreadable file.
    """
    parser = run_parser("Trains a model and prints its metrics on the validation and test split.")
    parser.add_argument(
        "--compare", metavar="NAMES", help="several models, separated by commas, on the same split"
    )
    parser.add_argument("--result", metavar="PATH", type=Path, help="also write the outcome as JSON")
    parser.add_argument("--resume", metavar="CHECKPOINT", type=Path, help="go on with an interrupted run")
    parser.add_argument(
        "--tuned",
        metavar="FOLDER",
        nargs="?",
        const="",
        help="take the settings that a tuning chose; default: recbole_configs/tuning/<dataset>",
    )
    parser.add_argument(
        "--print_config",
        action="store_true",
        help="print every setting in effect and its source; train nothing",
    )
    known, rest = parser.parse_known_args(argv)
    if known.compare and (known.model or known.resume):
        raise InputError("--compare names its models itself and goes with neither --model nor --resume")
    models = tuple(name.strip() for name in (known.compare or known.model or "").split(",") if name.strip())
    if not known.resume and not (models and known.dataset):
        raise InputError("needs --model=NAME (or --compare=NAME,NAME) and --dataset=NAME")
    if known.resume and known.tuned is not None:
        raise InputError("--tuned is for new runs: --resume goes on with the settings that its run had")
    for name in models:
        check_model(name)
    sources = given_sources(known.config_files, rest)
    paths = known.data_path, known.result, known.resume
    return Options(models, known.dataset, *paths, sources, known.tuned, known.print_config)


def given_sources(config_files: str | None, rest: Iterable[str]) -> tuple[Source, ...]:
    """RecBole settings from files, from their sections for single models, and from ``--key=value`` arguments, which
    win; ``--graph.top_k=5`` sets one entry of a dict. Files may be among the arguments too, ``--config_files=a.yaml``.

    Raises:
        InputError: naming the argument or file that cannot be read.
    """
    option, arguments = "--config_files=", list(rest)
    listed = [
        config_files or "",
        *(each.removeprefix(option) for each in arguments if each.startswith(option)),
    ]
    files: list[Source] = []
    sections: list[Source] = []
    for name in " ".join(listed).replace(",", " ").split():
        content = read_mapping(Path(name))
        of_models = content.pop("models", None) or {}
        if not isinstance(of_models, Mapping) or not all(
            isinstance(each, Mapping) for each in of_models.values()
        ):
            raise InputError(
                f"{name}: models: a config file's sections are one mapping of settings for each model"
            )
        files.append(Source(name, _with_lists(content)))
        sections += [
            Source(name, _with_lists(own), f"models.{model}", model) for model, own in of_models.items()
        ]
    given: dict[str, Any] = {}
    for argument in (each for each in arguments if not each.startswith(option)):
        match = re.fullmatch(r"--([A-Za-z_][\w.-]*)=(.*)", argument, re.DOTALL)
        if not match:
            raise InputError(f"argument {argument!r} is not understood; settings are written --key=value")
        key, text = match.groups()
        literal = not text or (key in INTERVALS and text[0] in "[(")
        value = text if literal else parse_value(text, f"argument {argument!r}", names=key in NAMES)
        given = merged(given, nested({key: value}))
    return (*files, *sections, Source(COMMAND_LINE, _with_lists(given)))


def given_settings(config_files: str | None, rest: Iterable[str]) -> dict[str, Any]:
    """The settings of :func:`given_sources` in one dict, as :func:`combined`."""
    return combined(given_sources(config_files, rest))


def _with_lists(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _as_list(value, key) if key in LISTS else value for key, value in settings.items()}


def _as_list(value: Any, key: str) -> Any:
    if isinstance(value, str):
        return [
            parse_value(part, f"--{key}", names=key in NAMES) for part in value.split(",") if part.strip()
        ]
    return value if value is None or isinstance(value, list) else [value]
