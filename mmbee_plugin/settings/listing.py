"""Lists of declared settings: for ``--help``, and as tables in Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from mmbee_plugin.settings.needs import Setting
from mmbee_plugin.settings.section import Section
from mmbee_plugin.settings.words import expected, in_yaml, section_of

WIDTH = 110
"""columns of a terminal"""


@dataclass(frozen=True)
class Row:
    """One setting of a list."""

    name: str
    also: str
    """its other names, separated by commas."""
    kind: str
    """type and range."""
    default: str
    meaning: str


@dataclass(frozen=True)
class Group:
    """The settings that one class declares."""

    title: str
    rows: tuple[Row, ...]
    note: str = ""
    """what stands below the rows."""


def groups(
    section: type[Section],
    prefix: str = "",
    without: Iterable[type[Section]] = (),
    outer: Setting | None = None,
) -> list[Group]:
    """All settings of a section, grouped by declaring class; nested sections are groups of their own.

    Args:
        prefix: put before the names, such as ``graph.``.
        without: sections whose settings are left out.
        outer: the setting that holds the section, if any.
    """
    left_out = {name for each in without for name in each.model_fields}
    found: list[Group] = []
    inner: list[tuple[type[Section], list[str]]] = []
    for declaring in reversed(section.__mro__):
        if not issubclass(declaring, Section):
            continue
        fields = {name: section.model_fields[name] for name in declaring.model_fields if name not in left_out}
        left_out |= fields.keys()
        rows = []
        for name, field in fields.items():
            if (within := section_of(field)) is None:
                rows.append(_row(Setting(section, name, outer), prefix))
            elif found_before := next((each for each in inner if each[0] is within), None):
                found_before[1].append(name)
            else:
                inner.append((within, [name]))
        found += [Group(_title(declaring), tuple(rows))] if rows else []
    for within, names in inner:
        path = names[0] if len(names) == 1 else f"<{'|'.join(names)}>"
        default = section.model_fields[names[0]].get_default()
        holds = [Setting(section, name, outer) for name in names]
        note = " ".join(f"{each.called} is read with {what}." for each in holds if (what := each.needed()))
        for group in groups(within, f"{prefix}{path}.", outer=holds[0]):
            found.append(Group(group.title, _as_in(default, group.rows), group.note or note))
            note = ""  # of the first group that the section has
    return found


def text_of(listed: Iterable[Group]) -> str:
    """Groups for a terminal: name, default, type and range; meaning below."""
    lines = []
    for group in listed:
        lines += ["", f"{group.title}:"]
        for row in group.rows:
            also = f", also {row.also}" if row.also else ""
            lines.append(f"  {row.name} = {row.default}  ({row.kind}{also})")
            lines += textwrap.wrap(row.meaning, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
        lines += textwrap.wrap(group.note, WIDTH, initial_indent=" " * 2, subsequent_indent=" " * 6)
    return "\n".join(lines[1:])


def markdown_of(listed: Iterable[Group]) -> str:
    """Groups as Markdown tables."""
    lines = []
    for group in listed:
        lines += [
            f"### {group.title}",
            "",
            "| setting | is | default | meaning |",
            "| --- | --- | --- | --- |",
        ]
        for row in group.rows:
            also = f" ({', '.join(f'`{name}`' for name in row.also.split(', '))})" if row.also else ""
            cells = (f"`{row.name}`{also}", row.kind, f"`{row.default}`", row.meaning)
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        lines += ["", group.note] if group.note else []
        lines.append("")
    return "\n".join(lines)


def _title(declaring: type[Section]) -> str:
    return (declaring.__doc__ or declaring.__name__).split("\n\n")[0].replace("\n    ", " ").removesuffix(".")


def _row(setting: Setting, prefix: str) -> Row:
    section, field = setting.section, setting.field
    called = section.called(setting.name)
    also = ", ".join(other for other in section.names(setting.name) if other != called)
    default = "needed" if field.is_required() else in_yaml(field.get_default())
    meaning = " ".join((field.description or "").split())
    needed = f" (read with {what})" if (what := setting.needed()) else ""
    return Row(prefix + called, also, expected(field), default, meaning + needed)


def _as_in(default: Any, rows: Iterable[Row]) -> tuple[Row, ...]:
    """Rows of a nested section with the defaults that the outer section gives them."""
    own = {default.called(name): value for name, value in default} if isinstance(default, Section) else {}
    within = ((row, row.name.rpartition(".")[2]) for row in rows)
    return tuple(replace(row, default=in_yaml(own[name])) if name in own else row for row, name in within)
