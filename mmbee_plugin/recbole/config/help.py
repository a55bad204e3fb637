"""Lists the settings of a run: declared ones with type, range, default and meaning, RecBole's own by name."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

from recbole.utils import argument_list

from mmbee_plugin.recbole.config.baselines import BASELINES
from mmbee_plugin.recbole.config.declared import RunSettings
from mmbee_plugin.recbole.config.known import DATA_SETTINGS
from mmbee_plugin.recbole.config.layers import COMPONENTS, PROPERTIES, layer_settings
from mmbee_plugin.recbole.config.settings import MMBeeSettings
from mmbee_plugin.settings.listing import WIDTH, Group, groups, text_of
from mmbee_plugin.settings.words import in_yaml

OF_RECBOLE = ("general", "training", "evaluation", "dataset")


def run_groups() -> list[Group]:
    """The declared settings: of all models, then of MMBee and the models made from it."""
    return [*groups(RunSettings), *groups(MMBeeSettings, without=[RunSettings])]


def baseline_groups() -> list[Group]:
    """The declared settings of the baselines, a group each; its note has RecBole's settings."""
    found = []
    for section in BASELINES:
        *shared, own = groups(section)
        rows = [row for group in (*shared, own) for row in group.rows]
        others = _assigned(section.of_recbole.items())
        note = f"RecBole's settings with another default: {', '.join(others)}." if others else ""
        found.append(Group(own.title, tuple(rows), note))
    return found


def run_help() -> str:
    """All settings of a run, as text."""
    lines = [text_of(run_groups()), "", "Where SIM and MMoE differ from MMBee:"]
    for name in COMPONENTS:
        if (file := PROPERTIES / f"{name}.yaml").is_file():
            lines += _wrapped(name, _assigned(layer_settings(file).items()))
    lines += ["", text_of(baseline_groups())]
    lines += ["", "Settings of RecBole 1.2.1 (https://recbole.io/docs/user_guide/config_settings.html):"]
    for kind in OF_RECBOLE:
        names = vars(argument_list)[f"{kind}_arguments"]
        lines += _wrapped(kind, (name for name in names if name not in DATA_SETTINGS))
    return "\n".join(lines)


def _assigned(settings: Iterable[tuple[str, Any]]) -> list[str]:
    return [f"{name}={in_yaml(value)}" for name, value in settings]


def _wrapped(title: str, words: Iterable[str]) -> list[str]:
    return textwrap.wrap(f"  {title}: {', '.join(words)}", WIDTH, subsequent_indent=" " * 6)
