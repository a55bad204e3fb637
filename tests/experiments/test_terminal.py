"""Sheets on terminals that are narrower than they are: nothing is lost."""

from __future__ import annotations

import pytest

from mmbee_plugin.experiments import terminal
from mmbee_plugin.experiments.sheet import Sheet, lines
from mmbee_plugin.experiments.terminal import shown

WIDE = Sheet(
    "Table 2. A title that is itself longer than a terminal of eighty characters is, as titles with counts are",
    ("Methods", *(text for metric in ("AUC", "UAUC", "GAUC") for text in (metric, "Impr.", "p"))),
    (
        (
            "MMBee, the paper's",
            "0.7083 (0.0062)",
            "+1.00 %",
            "0.001",
            *["0.5382 (0.0071)", "-0.10 %", "0.410"] * 2,
        ),
        ("SIM", "0.6083 (0.0062)", "-", "", *["0.4382 (0.0071)", "-", ""] * 2),
    ),
    (
        "AUC: SIM+MFQ+GIE is above 3 of 3 rows with p < 0.05; largest p 0.003; and so on to more than one line.",
    ),
)
DIAGNOSIS = Sheet(
    "Diagnosis",
    ("part", "what", "value", "expected", "verdict"),
    (
        (
            "queries",
            "difference of the attention of an author's tokens",
            "0.012",
            "above 0.05",
            "look at this",
        ),
        (
            "u2a2u",
            "entries at the 1 % most listed nodes, of all entries of the path",
            "0.300",
            "below 0.5",
            "ok",
        ),
    ),
    names=2,
)


@pytest.fixture
def narrow(monkeypatch):
    """A terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(terminal.sys.stdout, "isatty", lambda: True, raising=False)


def words(text: str) -> list[str]:
    return text.replace("|", " ").split()


@pytest.mark.parametrize("sheet", [WIDE, DIAGNOSIS], ids=["table", "diagnosis"])
@pytest.mark.parametrize("width", [50, 80])
def test_no_heading_and_no_cell_is_lost(sheet, width):
    printed = shown(sheet, width)
    assert max(map(len, printed)) <= width
    found = words("\n".join(printed))
    for text in (sheet.title, *sheet.headings, *(cell for row in sheet.rows for cell in row), *sheet.notes):
        for word in words(text):
            assert any(word in each for each in (found, "".join(found))), word


def test_a_terminal_of_80_columns_has_blocks_with_what_belongs_together(narrow):
    headings = [line for line in shown(WIDE) if line.startswith("| Methods")]
    assert [line.count("Impr.") for line in headings] == [1, 1, 1]
    assert [words(line) for line in headings] == [
        ["Methods", one, "Impr.", "p"] for one in ("AUC", "UAUC", "GAUC")
    ]
    assert shown(DIAGNOSIS) != lines(DIAGNOSIS)
    assert sum("look at this" in line for line in shown(DIAGNOSIS)) == 1


def test_off_a_terminal_it_is_markdown_of_full_width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(terminal.sys.stdout, "isatty", lambda: False, raising=False)
    assert shown(WIDE) == lines(WIDE)
    assert shown(WIDE, 500) == lines(WIDE)
