"""The command line of a run, and the settings it comes to for one model on one dataset.

Later sources win: RecBole's and the model's defaults, `RUN_DEFAULTS`, ``recbole_configs/<dataset>.yaml``,
its section for the model, its section for samples, ``--tuned``, ``--config_files`` with their sections for the model,
the command line. A setting that nothing reads is refused.
"""

import argparse
import copy
import difflib
import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import recbole

import mmbee_plugin
from mmbee_plugin.command.yaml_settings import NAMES, parse_value, read_mapping
from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.config.sources import COMMAND_LINE, Source, merged, settings_of
from mmbee_plugin.recbole.plugin import COMPONENTS, DATA_SETTINGS, Layer, check_model, default_layers

RUN_DEFAULTS: dict[str, Any] = {
    "metrics": ["Recall", "Precision", "NDCG"],
    "topk": [10, 20],
    "valid_metric": "Recall@10",
}
"""What a run measures unless its dataset's YAML or the command line says otherwise."""

LISTS = frozenset({"modalities", "metapaths", "metrics", "topk"})
"""Settings that are lists, so that ``--metapaths=a2a,u2a2u`` needs no brackets."""

INTERVALS = frozenset({"user_inter_num_interval", "item_inter_num_interval"})
"""Settings that are intervals: ``[5,inf)`` is no YAML."""

SET_BY_RECBOLE = frozenset(
    {"model", "dataset", "device", "MODEL_TYPE", "MODEL_INPUT_TYPE", "eval_type", "local_rank", "single_spec"}
    | {"valid_neg_sample_args", "test_neg_sample_args", "mmbee_dataset"}
)
"""Entries of a Config that are worked out, not given."""

_RECBOLE = Path(recbole.__file__).parent


class OptionParser(argparse.ArgumentParser):
    """An argument parser whose errors are InputErrors, so that every command line ends in one way."""

    def error(self, message: str) -> NoReturn:
        raise InputError(message)


@dataclass(frozen=True)
class Options:
    """A parsed command line.

    Attributes:
        sources: of RecBole settings, from ``--config_files``, then from the command line.
        tuned: folder of tunings whose settings to take, None for none, "" for that of the dataset.
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


def run_parser(description: str) -> OptionParser:
    """The options that every run has; any RecBole setting may be added as ``--key=value``."""
    parser = OptionParser(
        description=description,
        allow_abbrev=False,
        epilog="Any other --key=value is a setting of RecBole or of the model, such as --epochs=5, "
        "--backbone=din, --content=none, --interest=none, --modalities=visual,text or --graph.top_k=20. A "
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
        outer, _, inner = key.partition(".")
        given = merged(given, {outer: {inner: value}} if inner else {outer: value})
    return (*files, *sections, Source(COMMAND_LINE, _with_lists(given)))


def given_settings(config_files: str | None, rest: Iterable[str]) -> dict[str, Any]:
    """The settings of :func:`given_sources` in one dict, as :func:`combined`."""
    return combined(given_sources(config_files, rest))


def combined(sources: Iterable[Source]) -> dict[str, Any]:
    """Settings of every model, and under ``models`` those of sources for some (see :func:`of_model`)."""
    sources = list(sources)
    found = settings_of((source for source in sources if source.model is None), "")
    sections: dict[str, dict[str, Any]] = {}
    for source in sources:
        if source.model is not None:
            own = settings_of(sources, source.model)
            sections.setdefault(source.model, {}).update({key: own[key] for key in source.settings})
    return {**found, "models": sections} if sections else found


def of_model(given: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Given settings as one model has them: those of all models, and over them its own section."""
    shared = {key: value for key, value in given.items() if key != "models"}
    return merged(shared, given.get("models", {}).get(model, {}))


def _with_lists(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _as_list(value, key) if key in LISTS else value for key, value in settings.items()}


def _as_list(value: Any, key: str) -> Any:
    if isinstance(value, str):
        return [
            parse_value(part, f"--{key}", names=key in NAMES) for part in value.split(",") if part.strip()
        ]
    return value if value is None or isinstance(value, list) else [value]


