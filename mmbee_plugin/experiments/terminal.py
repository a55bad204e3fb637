"""Prints sheets; one that is wider than the terminal is split into blocks of columns, one below the other."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from textwrap import wrap

from mmbee_plugin.experiments.sheet import Sheet, line, lines, rule

BETWEEN = len(" | ")
EDGES = len("| ") + len(" |")
NARROWEST = 8
"""minimum width of a column, in characters"""


def shown(sheet: Sheet, width: int | None = None) -> list[str]:
    """Lines of the sheet as a Markdown table, split into blocks of columns where it is wider than ``width``.

    Args:
        width: characters a line; by default the terminal's, unlimited where stdout is no terminal.
    """
    if width is None and sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
    whole = lines(replace(sheet, title="", notes=()))[2:]
    if width is None or len(whole[0]) <= width:
        return lines(sheet)
    found = [*wrap(sheet.title, width), ""]
    for columns in _blocks(sheet, width):
        found += [*_block(sheet, columns, width), ""]
    return found[: None if sheet.notes else -1] + [part for note in sheet.notes for part in wrap(note, width)]


def _widths(sheet: Sheet) -> list[int]:
    return [max(map(len, column)) for column in zip(sheet.headings, *sheet.rows, strict=True)]


def _size(widths: Sequence[int]) -> int:
    return sum(widths) + BETWEEN * (len(widths) - 1) + EDGES


def _blocks(sheet: Sheet, width: int) -> list[list[int]]:
    """Column indices of each block: the naming columns, then as many groups of figures as fit."""
    widths = _widths(sheet)
    names = list(range(sheet.names))
    room = width // 2 if _size(widths[: sheet.names]) > width // 2 else _size(widths[: sheet.names])
    blocks: list[list[int]] = []
    left = 0
    for group in _groups(sheet):
        needed = sum(widths[place] + BETWEEN for place in group)
        if not blocks or needed > left:
            blocks.append([*names])
            left = width - room
        blocks[-1] += group
        left -= needed
    return blocks


def _groups(sheet: Sheet) -> list[list[int]]:
    """Columns that stay together: one with a repeated heading, such as ``p``, joins the column before it."""
    groups: list[list[int]] = []
    for place in range(sheet.names, len(sheet.headings)):
        if groups and sheet.headings.count(sheet.headings[place]) > 1:
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups


def _block(sheet: Sheet, columns: Sequence[int], width: int) -> list[str]:
    """A table of some columns, at most ``width`` characters wide; longer cells wrap."""
    natural = _widths(sheet)
    widths = [natural[place] for place in columns]
    while _size(widths) > width and max(widths) > NARROWEST:
        widths[widths.index(max(widths))] -= 1
    found = []
    for row in (sheet.headings, *sheet.rows):
        cells = [wrap(row[place], size) or [""] for place, size in zip(columns, widths, strict=True)]
        for place in range(max(map(len, cells))):
            texts = [cell[place] if place < len(cell) else "" for cell in cells]
            found.append(line(texts, widths, sheet.names))
        if row is sheet.headings:
            found.append(rule(widths))
    return found
