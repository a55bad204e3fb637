"""Writes a table's CSV, JSON and HTML page, each replaced atomically."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmbee_plugin.experiments.page import write_page
from mmbee_plugin.experiments.plots import Plot
from mmbee_plugin.experiments.sheet import Sheet
from mmbee_plugin.experiments.terminal import shown
from mmbee_plugin.files import check_writable, locked, replaced, write_json


@dataclass(frozen=True)
class Report:
    """Paths of a table's files."""

    path: Path
    """without a suffix."""

    @property
    def csv(self) -> Path:
        """One line for each row and metric."""
        return self._file("csv")

    @property
    def json(self) -> Path:
        """All figures, with the values of each seed and the facts of each cell."""
        return self._file("json")

    @property
    def html(self) -> Path:
        """The sheets and plots."""
        return self._file("html")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Locks the files for one run. Raises InputError if they cannot be written or another run holds the lock."""
        check_writable(self.html)
        complaint = f"{self.path.name} is being made by another run; --out names other files"
        with locked(self.path.with_name(f".{self.path.name}.lock"), complaint):
            yield

    def write(
        self,
        title: str,
        verdict: str,
        printed: Sequence[Sheet],
        plots: Sequence[Plot],
        provenance: Sequence[str],
        real: bool,
        columns: Sequence[str],
        lines: Iterable[Mapping[str, Any]],
        content: Mapping[str, Any],
        facts: Mapping[str, Any],
    ) -> list[str]:
        """Writes the three files and returns the lines to print.

        Args:
            title, verdict, printed, plots, provenance, real: as in :func:`~mmbee_plugin.experiments.page.write_page`.
            columns, lines: of the CSV; missing columns of a line stay empty.
            content: of the JSON.
            facts: settings and versions, of the JSON and the page.
        """
        with replaced(self.csv) as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            writer.writerows(lines)
        write_json(self.json, {"verdict": verdict, "provenance": list(provenance), **content, **facts})
        write_page(self.html, title, verdict, printed, plots, provenance, real, facts)
        body = [line for sheet in printed for line in [*shown(sheet), ""]]
        return [*provenance, "", verdict, "", *body, f"Written: {self.csv}, {self.json}, {self.html}"]

    def _file(self, suffix: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{suffix}")