def config_folder() -> Path:
    """``recbole_configs``: of the working directory, else of the checkout, else the copy an installation
    brings."""
    package = Path(mmbee_plugin.__file__).parent
    places = [Path("recbole_configs"), package.parent / "recbole_configs", package / "recbole_configs"]
    return next((place for place in places if place.is_dir()), places[0])


def paper_settings() -> dict[str, Any]:
    """The settings that make ``MMBee`` the paper's model: those of ``recbole_configs/paper.yaml``.

    Given to a run they win over the dataset's own file, as with ``--config_files``. Raises InputError where the file
    cannot be read.
    """
    return read_mapping(config_folder() / "paper.yaml")


def dataset_settings(dataset: str, model: str, is_sample: bool, is_live: bool = False) -> dict[str, Any]:
    """What ``recbole_configs/<dataset>.yaml`` says for `model`; nothing if there is no such file.

    Live data without a file of their own take that of the simulated ones.
    """
    return settings_of(dataset_sources(dataset, model, is_sample, is_live), model)


def dataset_sources(dataset: str, model: str, is_sample: bool, is_live: bool = False) -> list[Source]:
    """As :func:`dataset_settings`: the file, its section for `model` and that for samples."""
    path = config_folder() / f"{dataset}.yaml"
    if is_live and not path.is_file():
        path = config_folder() / "livesim.yaml"
    if not path.is_file():
        return []
    content = read_mapping(path)
    models, sample = content.pop("models", None) or {}, content.pop("sample", None) or {}
    for name in models:
        check_model(name)
    known: set[str] = set().union(*map(known_settings, {*COMPONENTS, model}))
    sections = {"": content, f"models.{model}": models.get(model) or {}, "sample": sample}
    for section in sections.values():
        check_settings(section, known, str(path))
    if not is_sample:
        del sections["sample"]
    return [Source(str(path), settings, section) for section, settings in sections.items()]


def default_settings(model: str) -> dict[str, Any]:
    """The defaults of RecBole and of `model`, as their YAML files give them."""
    defaults = copy.deepcopy(_defaults_of_all())
    for layer in default_layers(model):
        defaults = merged(defaults, layer_settings(layer))
    return defaults


@functools.cache
def _defaults_of_all() -> dict[str, Any]:
    """RecBole's defaults that are no model's own."""
    properties = _RECBOLE / "properties"
    files = [properties / "overall.yaml", properties / "dataset" / "sample.yaml"]
    files += sorted((properties / "quick_start_config").glob("*.yaml"))
    defaults: dict[str, Any] = {}
    for file in files:
        defaults |= read_mapping(file)
    return defaults


def layer_settings(layer: Layer) -> dict[str, Any]:
    """One class's default settings, a copy of its own."""
    return read_mapping(layer) if isinstance(layer, Path) else copy.deepcopy(dict(layer))


@functools.cache
def _read_by_recbole() -> frozenset[str]:
    """Settings without a default: those that RecBole's source code asks its Config for."""
    pattern = re.compile(r"""config\[\s*["'](\w+)["']""")
    return frozenset(
        key for file in _RECBOLE.rglob("*.py") for key in pattern.findall(file.read_text(encoding="utf-8"))
    )


def known_settings(model: str) -> set[str]:
    """Every setting that means something to `model`."""
    from recbole.utils import argument_list

    listed = [
        vars(argument_list)[f"{kind}_arguments"] for kind in ("general", "training", "evaluation", "dataset")
    ]
    keys = {
        *default_settings(model),
        *_read_by_recbole(),
        *DATA_SETTINGS,
        *(key for keys in listed for key in keys),
    }
    return keys - SET_BY_RECBOLE


def check_given(given: Mapping[str, Any], models: Iterable[str]) -> None:
    """Raises InputError for a given setting that means something to none of `models`, or not to its section's."""
    for model, section in given.get("models", {}).items():
        check_model(model)
        check_settings(section, known_settings(model), f"settings of {model}")
    known: set[str] = set().union(*map(known_settings, models))
    check_settings((key for key in given if key != "models"), known, "settings")


def check_settings(settings: Iterable[str], known: set[str], where: str) -> None:
    """Raises InputError for the first setting not in `known`, naming the closest one that is."""
    for key in settings:
        if key not in known:
            nearest = difflib.get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            raise InputError(f"{where}: setting {key!r} is not known{hint}")
