"""Declared sections of RecBole's flat config, and the settings that this package adds for every model."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from mmbee_plugin.assembly.settings import HistorySettings, RowSettings
from mmbee_plugin.settings.section import Section


class FlatSettings(Section):
    """A section within RecBole's flat config, under RecBole's names."""

    of_recbole: ClassVar[Mapping[str, Any]] = {}
    """defaults of RecBole's own settings that differ from RecBole's"""

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        return {**super().defaults(), **copy.deepcopy(dict(cls.of_recbole))}

    @classmethod
    def called(cls, field: str) -> str:
        return cls.names(field)[-1]

    @classmethod
    def among(cls, settings: Mapping[str, Any]) -> Self:
        """The section from a flat config, which holds other settings as well. Raises InputError."""
        named = (cls.called(field) for field in cls.model_fields)
        return cls.of({name: settings[name] for name in named if name in settings})


class RunSettings(HistorySettings, RowSettings, FlatSettings):
    """What the runs of all models have besides RecBole's settings."""

    mask_valid: bool = False
    """the test split's ranking leaves out what the user has in validation"""
    valid_in_history: bool = False
    """a user's history in the test split ends with what they have in validation"""
    sampler: Literal["mmbee", "recbole"] | None = None
    """who draws negatives; ~: mmbee"""
