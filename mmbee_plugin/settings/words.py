"""The type, range and value of a setting in words, for errors and lists of settings."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import GetCoreSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

ONE = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
SEVERAL = {int: "whole numbers", str: "names"}
BOUNDS = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}


@dataclass(frozen=True)
class OneOf:
    """Allows the names in `known`, a registry that may grow: it is read when a value is checked."""

    known: Collection[str]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: str) -> str:
        if value not in self.known:
            raise PydanticCustomError("unknown", "unknown")
        return value


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a misspelt one may stand for, whatever its case; None if none is close."""
    close = {each.lower(): each for each in known}
    found = difflib.get_close_matches(name.lower(), close, n=1)
    return close[found[0]] if found else None


def expected(field: FieldInfo) -> str:
    """Type and range of a field in words, such as ``a whole number of at least 1, or ~``."""
    kind, metadata = _bare(field)
    if known := choices_of(field):
        whole = " or ".join(known) if len(known) < 3 else f"one of {', '.join(known)}"
    elif get_origin(kind) is tuple:
        first, *others = get_args(kind)
        each, bounds = _unwrapped(first)
        count = "" if Ellipsis in others else f"{1 + len(others)} "
        whole = f"a list of {count}{SEVERAL[each]}{_range(bounds)}"
    else:
        whole = ONE.get(kind, "entries {name: value}") + _range(metadata)
    return f"{whole}, or ~" if is_nullable(field) else whole


def choices_of(field: FieldInfo) -> tuple[str, ...]:
    """The names that a setting allows; empty if it is no choice among names."""
    kind, metadata = _bare(field)
    if get_origin(kind) is Literal:
        return get_args(kind)
    return next((tuple(each.known) for each in metadata if isinstance(each, OneOf)), ())


def registry_of(field: FieldInfo) -> Mapping[str, Any]:
    """What the names that a setting allows stand for; empty if it is no choice from a registry."""
    known = (each.known for each in metadata_of(field) if isinstance(each, OneOf))
    return next((each for each in known if isinstance(each, Mapping)), {})


def metadata_of(field: FieldInfo) -> list[Any]:
    """What a field's type is annotated with."""
    return _bare(field)[1]


def section_of(field: FieldInfo) -> Any:
    """The section that a field holds, or None."""
    kind = _bare(field)[0]
    return kind if hasattr(kind, "model_fields") else None


def is_nullable(field: FieldInfo) -> bool:
    """Whether a field may be null."""
    return type(None) in get_args(field.annotation)


def in_yaml(value: Any) -> str:
    """A value as it is written in YAML."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(in_yaml, value))}]"
    return "~" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def entries(settings: Mapping[str, Any], outer: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as (dotted name, value), such as ``graph.top_k``, 5."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from entries(value, f"{outer}{name}.")
        else:
            yield f"{outer}{name}", value


def _bare(field: FieldInfo) -> tuple[Any, list[Any]]:
    """A field's type without null and annotations, and the annotations."""
    kind, metadata = _unwrapped(field.annotation)
    return kind, [*field.metadata, *metadata]


def _unwrapped(kind: Any) -> tuple[Any, list[Any]]:
    metadata: list[Any] = []
    while True:
        if get_origin(kind) is Annotated:
            kind, *more = get_args(kind)
            metadata += [each for one in more for each in getattr(one, "metadata", [one])]
        elif get_origin(kind) in (Union, UnionType):
            (kind,) = (each for each in get_args(kind) if each is not type(None))
        else:
            return kind, metadata


def _range(metadata: list[Any]) -> str:
    found = {name: getattr(each, name) for each in metadata for name in BOUNDS if hasattr(each, name)}
    if found.keys() == {"ge", "le"}:
        return f" from {found['ge']:g} to {found['le']:g}"
    said = [f"{words} {found[name]:g}" for name, words in BOUNDS.items() if name in found]
    return f" of {' and '.join(said)}" if said else ""
