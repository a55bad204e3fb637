"""Settings from files and from the ``--key=value`` arguments of a command line."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmbee_plugin.command.shipped import shipped
from mmbee_plugin.command.spelling import spelled
from mmbee_plugin.command.yaml_settings import NAMES, parse_value, read_mapping
from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.config.sources import COMMAND_LINE, Source, combined, merged, nested

LISTS = frozenset({"modalities", "metapaths", "metrics", "topk"})
"""Settings that are lists, so that ``--metapaths=a2a,u2a2u`` needs no brackets."""

INTERVALS = frozenset({"user_inter_num_interval", "item_inter_num_interval"})
"""Settings that are intervals such as ``[5,inf)``, which is not YAML."""


def given_sources(config_files: str | None, rest: Iterable[str]) -> tuple[Source, ...]:
    """RecBole settings from files, from their sections for single models, and from ``--key=value`` arguments, which
    win; ``--graph.top_k=5`` sets one entry of a dict. Files may be among the arguments too, ``--config_files=a.yaml``;
    those of ``recbole_configs`` are found as :func:`~mmbee_plugin.command.shipped.shipped` does.

    Raises:
        InputError: naming the argument or file that cannot be read.
    """
    option, arguments = "--config_files=", [spelled(argument) for argument in rest]
    listed = [
        config_files or "",
        *(each.removeprefix(option) for each in arguments if each.startswith(option)),
    ]
    files: list[Source] = []
    sections: list[Source] = []
    for name in " ".join(listed).replace(",", " ").split():
        content = read_mapping(shipped(Path(name)))
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
