"""The type and range of a setting in words, for errors and lists of settings."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types as bounds
from pydantic import GetCoreSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

KINDS = {
    bool: ("true or false", "switches"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("text", "names"),
}


@dataclass(frozen=True)
class OneOf:
    """Allows the names in `known`, which may grow: a registry of parts is asked when a value is checked."""

    known: Collection[str]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: str) -> str:
        if value not in self.known:
            raise PydanticCustomError("unknown", "unknown")
        return value


def expected(field: FieldInfo) -> str:
    """What a value has to be, such as ``a whole number of at least 1, or ~``."""
    kind, within, nullable = described(field)
    whole = f"{kind} {within}" if within else kind
    return f"{whole}, or ~" if nullable else whole


def described(field: FieldInfo) -> tuple[str, str, bool]:
    """Kind, range ("" for none) and whether null is allowed."""
    kind, metadata = _bare(field)
    if known := choices_of(field):
        return " or ".join(known) if len(known) == 2 else f"one of {', '.join(known)}", "", is_nullable(field)
    if get_origin(kind) is tuple:
        first, *others = (_unwrapped(each)[0] for each in get_args(kind))
        inner = _unwrapped(get_args(kind)[0])[1]
        within = _range([*inner])
        name = f"a list of {KINDS[first][1]}{' ' + within if within else ''}"
        if others and others[0] is not Ellipsis:
            name = name.replace("a list of", f"a list of {1 + len(others)}")
        return name, "", is_nullable(field)
    name = KINDS[kind][0] if kind in KINDS else "entries {name: value}"
    return name, _range(metadata), is_nullable(field)


def choices_of(field: FieldInfo) -> tuple[str, ...]:
    """The names among which a setting chooses; none for one of another kind."""
    kind, metadata = _bare(field)
    if get_origin(kind) is Literal:
        return get_args(kind)
    return next((tuple(each.known) for each in metadata if isinstance(each, OneOf)), ())


def section_of(field: FieldInfo) -> Any:
    """The section that a field holds, or None."""
    kind = _bare(field)[0]
    return kind if hasattr(kind, "model_fields") else None


def _bare(field: FieldInfo) -> tuple[Any, list[Any]]:
    """The type without null and annotations, and the annotations."""
    kind, metadata = _unwrapped(field.annotation)
    return kind, [*field.metadata, *metadata]


def _unwrapped(kind: Any) -> tuple[Any, list[Any]]:
    metadata: list[Any] = []
    while True:
        if get_origin(kind) is Annotated:
            kind, *more = get_args(kind)
            metadata += [
                each for one in more for each in (one.metadata if isinstance(one, FieldInfo) else [one])
            ]
        elif get_origin(kind) in (Union, UnionType):
            (kind,) = (each for each in get_args(kind) if each is not type(None))
        else:
            return kind, metadata


def is_nullable(field: FieldInfo) -> bool:
    """Whether a field may be null."""
    return type(None) in get_args(field.annotation)


def _range(metadata: list[Any]) -> str:
    found: dict[str, float] = {}
    for each in metadata:
        for name in ("ge", "gt", "le", "lt"):
            if isinstance(each, (bounds.Ge, bounds.Gt, bounds.Le, bounds.Lt)) and hasattr(each, name):
                found[name] = getattr(each, name)
    low = (
        f"at least {found['ge']:g}"
        if "ge" in found
        else f"more than {found['gt']:g}"
        if "gt" in found
        else ""
    )
    high = (
        f"at most {found['le']:g}" if "le" in found else f"less than {found['lt']:g}" if "lt" in found else ""
    )
    if "ge" in found and "le" in found:
        return f"from {found['ge']:g} to {found['le']:g}"
    return "of " + " and ".join(filter(None, (low, high))) if low or high else ""
