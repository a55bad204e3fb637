"""Sections of settings: typed fields with ranges. An error is one line with setting, value and what would be right."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, to_jsonable_python

from mmbee_plugin.errors import InputError
from mmbee_plugin.settings.words import choices_of, expected, is_nullable, nearest, section_of

Part = TypeVar("Part", bound="Section")


class Section(BaseModel):
    """Base of all sections. A field's docstring is its meaning; further names are its ``validation_alias``.

    Raises:
        InputError: an unknown name, a wrong type or a value out of range.
    """

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    if not TYPE_CHECKING:  # type checkers see the fields as arguments

        def __init__(self, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise refusal(type(self), error) from None

        # nested sections are validated, not constructed, so that their errors have a path
        __init__.__pydantic_base_init__ = True

    @classmethod
    def of(cls: type[Part], values: Any, source: str = "") -> Part:
        """A section from a mapping of names or aliases to values; InputErrors start with `source`."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise refusal(cls, error, source) from None

    @classmethod
    def names(cls, field: str) -> tuple[str, ...]:
        """All names of a field, its own first."""
        alias = cls.model_fields[field].validation_alias
        return tuple(map(str, alias.choices)) if isinstance(alias, AliasChoices) else (field,)

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Defaults as YAML values, by the names that users see; of a nested section only the fields it sets."""
        values = ((cls.called(name), field.get_default()) for name, field in cls.model_fields.items())
        return {
            name: value.model_dump(mode="json", exclude_unset=True)
            if isinstance(value, Section)
            else to_jsonable_python(value)
            for name, value in values
        }

    @classmethod
    def called(cls, field: str) -> str:
        """The name of a field that users see."""
        return field

    def replace(self: Part, **changes: Any) -> Part:
        """A checked copy with some fields changed."""
        return type(self)(**{name: getattr(self, name) for name in self.model_fields_set} | changes)

    def part(self, kind: type[Part], **others: Any) -> Part:
        """A section of `kind` from the fields that both have, and `others`."""
        common = {name: getattr(self, name) for name in kind.model_fields if name in type(self).model_fields}
        return kind(**common | others)


def _listed(given: Any) -> Any:
    return given.split(",") if isinstance(given, str) else given


def _each_once(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name!r} is listed twice")
    return names


Names = Annotated[tuple[str, ...], Field(strict=False), BeforeValidator(_listed), AfterValidator(_each_once)]
"""A list of names, each once; on a command line also ``a,b`` without brackets."""


def unknown(name: str, known: Collection[str]) -> str:
    """Message for an unknown setting: the closest known name, else all of them."""
    close = nearest(name, known)
    hint = f"did you mean {close}?" if close else f"known: {', '.join(known)}"
    return f"no such setting; {hint}"


def refusal(section: type[Section], error: ValidationError, source: str = "") -> InputError:
    """The first error of a validation in one line."""
    line = _line(section, error.errors(include_url=False)[0])
    return InputError(f"{source}: {line}" if source else line)


def _line(section: type[Section], found: ErrorDetails) -> str:
    outer, field, place = _at(section, [str(part) for part in found["loc"]])
    name, value, kind = ".".join(place), found["input"], found["type"]
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        names = {each: known for known in outer.model_fields for each in outer.names(known)}
        if place[-1] in names:
            return f"{name}: another name of {names[place[-1]]}, which is given too"
        return f"{name}: {unknown(place[-1], names)}"
    if kind == "value_error":
        message = str(found["ctx"]["error"])
        # The message of a field's check is about its value; that of a section's check begins with a setting's name.
        return f"{name}: {message}" if field else f"{name}.{message}" if name else message
    if kind == "missing" and len(place) == len(found["loc"]):
        return f"{name}: a value is needed, {expected(field) if field else 'entries'}"
    if field is None:
        return f"{name}: found {value!r}, expected entries {{name: value}} of {', '.join(outer.model_fields)}"
    if (known := choices_of(field)) and isinstance(value, str):
        also = ", ~" if is_nullable(field) else ""
        return f"unknown {name} {value!r}; known: {', '.join(known)}{also}"
    within = kind.startswith(("greater_than", "less_than"))
    return (
        f"{name} {value!r} is out of range, expected {expected(field)}"
        if within
        else (f"{name}: found {value!r}, expected {expected(field)}")
    )


def _at(section: type[Section], loc: Collection[str]) -> tuple[type[Section], FieldInfo | None, list[str]]:
    """Innermost section of a pydantic location, the field there (None if there is none), and the names on the way."""
    field, place = None, []
    for part in loc:
        if field is not None:
            break  # an entry of a list
        place.append(part)
        named = [name for name in section.model_fields if part in section.names(name)]
        inner = section_of(section.model_fields[named[0]]) if named else None
        if inner is not None:
            section = inner
        else:
            field = section.model_fields[named[0]] if named else None
    return section, field, place
