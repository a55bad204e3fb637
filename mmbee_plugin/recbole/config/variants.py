"""Variants of models side by side: each a model with settings of its own, named by what differs."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.config.given import given_settings
from mmbee_plugin.recbole.config.known import check_settings, known_settings
from mmbee_plugin.recbole.config.layers import check_model
from mmbee_plugin.recbole.config.sources import Source
from mmbee_plugin.settings.words import entries, in_yaml


@dataclass(frozen=True)
class Variant:
    """A model and the settings that it alone has, which win over those given for all variants.

    Attributes:
        name: of its row in a table; see :func:`named`.
    """

    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    @property
    def source(self) -> Source:
        """Its settings as a source."""
        return Source(f"variant {self.name}", self.settings)


def variant(text: str) -> Variant:
    """The variant written as ``MMBee content=none graph.top_k=20``; values with spaces are quoted.

    Raises:
        InputError: an unknown model or setting, or a word that is no ``name=value``.
    """
    where = f"variant {text!r}"
    try:
        model, *words = shlex.split(text)
    except ValueError:
        raise InputError(f'{where}: expected a model and its settings: "MMBee content=none"') from None
    check_model(model)
    for word in words:
        if "=" not in word:
            raise InputError(f"{where}: {word!r} is not understood; settings are written name=value")
    settings = given_settings(None, [f"--{word.removeprefix('--')}" for word in words])
    check_settings(settings, known_settings(model), where)
    return Variant(model, settings)


def separated(text: str) -> list[str]:
    """The variants of a list with commas; those within brackets are of a value: ``MMBee,SIM topk=[5,10]``."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def named(texts: Iterable[str]) -> tuple[Variant, ...]:
    """Variants named by their models and by the settings that not all variants of the model share.

    Raises:
        InputError: as :func:`variant`.
    """
    found = [variant(text) for text in texts]
    return tuple(Variant(each.model, each.settings, _name(each, found)) for each in found)


def _name(one: Variant, others: Sequence[Variant]) -> str:
    siblings = [dict(entries(other.settings)) for other in others if other.model == one.model]
    differing = (
        f"{name}={_short(value)}"
        for name, value in entries(one.settings)
        if len(siblings) == 1 or any(name not in other or other[name] != value for other in siblings)
    )
    return " ".join([one.model, *differing])


def _short(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else in_yaml(value)
