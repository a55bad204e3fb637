"""The sources of a run's settings: files, their sections, the command line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from recbole.config import Config

RECBOLE = "RecBole's defaults"
COMMAND_LINE = "command line"
WORKED_OUT = "worked out"
OF_THE_DATA = ("data_path", "dataset_hash")
"""entries of a Config that identify the data, and are not given as settings"""


@dataclass(frozen=True)
class Source:
    """Settings that come from one place.

    Attributes:
        file: the file, or a name such as ``COMMAND_LINE``.
        section: the section of the file, if any.
        model: the only model that they are for; None for every model.
    """

    file: str
    settings: Mapping[str, Any]
    section: str = ""
    model: str | None = None

    @property
    def name(self) -> str:
        """File and section."""
        return f"{self.file}, {self.section}" if self.section else self.file


def plain_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as JSON values; other values (a device, an enum) as text."""
    return json.loads(json.dumps(dict(sorted(settings.items())), default=str))


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` updated by `over`; where both have a dict under a key, entry by entry."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = {**result[key], **value} if both else value
    return result


def nested(params: dict[str, Any]) -> dict[str, Any]:
    """``{"graph.top_k": 5}`` -> ``{"graph": {"top_k": 5}}``; other names stay as they are."""
    found: dict[str, Any] = {}
    for name, value in params.items():
        outer, _, inner = name.partition(".")
        found = merged(found, {outer: {inner: value}} if inner else {outer: value})
    return found


def settings_of(sources: Iterable[Source], model: str) -> dict[str, Any]:
    """The merged settings of sources for a model; later ones win, dicts entry by entry."""
    found: dict[str, Any] = {}
    for source in sources:
        if source.model in (None, model):
            found = merged(found, source.settings)
    return found


def combined(sources: Iterable[Source]) -> dict[str, Any]:
    """Settings for all models, and under ``models`` those for single models (see :func:`of_model`)."""
    sources = list(sources)
    found = settings_of((source for source in sources if source.model is None), "")
    sections: dict[str, dict[str, Any]] = {}
    for source in sources:
        if source.model is not None:
            own = settings_of(sources, source.model)
            sections.setdefault(source.model, {}).update({key: own[key] for key in source.settings})
    return {**found, "models": sections} if sections else found


def of_model(given: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Given settings for one model: those for all models, overridden by its own section."""
    shared = {key: value for key, value in given.items() if key != "models"}
    return merged(shared, given.get("models", {}).get(model, {}))


def files_line(sources: Iterable[Source], model: str) -> str:
    """The files with settings for a model, in ascending priority."""
    sections: dict[str, list[str]] = {}
    for source in sources:
        if source.settings and source.model in (None, model):
            sections.setdefault(source.file, []).append(source.section)
    named = []
    for file, parts in sections.items():
        of_file = ", ".join(filter(None, parts))
        named.append(f"{file} ({of_file})" if of_file and file != RECBOLE else file)
    return " < ".join(named)


def described(config: Config, sources: Sequence[Source]) -> list[str]:
    """Every setting in effect as a line of YAML, its source in a comment; entries of dicts are indented lines.

    Computed settings are commented out, so that the lines can serve as a file of settings.

    Args:
        config: RecBole's Config with ``internal_sources``, its files of defaults.
        sources: sources above those; later ones win.
    """
    given = [source for source in sources if source.model in (None, config["model"])]
    origins, values = _origins(config.internal_sources, given)
    in_effect = plain_settings(config.final_config_dict)
    if in_effect["train_neg_sample_args"]["distribution"] == "none":
        in_effect["train_neg_sample_args"] = None  # the form in which it is given; RecBole expands it
    lines = []
    for key, value in in_effect.items():
        origin, before = origins.get(key), values.get(key)
        if isinstance(origin, dict) and isinstance(value, dict) and value:
            lines.append(f"{key}:")
            for entry, inner in value.items():
                name = _named(origin.get(entry), inner, (before or {}).get(entry))
                lines.append(f"  {_yaml(entry)}: {_yaml(inner)}  # {name}")
        else:
            name = _named(
                next(iter(origin.values()), None) if isinstance(origin, dict) else origin, value, before
            )
            lines.append(
                f"{'# ' if origin is None or key in OF_THE_DATA else ''}{key}: {_yaml(value)}  # {name}"
            )
    return lines


def _origins(defaults: Sequence[Source], given: Sequence[Source]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Winning source and value of each setting, of dicts per entry.

    RecBole's own dicts are replaced as a whole by given ones; dicts of the model's defaults, and those given several
    times, are merged.
    """
    origins: dict[str, Any] = {}
    values: dict[str, Any] = {}
    whole: set[str] = set()
    for source, is_given in [*((each, False) for each in defaults), *((each, True) for each in given)]:
        of_recbole = source.file == RECBOLE
        for key, value in plain_settings(source.settings).items():
            names: Any = (
                dict.fromkeys(value, source.name) if isinstance(value, dict) and value else source.name
            )
            replaces = of_recbole or (key in whole and is_given) or not isinstance(origins.get(key), dict)
            if isinstance(names, dict) and not replaces:
                names, value = {**origins[key], **names}, {**values[key], **value}
            origins[key], values[key] = names, value
            (whole.add if of_recbole else whole.discard)(key)
    return origins, values


def _named(origin: str | None, value: Any, given: Any) -> str:
    if origin is None:
        return WORKED_OUT
    forms = (given, [given], {"valid": given, "test": given})
    return origin if value in forms else f"{origin}, then {WORKED_OUT}"


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("...\n").strip()
