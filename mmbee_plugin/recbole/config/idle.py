"""Settings of a command line that nothing reads, since the part that would is off: each is refused.

Those of files are not: a dataset's file has settings of graphs, whatever a run's ``interest``. RecBole's own settings
are looked after by :mod:`~mmbee_plugin.recbole.config.stock_settings`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from recbole.config import Config

from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.config.layers import COMPONENTS, default_layers, default_settings
from mmbee_plugin.settings.needs import idle


def idle_settings(config: Config, given: Mapping[str, Any], varied: Collection[str] = ()) -> dict[str, str]:
    """The given settings that a run with these settings does not read, each with a line that says why.

    A model of another package may read any.

    Args:
        config: all settings in effect.
        given: nested, as in the config.
        varied: names of settings that a search will give other values.
    """
    if config["model"] not in COMPONENTS:
        return {}
    layers = (layer for layer in default_layers(config["model"]) if isinstance(layer, type))
    return {name: why for layer in layers for name, why in idle(layer.among(config), given, varied).items()}


def check_read(configs: Sequence[Config], given: Mapping[str, Any], varied: Collection[str] = ()) -> None:
    """Raises InputError for a setting given for several runs that none of them reads.

    Args:
        configs, given, varied: as of :func:`idle_settings`.
    """
    found = [(default_settings(config["model"]), idle_settings(config, given, varied)) for config in configs]
    for _, lines in found:
        for name, why in lines.items():
            if all(name in idle_there or name.split(".")[0] not in known for known, idle_there in found):
                raise InputError(why)
