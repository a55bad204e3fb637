"""The models known by name, and the layers of default settings of each."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import recbole
from recbole.utils import get_model

from mmbee_plugin.command.yaml_settings import read_mapping
from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.config.declared import FlatSettings
from mmbee_plugin.recbole.config.sources import merged
from mmbee_plugin.settings.words import nearest

COMPONENTS = {
    "MMBee": "mmbee_plugin.recbole.models.mmbee",
    "SIM": "mmbee_plugin.recbole.models.bare",
    "MMoE": "mmbee_plugin.recbole.models.bare",
    "MMGCN": "mmbee_plugin.recbole.models.mmgcn",
    "GRCN": "mmbee_plugin.recbole.models.grcn",
    "EgoGCN": "mmbee_plugin.recbole.models.egogcn",
    "MMMLP": "mmbee_plugin.recbole.models.mmmlp",
    "MMSSL": "mmbee_plugin.recbole.models.mmssl",
    "FBSM": "mmbee_plugin.recbole.models.fbsm",
}
"""Models of this package and their modules, which are imported when a model is first looked up."""

PROPERTIES = Path(__file__).parents[1] / "properties"
STOCK_PROPERTIES = Path(recbole.__file__).parent / "properties"

Layer = Path | Mapping[str, Any] | type[FlatSettings]
"""Default settings of one model class: a YAML file, a mapping, or a section that declares them."""

REGISTERED: dict[str, tuple[type, Layer]] = {}
"""Models of other packages by name, with their default settings."""


def known_models() -> list[str]:
    """The names ``--model`` takes: this package's, registered ones, then RecBole's in alphabetical order."""
    stock = sorted((file.stem for file in STOCK_PROPERTIES.glob("model/*.yaml")), key=str.lower)
    return [*COMPONENTS, *REGISTERED, *stock]


def default_layers(name: str) -> list[Layer]:
    """The default settings of the model called `name`, those of its base classes first; later ones win."""
    if name not in COMPONENTS and name not in REGISTERED:
        return [STOCK_PROPERTIES / "model" / f"{name}.yaml"]
    model = get_model(name)
    base = stock_base(model)
    return [*([STOCK_PROPERTIES / "model" / f"{base}.yaml"] if base else []), *own_layers(model)]


def check_model(name: str) -> None:
    """Raises InputError with the known names if there is no model called `name`."""
    known = known_models()
    if name in known:
        return
    hint = f"did you mean {close}? " if (close := nearest(name, known)) else ""
    raise InputError(f"model {name!r} is not known; {hint}Known models: {', '.join(known)}")


def default_settings(model: str) -> dict[str, Any]:
    """The merged defaults of RecBole and of `model`."""
    defaults = copy.deepcopy(_defaults_of_all())
    for layer in default_layers(model):
        defaults = merged(defaults, layer_settings(layer))
    return defaults


@functools.cache
def _defaults_of_all() -> dict[str, Any]:
    """RecBole's defaults for all models."""
    files = [STOCK_PROPERTIES / "overall.yaml", STOCK_PROPERTIES / "dataset" / "sample.yaml"]
    files += sorted(STOCK_PROPERTIES.glob("quick_start_config/*.yaml"))
    defaults: dict[str, Any] = {}
    for file in files:
        defaults |= read_mapping(file)
    return defaults


def layer_settings(layer: Layer) -> dict[str, Any]:
    """A copy of one layer's settings."""
    if isinstance(layer, type):
        return layer.defaults()
    return read_mapping(layer) if isinstance(layer, Path) else copy.deepcopy(dict(layer))


def layer_name(layer: Layer) -> str:
    """Name of a layer as a source of settings."""
    if isinstance(layer, type):
        return f"{layer.__name__.removesuffix('Settings')}'s defaults"
    return f"properties/{layer.name}" if isinstance(layer, Path) else "registered defaults"


def stock_base(model: type) -> str | None:
    """The nearest RecBole class among a model's bases that has default settings."""
    bases = (base.__name__ for base in model.__mro__ if base.__module__.startswith("recbole.model."))
    return next((base for base in bases if (STOCK_PROPERTIES / "model" / f"{base}.yaml").is_file()), None)


def own_layers(model: type) -> list[Layer]:
    """The default settings of this package's and of registered classes among the model and its bases, bases first."""
    layers: list[Layer] = []
    for base in reversed(model.__mro__):
        registered, defaults = REGISTERED.get(base.__name__, (None, {}))
        if registered is base:
            layers.append(defaults)
        elif COMPONENTS.get(base.__name__) == base.__module__:
            layers.append(vars(base).get("declared") or PROPERTIES / f"{base.__name__}.yaml")
    return layers
