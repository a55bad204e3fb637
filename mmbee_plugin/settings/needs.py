"""What a setting needs of others to be read, declared beside its type; and the given settings that nothing reads.

``reach_inner: Annotated[int, Needs("reach_top_k")]`` is read while ``reach_top_k`` is on; what is marked with `ReadBy`
by the parts that list it in their ``reads``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

from mmbee_plugin.errors import InputError
from mmbee_plugin.settings.section import Section
from mmbee_plugin.settings.words import entries, in_yaml, metadata_of, registry_of, section_of


class Needs:
    """Marks a setting that is read only while another one is on, and is read itself; of several, one is enough.

    A setting that is not there is not needed: shards of no model have none of a model's.

    Args:
        settings: names in the marked one's section or in one around it; ``graph.top_k`` is within such a section.
        among: values that are on; by default all but 0, false, ~ and empty ones.
    """

    def __init__(self, *settings: str, among: Collection[Any] = ()) -> None:
        self.settings, self.among = settings, among

    def values(self, marked: Setting, other: Setting) -> Collection[Any]:
        """The values of another setting that are on; none where all are but empty ones."""
        return self.among

    def on(self, marked: Setting, other: Setting) -> bool:
        """Whether another setting is on."""
        known = self.values(marked, other)
        return other.value in known if known else bool(other.value)


class ReadBy(Needs):
    """Marks a setting that only some parts read, those named by another setting, or by one of several.

    The class of a part lists what it reads in ``reads``; one without a list of its own may read any.
    """

    def values(self, marked: Setting, other: Setting) -> Collection[Any]:
        read = ((name, vars(part).get("reads")) for name, part in registry_of(other.field).items())
        return [name for name, listed in read if listed is None or marked.name in listed]

    def on(self, marked: Setting, other: Setting) -> bool:
        return other.value in self.values(marked, other)


@dataclass(frozen=True)
class Setting:
    """A field of a section, or of a class of sections; ``outer`` is the setting that holds the section."""

    section: Section | type[Section]
    name: str
    outer: Setting | None = None

    @classmethod
    def found(
        cls, section: Section | type[Section], names: list[str], outer: Setting | None = None
    ) -> Setting | None:
        """The setting with these names, the last within what the others name; None if there is none."""
        known = (field for field in _class(section).model_fields if names[0] in section.names(field))
        if (name := next(known, None)) is None:
            return None
        one = cls(section, name, outer)
        if len(names) == 1:
            return one
        return None if (inner := one.inner) is None else cls.found(inner, names[1:], one)

    @property
    def called(self) -> str:
        """Its name for users, with those of the sections that it is in."""
        own = self.section.called(self.name)
        return own if self.outer is None else f"{self.outer.called}.{own}"

    @property
    def field(self) -> FieldInfo:
        """What declares it."""
        return _class(self.section).model_fields[self.name]

    @property
    def needs(self) -> list[Needs]:
        """What it is marked with."""
        return [one for one in metadata_of(self.field) if isinstance(one, Needs)]

    @property
    def value(self) -> Any:
        """Its value, of a class None."""
        return getattr(self.section, self.name) if isinstance(self.section, Section) else None

    @property
    def inner(self) -> Section | type[Section] | None:
        """The section that it holds."""
        if isinstance(self.section, type):
            return section_of(self.field)
        return self.value if isinstance(self.value, Section) else None

    def near(self, name: str) -> Setting | None:
        """The setting of this name, of the innermost section around this one that has it."""
        one: Setting | None = self
        while one is not None:
            if (found := self.found(one.section, name.split("."), one.outer)) is not None:
                return found
            one = one.outer
        return None

    def unread(self, varied: Collection[str] = ()) -> str | None:
        """Why nothing reads it; None if something does. Settings that are ``varied`` are on."""
        if self.outer is not None and (why := self.outer.unread(varied)):
            return why
        return next((why for need in self.needs if (why := self._off(need, varied))), None)

    def needed(self) -> str:
        """What it needs, in words; empty for nothing."""
        said = []
        for need in self.needs:
            others = (other for name in need.settings if (other := self.near(name)) is not None)
            each = ((other.called, ", ".join(map(in_yaml, need.values(self, other)))) for other in others)
            said.append(" or ".join(" ".join(filter(None, words)) for words in each))
        return " and ".join(filter(None, said))

    def _off(self, need: Needs, varied: Collection[str]) -> str | None:
        said = []
        for other in filter(None, map(self.near, need.settings)):
            on = other.called in varied or need.on(self, other)
            why = other.unread(varied) if on else f"{other.called} is {in_yaml(other.value)}"
            if why is None:
                return None
            said.append(why)
        return " and ".join(dict.fromkeys(said)) or None


def _class(section: Section | type[Section]) -> type[Section]:
    return section if isinstance(section, type) else type(section)


def idle(section: Section, given: Mapping[str, Any], varied: Collection[str] = ()) -> dict[str, str]:
    """The given settings that nothing reads, each with a line that says why.

    One given as 0, false, ~ or empty asks for nothing, so that it is never idle.

    Args:
        section: all settings in effect.
        given: what was asked for, entries of sections as nested mappings; others than the section's are left out.
        varied: names of settings that take further values.
    """
    found = {}
    for name, value in entries(given):
        one = Setting.found(section, name.split(".")) if value else None
        if one is not None and (why := one.unread(varied)):
            found[name] = f"{name} {in_yaml(value)}: nothing reads it, since {why}"
    return found


def refuse_idle(section: Section, given: Mapping[str, Any]) -> None:
    """Raises InputError for the first given setting that nothing reads; arguments as of `idle`."""
    for why in idle(section, given).values():
        raise InputError(why)
